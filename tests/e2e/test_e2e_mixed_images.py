"""Image folders of mixed sizes and modes, and folders that name the data parts."""

import json
from pathlib import Path

import pytest
from tiny_runs import Edanas, draw, draw_classes, result_of


def test_mixed_images_are_converted_with_one_remark(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "run"
    draw_classes(folder, ("columns", "rows"), 20)
    for label, name in enumerate(("columns", "rows")):
        draw(folder / name / "large.png", label, 50, side=32)
        draw(folder / name / "colour.jpg", label, 51, mode="RGB")
        draw(folder / name / "palette.gif", label, 52, mode="P")
        draw(folder / name / "alpha.webp", label, 53, mode="RGBA")
    (folder / "rows" / "notes.txt").write_text("not an image")
    output = edanas(*arguments, "--data", folder, "--out", out, "--max-evals", 3)
    assert output.code == 0, output.err
    remarks = result_of(out)["remarks"]
    assert any("were resized from 32x32 to 8x8" in remark for remark in remarks)
    assert any("were converted to 8-bit grey or RGB" in remark for remark in remarks)
    assert any("notes.txt" in remark for remark in remarks)
    for remark in remarks:
        assert output.err.count(remark) == 1
    assert "were resized from 32x32 to 8x8" in (out / "report.html").read_text()


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_parts_named_by_folders_are_used_grey_and_in_colour(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, mode: str, channels: int
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "run"
    for part, first, count in (("train", 0, 20), ("test", 100, 7)):
        for label, name in enumerate(("columns", "rows")):
            for number in range(first, first + count):
                path = folder / part / name / f"{number}.png"
                draw(path, label, number, mode=mode)
                if mode == "RGB":
                    tint(path)
    output = edanas(*arguments, "--data", folder, "--out", out, "--max-evals", 3)
    assert output.code == 0, output.err
    data = result_of(out)
    assert data["samples"]["test"] == 14
    assert sum(data["samples"].values()) == 54
    rows = data["front"] + data["static_front"]
    described = json.loads((out / rows[0]["model"]).with_suffix(".json").read_text())
    assert described["in_channels"] == channels
    # Accuracies on 14 images are whole fourteenths, so no other image was in the test.
    assert all((14 * row["test_accuracy"]) == pytest.approx(round(14 * row["test_accuracy"])) for row in rows)


def tint(path: Path) -> None:
    """Change an image so that its colour channels differ."""
    from PIL import Image

    with Image.open(path) as image:
        red, green, blue = image.convert("RGB").split()
        Image.merge("RGB", (red, green.point(lambda v: v // 2), blue)).save(path)
