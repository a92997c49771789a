"""A search of backbones with continuous thresholds, from the command to what it leaves."""

import re
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import Edanas, recorded, result_of

from edanas.cli import main
from edanas.core.archive import Archive
from edanas.run import console as progress

CONTINUOUS = ("--set", 'thresholds="continuous"')
SHORT = (
    *("--set", "search.initial=4", "--set", "search.per_iteration=2", "--set", "training.epochs=1"),
    *("--set", "examples=0", "--set", "supernet.widths=[0.1, 0.2]"),
)
TIMES = ("seconds", "environment")


@pytest.fixture(scope="module")
def nested(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """`run` and what makes it a tiny search of backbones, but for `--out`."""
    return (*arguments, "--set", "strategy=nested", *CONTINUOUS, *SHORT)


@pytest.fixture(scope="module")
def whole(nested: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a run. To be changed only in a copy."""
    folder = tmp_path_factory.mktemp("nested") / "run"
    assert main([*nested, "--out", str(folder)]) == 0
    return folder


def test_the_result_holds_the_trade_offs_of_every_backbone(whole: Path, undisturbed: Path) -> None:
    data, archive = result_of(whole), recorded(whole)
    assert data.keys() == result_of(undisturbed).keys()
    assert (data["evaluations"], data["failed"], data["stopped"]) == (6, 0, "completed")
    assert all(set(e.candidate.scheme.thresholds) == {1.0} for _, e in archive)
    came = {frozenset(e.candidate.backbone.choices): e.iteration for _, e in archive}
    assert len(came) == 6
    assert {row[2] for row in data["candidates"]} == {0, 1}
    for row in data["pareto"]:
        assert row["iteration"] == came[frozenset(row["backbone"].items())]
        numbers = [row[key] for key in ("executed_macs", "validation_accuracy", "iteration", "exits")]
        assert numbers in data["candidates"]
    # The dominated share of a box can only grow.
    assert data["hypervolume"] == sorted(data["hypervolume"])
    assert data["front"]
    assert all(0 <= row["calibration_accuracy"] <= 1 for row in data["front"])


def test_trade_offs_are_what_the_stored_profiles_say(whole: Path) -> None:
    ids = {frozenset(e.candidate.backbone.choices): e.candidate.id for _, e in recorded(whole)}
    # Something is to be seen: images leave in different places.
    assert any(0 < share < 1 for row in result_of(whole)["pareto"] for share in row["utilization"])
    with Archive(whole, read_only=True) as archive:
        for row in result_of(whole)["pareto"]:
            profile = archive.get_profile(ids[frozenset(row["backbone"].items())])
            assert profile is not None
            utilization, accuracy = left(profile, row["thresholds"])
            assert row["utilization"] == pytest.approx(utilization)
            assert row["validation_accuracy"] == pytest.approx(accuracy)


def left(profile: Any, thresholds: list[float | None]) -> tuple[list[float], float]:
    """The shares that leave at each exit point and the last exit, and the accuracy: sample by sample."""
    at, right = np.zeros(len(thresholds) + 1), 0
    for confidence, correct in zip(profile.confidence, profile.correct, strict=True):
        taken = next(
            (
                column
                for column, point in enumerate(profile.points)
                if (threshold := thresholds[point]) is not None and confidence[column] >= threshold
            ),
            None,
        )
        at[-1 if taken is None else profile.points[taken]] += 1
        right += correct[-1 if taken is None else taken]
    return list(at / len(profile)), right / len(profile)


def test_interrupted_it_goes_on_to_the_same_end(
    edanas: Edanas, nested: tuple[str, ...], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, advance = tmp_path / "run", progress._LineBar.advance

    def interrupting(bar: Any, *values: Any, **named: Any) -> None:
        advance(bar, *values, **named)
        if bar._label == "Search" and bar.done == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(progress._LineBar, "advance", interrupting)
        assert edanas(*nested, "--out", out).code == 130
    assert recorded(out) == recorded(whole)[:5]
    told = edanas("watch", out, "--once")
    assert told.code == 0
    assert "Backbones without early exits (validation, before fine-tuning)" in told.out
    told = edanas(*nested, "--out", out, "-v")
    assert told.code == 0, told.err
    assert recorded(out) == recorded(whole)
    first, second = ({k: v for k, v in result_of(f).items() if k not in TIMES} for f in (out, whole))
    assert first == second
    # What is told of a backbone is true of it: the last exit alone, at the backbone's own cost.
    _, last = recorded(out)[-1]
    (line,) = re.findall(r"^iteration 1: (.*)$", told.err, re.MULTILINE)
    assert line == (
        f"{last.candidate.id}, backbone, without early exits validation accuracy "
        f"{100 * last.metrics.backbone_accuracy:.1f}%, {last.metrics.backbone_macs / 1e6:.3f}M MACs"
    )


def test_page_and_terminal_show_trade_offs(edanas: Edanas, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    before = (folder / "report.html").read_text()
    assert edanas("report", folder).code == 0
    page = (folder / "report.html").read_text()
    assert page == before
    data = result_of(folder)
    distinct = {(cost, accuracy) for cost, accuracy, *_ in data["candidates"]}
    assert page.count('class="point dot') == len(distinct)
    named = re.findall(r"Trade-off (\w{12}), iteration (\d)", page)
    assert {(row["id"], str(row["iteration"])) for row in data["pareto"]} >= set(named) != set()
    assert "Generalisation gap of the thresholds" in page
    told = edanas("watch", folder, "--once")
    assert told.code == 0
    assert "Trade-offs of the search (validation, before fine-tuning)" in told.out
    assert "Thresholds were set on the calibration part" in told.out


MISTAKES = {
    "nested over a list": (
        ["--set", "strategy=nested"],
        "strategy: 'nested' works where thresholds are \"continuous\", and here they are a list",
    ),
    "surrogate-nsga2 over continuous thresholds": (
        CONTINUOUS,
        "strategy: 'surrogate-nsga2' works where thresholds are a list, and here they are \"continuous\"",
    ),
    "warm start from nowhere": (["--warm-start", "no/such/run"], "warm_start: no/such/run holds no run"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_does_not_go_together_is_one_error(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, case: str
) -> None:
    given, text = MISTAKES[case]
    told = edanas(*arguments, *SHORT, *given, "--out", tmp_path / "run")
    assert (told.code, told.out) == (2, "")
    last = told.err.splitlines()[-1]
    assert last.startswith("Error: ")
    assert text in last
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []
