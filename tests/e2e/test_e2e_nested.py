"""A search of backbones with continuous thresholds, from the command to its files."""

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
from edanas.core.types import Evaluation
from edanas.run import console as progress

CONTINUOUS = ("--set", 'thresholds="continuous"')
SHORT = (
    *("--set", "search.initial=4", "--set", "search.per_iteration=2", "--set", "training.epochs=1"),
    *("--set", "examples=0", "--set", "supernet.widths=[0.1, 0.2]"),
    # Networks without fine-tuning still gain from early exits; the budget lets samples leave at two exits.
    *("--set", "finetune.epochs=0", "--set", "final_thresholds=budget:0.09M"),
)
STAGES = 5
"""The number of stages of a whole backbone."""

TIMES = ("seconds", "environment")


@pytest.fixture(scope="module")
def nested_arguments(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The command line of a short search of backbones, without `--out`."""
    return (*arguments, "--set", "strategy=nested", *CONTINUOUS, *SHORT)


@pytest.fixture(scope="module")
def nested_run(nested_arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished search of backbones, shared by all tests: change copies only."""
    folder = tmp_path_factory.mktemp("nested") / "run"
    assert main([*nested_arguments, "--out", str(folder)]) == 0
    return folder


def test_the_result_holds_the_trade_offs_of_every_backbone(nested_run: Path, reference: Path) -> None:
    data, archive = result_of(nested_run), recorded(nested_run)
    assert data.keys() == result_of(reference).keys()
    assert (data["evaluations"], data["failed"], data["stopped"]) == (6, 0, "completed")
    assert all(set(e.candidate.scheme.thresholds) == {1.0} for _, e in archive)
    assert len({e.candidate.backbone.id for _, e in archive}) == 6
    assert {row[2] for row in data["candidates"]} == {0, 1}
    for row in data["pareto"]:
        assert row["iteration"] in {e.iteration for e in sources(row, archive)}
        numbers = [row[key] for key in ("executed_macs", "validation_accuracy", "iteration", "exits")]
        assert numbers in data["candidates"]
    # The hypervolume never falls.
    assert data["hypervolume"] == sorted(data["hypervolume"])
    assert data["front"]
    assert all(0 <= row["calibration_accuracy"] <= 1 for row in data["front"])


def sources(row: dict[str, Any], archive: list[Any]) -> list[Evaluation]:
    """Return the evaluations of backbones that a row's backbone is equal to or the first stages of."""
    choices = dict(row["backbone"])
    stages = choices.pop("stages", STAGES)
    longer = [e for _, e in archive if dict(e.candidate.backbone.choices).get("stages", STAGES) >= stages]
    return [e for e in longer if choices.items() <= dict(e.candidate.backbone.choices).items()]


def test_trade_offs_agree_with_the_stored_profiles(nested_run: Path) -> None:
    evaluated = recorded(nested_run)
    # The test is meaningful: images exit at different exits.
    assert any(0 < share < 1 for row in result_of(nested_run)["pareto"] for share in row["utilization"])
    with Archive(nested_run, read_only=True) as archive:
        for row in result_of(nested_run)["pareto"]:
            figures = []
            for source in sources(row, evaluated):
                profile = archive.get_profile(source.candidate.id)
                assert profile is not None
                stages = row["backbone"].get("stages", STAGES)
                figures.append(shares_and_accuracy(profile, row["thresholds"], stages))
            assert pytest.approx([*row["utilization"], row["validation_accuracy"]]) in figures


def shares_and_accuracy(profile: Any, thresholds: list[float | None], stages: int) -> list[float]:
    """Return the utilization of each exit point and the last exit, then the accuracy, sample by sample.

    A network of fewer stages than the profile's network ends at an exit point.
    """
    counts, correct_count = np.zeros(len(thresholds) + 1), 0
    last = -1 if stages == STAGES else profile.points.index(stages - 1)
    for confidence, correct in zip(profile.confidence, profile.correct, strict=True):
        exit_column = next(
            (
                column
                for column, point in enumerate(profile.points)
                if point < stages - 1
                and (threshold := thresholds[point]) is not None
                and confidence[column] >= threshold
            ),
            None,
        )
        counts[-1 if exit_column is None else profile.points[exit_column]] += 1
        correct_count += correct[last if exit_column is None else exit_column]
    return [*(counts / len(profile)), correct_count / len(profile)]


def test_an_interrupted_search_resumes_to_the_same_result(
    edanas: Edanas,
    nested_arguments: tuple[str, ...],
    nested_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, advance = tmp_path / "run", progress._LineBar.advance

    def interrupting(bar: Any, *values: Any, **named: Any) -> None:
        advance(bar, *values, **named)
        if bar._label == "Search" and bar.done == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(progress._LineBar, "advance", interrupting)
        assert edanas(*nested_arguments, "--out", out).code == 130
    assert recorded(out) == recorded(nested_run)[:5]
    output = edanas("watch", out, "--once")
    assert output.code == 0
    assert "Backbones without early exits (validation, before fine-tuning)" in output.out
    output = edanas(*nested_arguments, "--out", out, "-v")
    assert output.code == 0, output.err
    assert recorded(out) == recorded(nested_run)
    first, second = ({k: v for k, v in result_of(f).items() if k not in TIMES} for f in (out, nested_run))
    assert first == second
    # The line of a backbone gives the accuracy and the cost of its last exit.
    _, last = recorded(out)[-1]
    (line,) = re.findall(r"^iteration 1: (.*)$", output.err, re.MULTILINE)
    assert line == (
        f"{last.candidate.id}, backbone, without early exits validation accuracy "
        f"{100 * last.metrics.backbone_accuracy:.1f}%, {last.metrics.backbone_macs / 1e6:.3f}M MACs"
    )


def test_page_and_terminal_show_trade_offs(edanas: Edanas, nested_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(nested_run, tmp_path / "run"))
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
    output = edanas("watch", folder, "--once")
    assert output.code == 0
    assert "Trade-offs of the search (validation, before fine-tuning)" in output.out
    assert "Thresholds were set on the calibration part" in output.out


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
def test_settings_that_exclude_each_other_give_one_error(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, case: str
) -> None:
    flags, text = MISTAKES[case]
    output = edanas(*arguments, *SHORT, *flags, "--out", tmp_path / "run")
    assert (output.code, output.out) == (2, "")
    last = output.err.splitlines()[-1]
    assert last.startswith("Error: ")
    assert text in last
    assert "Traceback" not in output.err
    assert list(tmp_path.iterdir()) == []
