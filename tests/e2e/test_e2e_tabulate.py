"""`edanas tabulate`: tables from the supernet of a run, from a new supernet, and wrong input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import Edanas, refused

from edanas.cli import main
from edanas.core.archive import Archive
from edanas.tables import Table


@pytest.fixture(scope="module")
def whole(arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in a space of three backbones, none of them cut, since a table holds whole backbones."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    settings = ("search.cut=false", "search.iterations=0", "search.results=1", "baseline.epochs=0")
    settings += ("supernet.widths=[0.1, 0.15, 0.2]", "supernet.depths=[1]", "supernet.kernels=[3]")
    flags = [part for setting in settings for part in ("--set", setting)]
    assert main([*arguments, "--out", str(folder), *flags]) == 0
    return folder


@pytest.fixture(scope="module")
def table(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three backbones of a finished run."""
    path = tmp_path_factory.mktemp("table") / "table.safetensors"
    assert main(["tabulate", "--run", str(whole), "--backbones", "3", "--out", str(path)]) == 0
    return path


def test_a_table_of_a_run_holds_the_profiles_of_the_run(table: Path, whole: Path) -> None:
    opened = Table.open(table)
    assert len(opened) == 3
    assert opened.parts == ("validation", "calibration")
    compared = 0
    with Archive(whole) as archive:
        for _, evaluation in archive.replay():
            profile = archive.get_profile(evaluation.candidate.id)
            if evaluation.candidate not in opened or profile is None or evaluation.metrics is None:
                continue
            row = opened.profile(evaluation.candidate.backbone)
            assert (row.confidence == profile.confidence.astype(np.float16)).all()
            assert (row.correct == profile.correct).all()
            metrics = opened.metrics(evaluation.candidate)
            assert metrics.backbone_accuracy == evaluation.metrics.backbone_accuracy
            assert (metrics.params, metrics.activations, metrics.backbone_macs) == (
                evaluation.metrics.params,
                evaluation.metrics.activations,
                evaluation.metrics.backbone_macs,
            )
            compared += 1
    assert compared >= 2
    assert [path.name for path in table.parent.iterdir()].count("table.safetensors") == 1


def test_a_table_without_a_run_trains_a_supernet(
    edanas: Edanas, tiny_config: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "table.safetensors"
    command = ["tabulate", "--config", tiny_config, "--data", pictures, "--held-out", "test", "--out", out]
    command += ["--set", "supernet.kernels=[3]", "--set", "supernet.depths=[1]"]
    output = edanas(*command, "--backbones", 4, "--json")
    assert output.code == 0, output.err
    summary = json.loads(output.out)
    assert (summary["backbones"], summary["space_size"], summary["exhaustive"]) == (1, 1, True)
    assert summary["parts"].keys() == {"validation", "test"}
    assert summary["provenance"]["settings"]["training"]["epochs"] == 2
    before = out.read_bytes()
    again = edanas(*command, "--backbones", 4)
    assert "already complete" in again.err
    assert "Holds: all 1 of 1 backbones" in again.out
    other = edanas(*command, "--backbones", 4, "--seed", 1)
    assert other.code == 2
    assert "seed: was 0, now 1" in other.err
    # Settings of the search do not change the table.
    assert edanas(*command, "--backbones", 4, "--set", "search.initial=9").code == 0
    supernet = out.with_name(f"{out.name}.work") / "supernet.pt"
    trained = supernet.stat()
    assert edanas(*command, "--backbones", 4, "--overwrite").code == 0
    assert (out.read_bytes(), supernet.stat().st_mtime_ns) == (before, trained.st_mtime_ns)
    shorter = edanas(*command, "--backbones", 4, "--overwrite", "--set", "training.epochs=1")
    assert shorter.code == 0, shorter.err
    assert supernet.stat().st_mtime_ns > trained.st_mtime_ns
    assert Table.open(out).description.provenance["settings"]["training"]["epochs"] == 1


WRONG = {
    "backbones": (["--backbones", "0"], ["backbones: found 0; allowed: 1 or more"]),
    "held-out part": (["--held-out", "tets"], ["Unknown part 'tets'", "Did you mean 'test'?"]),
    "no run": (["--run", "nowhere"], ["nowhere: holds no run", "config.toml"]),
    "evaluation": (["--set", "evaluation=finetune"], ["evaluation: was 'shared', now 'finetune'"]),
    "another seed": (["--seed", "7"], ["so these settings must not change: seed: was 0, now 7"]),
    "a folder": (["--out", "."], ["is a folder; expected a file"]),
    "no place": (["--out", "/proc/table"], ["/proc/table.work"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_with_one_error(
    edanas: Edanas, reference: Path, tmp_path: Path, name: str
) -> None:
    flags, parts = WRONG[name]
    usual = ["--run", reference, "--backbones", 2, "--out", tmp_path / "table.safetensors"]
    output = edanas("tabulate", *usual, *flags)
    assert output.code == 2, output.err
    assert "Traceback" not in output.err
    (error,) = [line for line in output.err.splitlines() if line.startswith("Error: ")]
    for part in parts:
        assert part in error
    assert not (tmp_path / "table.safetensors").exists()


def test_searched_heads_are_refused(
    edanas: Edanas, tiny_config: Path, pictures: Path, tmp_path: Path
) -> None:
    usual = ["tabulate", "--config", tiny_config, "--data", pictures, "--backbones", 2]
    output = edanas(*usual, "--out", tmp_path / "table", "--set", "classifier=searched")
    refused(output, "classifier: found 'searched', whose heads are searched", "e.g. pool-linear")


def test_a_run_without_a_trained_supernet_is_refused(
    edanas: Edanas, finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "table.safetensors"

    def refused() -> str:
        output = edanas("tabulate", "--run", finished_run, "--backbones", 2, "--out", out)
        assert output.code == 2, output.err
        return output.err

    supernet = finished_run / "supernet.pt"
    state = torch.load(supernet, weights_only=True)
    torch.save({**state, "step": 1}, supernet)
    assert "the supernet is trained for 1 of 4 steps; finish the run first" in refused()
    supernet.write_bytes(b"no weights")
    assert "is not the checkpoint of a supernet" in refused() or "is damaged" in refused()
    supernet.unlink()
    assert "holds no trained supernet (supernet.pt is missing)" in refused()
    assert not out.exists()


def test_images_changed_after_the_run_are_refused(
    edanas: Edanas, finished_run: Path, pictures: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "pictures"
    shutil.copytree(pictures, copy)
    images = sorted(copy.rglob("*.png"))
    shutil.copy(images[-1], images[0])
    out = tmp_path / "table.safetensors"
    config = finished_run / "config.toml"
    config.write_text(config.read_text().replace(str(pictures), str(copy)))
    output = edanas("tabulate", "--run", finished_run, "--backbones", 2, "--out", out)
    assert output.code == 2
    assert "the supernet was trained on other samples" in output.err
