"""Whatever is wrong with what the user gave: one clear error, exit code 2, no traceback, nothing lost."""

import errno
import io
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import Edanas, Told, draw, draw_classes, recorded, result_of


def refused(told: Told, *parts: str) -> str:
    """The one error, on standard error and nowhere else, that holds all of `parts`."""
    assert told.code == 2, told.err
    assert "Traceback" not in told.out + told.err
    errors = [line for line in told.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, told.err
    assert errors[0] == told.err.splitlines()[-1]
    for part in parts:
        assert part in errors[0]
    return errors[0]


SETTINGS = {
    "bundle": (["--plugin", "mbv3-ms"], ["plugin: unknown bundle 'mbv3-ms'", "Did you mean 'mbv3-sm'?"]),
    "preset": (
        ["--preset", "papr"],
        ["preset:", "'papr'", "Did you mean 'paper'?", "auto, best, cifar, paper, quick"],
    ),
    "group": (
        ["--set", "serach.initial=5"],
        ["serach: unknown setting, from --set", "Did you mean 'search'?"],
    ),
    "key": (["--set", "search.intial=5"], ["search.intial: unknown setting", "'search.initial'?"]),
    "option": (["--set", "supernet.stem_strid=1"], ["supernet.stem_strid", "Did you mean 'stem_stride'?"]),
    "component": (["--set", "criterion=score-margn"], ["criterion: unknown", "Did you mean 'score-margin'?"]),
    "surrogate": (["--set", 'surrogates=["rfb"]'], ["surrogates: unknown", "Did you mean 'rbf'?"]),
    "evaluation": (["--evaluation", "sharde"], ["evaluation: unknown", "Did you mean 'shared'?"]),
    "type": (["--set", "search.initial=many"], ["search.initial", "'many'", "whole number"]),
    "option's type": (["--set", "supernet.widths=wide"], ["supernet.widths", "'wide'"]),
    "option's range": (
        ["--set", "supernet.kernels=[4]"],
        ["supernet.kernels", "4; allowed: odd numbers from 1 to 15"],
    ),
    "assignment": (["--set", "epochs"], ["--set: found 'epochs'", "KEY=VALUE"]),
    "threshold above": (["--set", "thresholds=[0.5, 1.5]"], ["thresholds[2]: 1.5", "<= 1"]),
    "threshold below": (["--set", "thresholds=[-0.1]"], ["thresholds[1]: -0.1", ">= 0"]),
    "threshold's word": (["--set", 'thresholds=["nine"]'], ["thresholds[1]: 'nine'", 'or "none"']),
    "evaluations": (["--max-evals", "-1"], ["search.max_evals", "-1", ">= 0"]),
    "seconds": (["--time-limit", "-0.5"], ["search.time_limit", "-0.5", ">= 0"]),
    "seed": (["--seed", "-3"], ["seed", "-3", ">= 0"]),
    "shares": (["--set", "split.test=0.9"], ["split:", "sum to 1"]),
    "device": (["--device", "cuda:77"], ["device: 'cuda:77' is not there", "CUDA devices", "'auto'"]),
    "device's form": (["--device", "gpu"], ["device", "'gpu'", "auto, cpu, cuda or cuda:N"]),
    "data's name": (["--data", "digts"], ["data: 'digts'", "Did you mean 'digits'?"]),
    "download": (["--download"], ["data.download", "no such option"]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, case: str) -> None:
    given, parts = SETTINGS[case]
    refused(edanas(*arguments, *given, "--out", tmp_path / "run"), *parts)
    assert list(tmp_path.iterdir()) == []
    refused(edanas(*arguments, *given, "--dry-run"), *parts)


def empty_class(folder: Path) -> list[str]:
    (folder / "empty").mkdir()
    return [f"{folder / 'empty'}: class folder without an image"]


def corrupt_image(folder: Path) -> list[str]:
    (folder / "rows" / "7.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return [f"{folder / 'rows' / '7.png'}: cannot be read as an image"]


def one_class(folder: Path) -> list[str]:
    for name in ("rows", "noise"):
        shutil.rmtree(folder / name)
    return [f"{folder}: at least 2 class folders are needed; found 'columns'"]


def too_few(folder: Path) -> list[str]:
    for number in range(3, 40):
        (folder / "rows" / f"{number}.png").unlink()
    return ["class 'rows' has 3 samples", "at least 4 are needed"]


def nothing(folder: Path) -> list[str]:
    shutil.rmtree(folder)
    return [f"{folder}: no such folder"]


def a_file(folder: Path) -> list[str]:
    shutil.rmtree(folder)
    folder.write_text("")
    return [f"{folder}: is a file; expected a folder"]


def forbidden(folder: Path) -> list[str]:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (folder / "rows").chmod(0)
    return [f"{folder / 'rows'}", "Permission denied"]


SPOILED = (empty_class, corrupt_image, one_class, too_few, nothing, a_file, forbidden)


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_data(
    edanas: Edanas,
    arguments: tuple[str, ...],
    pictures: Path,
    tmp_path: Path,
    spoil: Callable[[Path], list[str]],
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    parts = spoil(folder)
    refused(edanas(*arguments, "--data", folder, "--out", tmp_path / "run"), *parts)
    refused(edanas(*arguments, "--data", folder, "--dry-run"), *parts)


def test_a_folder_of_images_without_permission(
    edanas: Edanas,
    arguments: tuple[str, ...],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scandir = os.scandir

    def scan(folder: Any) -> Any:
        if Path(folder).name == "rows":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    told = edanas(*arguments, "--out", tmp_path / "run")
    refused(told, f"{pictures / 'rows'}: cannot be read: Permission denied")


def test_a_run_folder_without_permission(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(folder: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    refused(edanas(*arguments, "--out", tmp_path / "run"), f"{tmp_path / 'run'}: Permission denied")


def test_a_run_folder_that_is_a_file(edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.write_text("mine")
    for given in ([], ["--overwrite"]):
        refused(edanas(*arguments, "--out", out, *given), f"{out}: is a file; expected a folder")
    assert out.read_text() == "mine"
    refused(edanas(*arguments, "--out", out / "below"), f"{out / 'below'}: Not a directory")


@pytest.mark.parametrize("limit", [5_000, 60_000])
def test_no_space_for_a_file(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path, limit: int
) -> None:
    """The system refuses to write beyond a size."""
    out = tmp_path / "run"
    biggest = max(path.stat().st_size for path in undisturbed.iterdir())
    assert limit < biggest
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        told = edanas(*arguments, "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    refused(told, str(out))
    assert edanas(*arguments, "--out", out).code == 0
    assert recorded(out) == recorded(undisturbed)
    assert result_of(out)["front"] == result_of(undisturbed)["front"]


OPEN = io.open


class Full:
    """A file on a full disk."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, *_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *_: Any) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize(
    "ending",
    [
        "config.toml.partial",
        "env.json.partial",
        "supernet.partial",
        ".safetensors",
        ".row.partial",
        "log.jsonl",
        "pareto.csv",
        "pareto.svg",
        "report.html",
        "result.json.partial",
    ],
)
def test_no_space_on_the_disk(
    edanas: Edanas,
    arguments: tuple[str, ...],
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    """Files can be opened, and `write` fails as it does in truth: with an error that knows no name."""
    out = tmp_path / "run"

    def full(path: Any, mode: str = "r", *values: Any, **named: Any) -> Any:
        file = OPEN(path, mode, *values, **named)
        named_so = isinstance(path, (str, Path)) and ending in Path(path).name
        return Full(file) if named_so and mode[0] in "wa" and Path(path).is_relative_to(out) else file

    with monkeypatch.context() as patched:
        patched.setattr("io.open", full)
        patched.setattr("builtins.open", full)
        told = edanas(*arguments, "--out", out)
    error = refused(told, f"{out}{os.sep}", "o space left")
    # A file that is put in place when it is whole goes by its own name.
    assert ending.removesuffix(".partial") in error
    done = recorded(out)
    assert done == recorded(undisturbed)[: len(done)]
    assert not (out / "result.json").exists()
    assert edanas(*arguments, "--out", out).code == 0
    assert recorded(out) == recorded(undisturbed)
    assert result_of(out)["front"] == result_of(undisturbed)["front"]


def test_weights(edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path) -> None:
    other, text, out = tmp_path / "other.pt", tmp_path / "text.pt", tmp_path / "run"
    torch.save({"conv.weight": torch.zeros(3, 3)}, other)
    text.write_text("no weights")
    refused(edanas(*arguments, "--out", out, "--weights", other), str(other), "has shape none; expected (")
    refused(edanas(*arguments, "--out", out, "--weights", text), f"{text}: not a weights file")
    refused(edanas(*arguments, "--out", out, "--weights", tmp_path), "a folder; expected a file")
    name = "ofa_mbv3_d234_e346_k357_w1.1"
    refused(
        edanas(*arguments, "--out", out, "--weights", name),
        f"weights '{name}': no such file",
        "Did you mean 'ofa_mbv3_d234_e346_k357_w1.",
    )
    # The folder is still free for what was meant.
    assert edanas(*arguments, "--out", out, "--max-evals", 2).code == 0


def test_a_file_of_settings(edanas: Edanas, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    refused(edanas("run", "--config", path), f"{path}: cannot be read: No such file")
    path.write_text("seed = 1\nthreads = = 2\n")
    refused(edanas("run", "--config", path), f"{path}, line 2, column 11", "expected TOML")
    path.write_text("[serach]\ninitial = 5\n")
    refused(edanas("run", "--config", path), f"serach: unknown setting, from {path}", "'search'")


def test_reports_of_what_is_no_run(edanas: Edanas, finished: Path, tmp_path: Path) -> None:
    refused(edanas("report", tmp_path / "none"), f"{tmp_path / 'none'}: no such folder")
    refused(edanas("report", tmp_path), f"{tmp_path / 'result.json'}: not there; the run is not finished")
    path = finished / "result.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    refused(edanas("report", finished), f"{path}: is damaged")
    refused(edanas("report", finished, "--json"), f"{path}: is damaged")
    data = json.loads(whole)
    del data["front"][1]["ada_macs"]
    path.write_text(json.dumps(data))
    refused(edanas("report", finished), f"{path}: front[1]: 'ada_macs' is not there")


def test_a_damaged_result_is_written_anew_from_the_archive(
    edanas: Edanas, arguments: tuple[str, ...], finished: Path, undisturbed: Path
) -> None:
    (finished / "result.json").write_text("{")
    assert edanas(*arguments, "--out", finished).code == 0
    assert result_of(finished)["front"] == result_of(undisturbed)["front"]


PLUGIN = """
from edanas import hookimpl
from edanas.core.contracts import ConfidenceCriterion, Exporter
from edanas.evaluation.shared import SharedEvaluation
from edanas.strategies.random_search import RandomSearch
from edanas.data.digits import Digits

class Criterion(ConfidenceCriterion):
    def __call__(self, logits):
        return logits
    def __init__(self):
        raise ValueError("no criterion today")

class Evaluation(SharedEvaluation):
    def evaluate(self, candidate):
        raise ValueError("no luck")

class Unprepared(SharedEvaluation):
    def prepare(self, progress):
        raise KeyError("weights")

class Strategy(RandomSearch):
    def ask(self, count):
        return [None][count]

class Data(Digits):
    def load(self, size, seed):
        raise FileNotFoundError(2, "No such file", "/there/it/was")

class Writer(Exporter):
    def export(self, network, stem):
        raise RuntimeError("no pen")

class Picky(Exporter):
    def __init__(self):
        self.asked = 0
    def export(self, network, stem):
        self.asked += 1
        if self.asked in (1, 3):
            raise RuntimeError("not this one")
        return []

@hookimpl
def edanas_confidence_criteria(): return {"raising": Criterion}
@hookimpl
def edanas_evaluations(): return {"raising": Evaluation, "unprepared": Unprepared}
@hookimpl
def edanas_search_strategies(): return {"raising": Strategy}
@hookimpl
def edanas_data_sets(): return {"raising": Data}
@hookimpl
def edanas_exporters(): return {"raising": Writer, "picky": Picky}
@hookimpl
def edanas_candidate_evaluated(evaluation): raise ValueError("deaf")
@hookimpl
def edanas_run_finished(result): raise ValueError("dumb")
"""
NAMED = "plugin e2e-raising 1.0 (entry point 'raising')"


@pytest.fixture
def raising(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed plugin whose every part raises."""
    folder = tmp_path / "site"
    info = folder / "e2e_raising-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "e2e_raising_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: e2e-raising\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edanas]\nraising = e2e_raising_plugin\n")
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("e2e_raising_plugin", None)


RAISING = {
    "factory": (
        "criterion=raising",
        [f"{NAMED}: confidence criterion 'raising' raised", "no criterion today"],
    ),
    "data": ("data=raising", [f"{NAMED} raised FileNotFoundError", "/there/it/was"]),
    "preparation": ("evaluation=unprepared", [f"{NAMED} raised KeyError: 'weights'"]),
    "strategy": ("strategy=raising", [f"{NAMED} raised IndexError"]),
    "exporter": (
        'exports=["raising"]',
        ["none of the 2 early-exit networks", "most frequent reason (2 times) is RuntimeError: no pen"],
    ),
    "evaluation": (
        "evaluation=raising",
        ["none of the 6 candidates", "most frequent reason (6 times) is ValueError: no luck", "--overwrite"],
    ),
}


@pytest.mark.parametrize("part", RAISING)
def test_a_plugin_that_raises_is_named(
    edanas: Edanas, tiny: Path, pictures: Path, raising: None, tmp_path: Path, part: str
) -> None:
    setting, parts = RAISING[part]
    out = tmp_path / "run"
    told = edanas("run", "--config", tiny, f"--set=data={pictures}", "--set", setting, "--out", out)
    error = refused(told, *parts)
    assert "fault of edanas" not in error
    if part in ("factory", "data"):
        assert not out.exists()
        refused(edanas("run", "--config", tiny, "--set", setting, "--dry-run"), *parts)


def test_networks_that_cannot_be_finished_are_recorded_and_passed_over(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, raising: None, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = edanas(*arguments, "--set", 'exports=["picky"]', "--out", out)
    assert told.code == 0, told.err
    data, whole = result_of(out), result_of(undisturbed)
    ids = {kind: [row["id"] for row in data[kind]] for kind in ("front", "static_front")}
    assert ids["front"] == [row["id"] for row in whole["front"]][1:]
    failed = [failure["id"] for failure in data["failures"]]
    # The third network to be finished is a single-exit one.
    assert failed[0] == whole["front"][0]["id"]
    assert len(failed) == 2
    assert failed[1] not in ids["front"] + ids["static_front"]
    assert {failure["error"] for failure in data["failures"]} == {"RuntimeError: not this one"}
    assert data["failed"] == 0
    for name in failed:
        assert f"Network {name} could not be finished: RuntimeError: not this one" in told.err
    assert edanas("report", out).code == 0


def test_a_plugin_that_raises_in_events_is_reported_once_and_the_run_goes_on(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, raising: None, tmp_path: Path
) -> None:
    told = edanas(*arguments, "--out", tmp_path / "run")
    assert told.code == 0, told.err
    for event, text in (("edanas_candidate_evaluated", "deaf"), ("edanas_run_finished", "dumb")):
        line = f"{NAMED}: {event} raised ValueError: {text}; the run goes on without it"
        assert told.err.splitlines().count(line) == 1
    assert recorded(tmp_path / "run") == recorded(undisturbed)


def test_mixed_images_are_converted_and_it_is_said_once(
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
    told = edanas(*arguments, "--data", folder, "--out", out, "--max-evals", 3)
    assert told.code == 0, told.err
    remarks = result_of(out)["remarks"]
    assert any("were resized from 32x32 to 8x8" in remark for remark in remarks)
    assert any("were converted to 8-bit grey or RGB" in remark for remark in remarks)
    assert any("notes.txt" in remark for remark in remarks)
    for remark in remarks:
        assert told.err.count(remark) == 1
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
    told = edanas(*arguments, "--data", folder, "--out", out, "--max-evals", 3)
    assert told.code == 0, told.err
    data = result_of(out)
    assert data["samples"]["test"] == 14
    assert sum(data["samples"].values()) == 54
    rows = data["front"] + data["static_front"]
    described = json.loads((out / rows[0]["model"]).with_suffix(".json").read_text())
    assert described["in_channels"] == channels
    # Accuracies on 14 images are whole fourteenths: nothing else was tested on.
    assert all((14 * row["test_accuracy"]) == pytest.approx(round(14 * row["test_accuracy"])) for row in rows)


def tint(path: Path) -> None:
    """Make a picture truly coloured."""
    from PIL import Image

    with Image.open(path) as image:
        red, green, blue = image.convert("RGB").split()
        Image.merge("RGB", (red, green.point(lambda v: v // 2), blue)).save(path)
