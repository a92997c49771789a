"""Wrong input: one clear error, exit code 2, no traceback, and no loss of data."""

import errno
import io
import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import Edanas, recorded, refused, result_of

from edanas.report import plots

SETTINGS = {
    "bundle": (["--plugin", "mbv3-ms"], ["plugin: unknown bundle 'mbv3-ms'", "Did you mean 'mbv3-sm'?"]),
    "preset": (
        ["--preset", "papr"],
        [
            "preset: bundle 'mbv3-sm' has no preset 'papr'. Did you mean 'paper'?",
            "auto, best, cifar, microcontroller, paper, paper-code, quick",
        ],
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
    "seconds": (["--time-limit", "-0.5"], ["time_limit", "-0.5", ">= 0"]),
    "seed": (["--seed", "-3"], ["seed", "-3", ">= 0"]),
    "shares": (["--set", "split.test=0.9"], ["split:", "sum to 1"]),
    "device": (["--device", "cuda:77"], ["device: 'cuda:77' does not exist", "CUDA devices", "'auto'"]),
    "device's form": (["--device", "gpu"], ["device", "'gpu'", "auto, cpu, cuda or cuda:N"]),
    "data's name": (["--data", "digts"], ["data: 'digts'", "Did you mean 'digits'?"]),
    "download": (["--download"], ["data.download", "no such option"]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_wrong_setting_is_refused_and_nothing_is_written(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, case: str
) -> None:
    flags, parts = SETTINGS[case]
    refused(edanas(*arguments, *flags, "--out", tmp_path / "run"), *parts)
    assert list(tmp_path.iterdir()) == []
    refused(edanas(*arguments, *flags, "--dry-run"), *parts)


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
def test_unusable_data_is_refused(
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


def test_an_image_folder_without_permission_is_refused(
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
    output = edanas(*arguments, "--out", tmp_path / "run")
    refused(output, f"{pictures / 'rows'}: cannot be read: Permission denied")


def test_a_run_folder_without_permission_is_refused(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(folder: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    refused(edanas(*arguments, "--out", tmp_path / "run"), f"{tmp_path / 'run'}: Permission denied")


def test_a_run_folder_that_is_a_file_is_refused(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.write_text("mine")
    for flags in ([], ["--overwrite"]):
        refused(edanas(*arguments, "--out", out, *flags), f"{out}: is a file; expected a folder")
    assert out.read_text() == "mine"
    refused(edanas(*arguments, "--out", out / "below"), f"{out / 'below'}: Not a directory")


@pytest.mark.parametrize("limit", [5_000, 60_000])
def test_a_run_resumes_after_a_file_reaches_the_size_limit(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, tmp_path: Path, limit: int
) -> None:
    """The system refuses to write beyond a file size."""
    out = tmp_path / "run"
    biggest = max(path.stat().st_size for path in reference.iterdir())
    assert limit < biggest
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        output = edanas(*arguments, "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    refused(output, str(out))
    assert edanas(*arguments, "--out", out).code == 0
    assert recorded(out) == recorded(reference)
    assert result_of(out)["front"] == result_of(reference)["front"]


OPEN, SAVE = io.open, plots._save


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


EARLY = ("config.toml", "env.json", "supernet.pt", ".safetensors", ".row.json", "log.jsonl")
REPORT = ("pareto.csv", "pareto.svg", "report.html", "result.json")
"""Files that are written at the end of a run, from what lies in the folder."""


@pytest.mark.parametrize("ending", [*EARLY, *REPORT])
def test_a_run_resumes_after_the_disk_was_full(
    edanas: Edanas,
    arguments: tuple[str, ...],
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    """Files can be opened, and `write` fails as on a full disk: the error names no file."""
    out = tmp_path / "run"
    if ending in REPORT:
        shutil.copytree(reference, out)
        (out / "result.json").unlink()

    def full(path: Any, mode: str = "r", *values: Any, **named: Any) -> Any:
        file = OPEN(path, mode, *values, **named)
        is_chosen = isinstance(path, (str, Path)) and ending in Path(path).name
        return Full(file) if is_chosen and mode[0] in "wa" and Path(path).is_relative_to(out) else file

    with monkeypatch.context() as patched:
        patched.setattr("io.open", full)
        patched.setattr("builtins.open", full)
        patched.setattr(plots, "_save", SAVE)
        output = edanas(*arguments, "--out", out)
    error = refused(output, f"{out}{os.sep}", "o space left")
    # The error names the final file, not the temporary one.
    assert ending in error
    assert ".partial" not in error
    done = recorded(out)
    assert done == recorded(reference)[: len(done)]
    assert not (out / "result.json").exists()
    assert edanas(*arguments, "--out", out).code == 0
    assert recorded(out) == recorded(reference)
    assert result_of(out)["front"] == result_of(reference)["front"]


def test_wrong_weights_are_refused(edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path) -> None:
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
    # The folder is still free for a run.
    assert edanas(*arguments, "--out", out, "--max-evals", 2).code == 0


def test_a_wrong_settings_file_is_refused(edanas: Edanas, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    refused(edanas("run", "--config", path), f"{path}: cannot be read: No such file")
    path.write_text("seed = 1\nthreads = = 2\n")
    refused(edanas("run", "--config", path), f"{path}, line 2, column 11", "expected TOML")
    path.write_text("[serach]\ninitial = 5\n")
    refused(edanas("run", "--config", path), f"serach: unknown setting, from {path}", "'search'")


def test_report_refuses_a_folder_without_a_run_or_with_a_damaged_result(
    edanas: Edanas, finished_run: Path, tmp_path: Path
) -> None:
    refused(edanas("report", tmp_path / "none"), f"{tmp_path / 'none'}: no such folder")
    refused(
        edanas("report", tmp_path), f"{tmp_path / 'result.json'}: does not exist; the run is not finished"
    )
    path = finished_run / "result.json"
    content = path.read_text()
    path.write_text(content[: len(content) // 2])
    refused(edanas("report", finished_run), f"{path}: is damaged")
    refused(edanas("report", finished_run, "--json"), f"{path}: is damaged")
    data = json.loads(content)
    del data["static_front"][0]["ada_macs"]
    path.write_text(json.dumps(data))
    refused(
        edanas("report", finished_run), f"{path}: is damaged: static_front[0] does not match its checksum"
    )
    del data["checksums"]  # as in a file of an older version
    path.write_text(json.dumps(data))
    refused(edanas("report", finished_run), f"{path}: static_front[0]: 'ada_macs' is missing")


def test_a_damaged_result_is_written_again_from_the_archive(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, reference: Path
) -> None:
    (finished_run / "result.json").write_text("{")
    assert edanas(*arguments, "--out", finished_run).code == 0
    assert result_of(finished_run)["front"] == result_of(reference)["front"]


def test_a_dry_run_refuses_what_the_run_refuses(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 torn")
    (tmp_path / "file").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.toml").touch()
    for options, message in (
        (["--weights", tmp_path / "none.pt"], "none.pt"),
        (["--weights", tmp_path / "torn.pt"], "torn.pt: not a weights file"),
        (["--set", f"teacher={tmp_path / 'none.pt'}", "--set", "training.distillation=0.5"], "none.pt"),
        (["--warm-start", tmp_path / "none"], "none holds no run"),
        (["--set", "search.iterations=1", "--seed", 7, "--out", finished_run], "seed: was 0, now 7"),
        (["--out", tmp_path / "file"], "file: is a file"),
        (["--out", tmp_path / "mine"], "mine holds config.toml but no archive"),
    ):
        before = sorted(map(str, tmp_path.rglob("*")))
        error = refused(edanas(*arguments, *options, "--dry-run"), message)
        assert sorted(map(str, tmp_path.rglob("*"))) == before
        place = [] if "--out" in options else ["--out", tmp_path / "new"]
        assert refused(edanas(*arguments, *options, *place), message) == error
        shutil.rmtree(tmp_path / "new", ignore_errors=True)
    output = edanas(*arguments, "--out", finished_run, "--dry-run")
    assert output.code == 0, output.err
