"""Runs on folders with duplicates, unreadable files and classes of unequal size."""

import shutil
from pathlib import Path

from tiny_runs import Edanas, draw_classes, refused, result_of

from edanas.report.result import Result


def test_a_run_says_what_lies_and_goes_on(edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "run"
    draw_classes(folder / "Training", ("columns", "rows"), 20)
    draw_classes(folder / "Testing", ("columns", "rows"), 30)
    for number in range(20):
        # 20 of 30 images are those of the train part, which the drawing repeats.
        (folder / "Testing" / "rows" / f"{number}.png").unlink()
    for number in (3, 4):
        (folder / "Training" / "rows" / f"broken{number}.png").write_bytes(b"no image")
    command = (*arguments, "--data", folder, "--out", out, "--max-evals", 3)
    message = refused(edanas(*command), "2 files cannot be read", "broken3.png", "--skip-unreadable")
    assert "broken4.png" in message
    command += ("--set", "training.class_weights=balanced", "--set", "finetune.class_weights=balanced")
    command += ("--set", 'objectives=["balanced-error","executed-macs"]', "--skip-unreadable")
    output = edanas(*command)
    assert output.code == 0, output.err
    assert output.err.count("20 samples are in two parts at once, by their values") == 1
    assert "Skipped, because unreadable: 2 files" in output.err
    data = result_of(out)
    assert data["samples"]["test"] == 40
    assert data["duplicates"]["parts"]["count"] == 20
    assert data["duplicates"]["parts"]["first"][0] == ["Testing/columns/0.png", "Training/columns/0.png"]
    page = (out / "report.html").read_text()
    assert "20 samples are in two parts at once" in page
    assert "Recall of each class" in page
    for row in data["front"] + data["static_front"]:
        matrix = Result.read(out).confusion_matrix(row["id"])
        assert [sum(line) for line in matrix] == [30, 10]
        right = [matrix[label][label] for label in (0, 1)]
        assert row["test_accuracy"] == sum(right) / 40
        assert row["class_recall"] == [right[0] / 30, right[1] / 10]
        assert abs(row["balanced_accuracy"] - sum(row["class_recall"]) / 2) < 1e-12


def test_duplicates_are_allowed_in_silence(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "run"
    draw_classes(folder, ("columns", "rows"), 20)
    shutil.copy(folder / "columns" / "0.png", folder / "rows" / "copy.png")
    output = edanas(*arguments, "--data", folder, "--out", out, "--max-evals", 3, "--allow-duplicates")
    assert output.code == 0, output.err
    assert "two classes at once" not in output.err
    assert result_of(out)["duplicates"]["classes"]["count"] == 1
