"""Plots of three objectives: positions of the candidates, and their front."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edanas.core.errors import EdanasError
from edanas.report.objective_plots import TradeOffs, draw_pairs, draw_parallel
from edanas.report.plots import CANDIDATE, EARLY, SINGLE
from edanas.report.result import Result
from edanas.report.writing import write_views


@pytest.fixture
def three(data: dict[str, Any]) -> dict[str, Any]:
    """The third breaks a constraint, the fourth is dominated by the first."""
    return {
        **data,
        "objectives": [
            {"name": "accuracy", "unit": "%", "maximise": True},
            {"name": "executed-macs", "unit": "MACs", "maximise": False},
            {"name": "params", "unit": "parameters", "maximise": False},
        ],
        "values": [[0.9, 2e6, 40_000], [0.8, 1e6, 50_000], [0.99, 1e6, 10_000], [0.9, 3e6, 40_000]],
        "violations": [0.0, 0.0, 0.5, 0.0],
    }


def points(axes: Any, color: str) -> set[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_color() == color]
    return {tuple(np.round(point, 6).tolist()) for line in lines for point in line.get_xydata()}


def test_each_pair_shows_every_candidate_in_its_group(three: dict[str, Any]) -> None:
    figure = draw_pairs(three)
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == 3
    first, second, third = visible
    assert (second.get_xlabel(), second.get_ylabel()) == ("accuracy (%)", "params (k parameters)")
    assert (third.get_xlabel(), first.get_ylabel()) == ("executed-macs (M MACs)", "executed-macs (M MACs)")
    assert points(second, EARLY) == {(90, 40), (80, 50)}
    assert points(second, SINGLE) == {(99, 10)}
    assert points(first, CANDIDATE) == {(90, 3)}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["dominated", "breaks a constraint", "Pareto set"]


def test_lines_run_from_objective_to_objective_with_the_better_up(three: dict[str, Any]) -> None:
    (axes,) = draw_parallel(three).axes
    lines = {tuple(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 3}
    assert lines == {(1.0, 0.0, 1.0), (0.0, 1.0, 0.0)}
    assert axes.get_xticklabels()[0].get_text() == "accuracy (%)"
    assert [text.get_text() for text in axes.texts] == ["90", "80", "1", "2", "40", "50"]


def test_the_least_violation_is_the_front_if_nothing_is_feasible(three: dict[str, Any]) -> None:
    trade_offs = TradeOffs.of({**three, "violations": [0.5, 0.2, 0.5, 0.9]})
    assert trade_offs.front.tolist() == [False, True, False, False]
    assert len(draw_parallel({**three, "violations": [0.5, 0.2, 0.5, 0.9]}).axes[0].texts) == 6


def test_a_result_names_its_plots_and_what_it_lacks(data: dict[str, Any]) -> None:
    with pytest.raises(EdanasError, match=r"kind: Unknown plot 'pair'\. Did you mean 'pairs'"):
        Result("run", data).plot(kind="pair")
    with pytest.raises(EdanasError, match="lacks the candidates' objective values"):
        Result("run", data).plot(kind="pairs")


def test_more_than_two_objectives_leave_two_plots_more(tmp_path: Path, three: dict[str, Any]) -> None:
    write_views(Result(tmp_path, three))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"pareto.csv", "pareto.svg", "pareto.png", "report.html", "pairs.svg", "parallel.svg"}
