import copy
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edanas
from edanas.core.errors import EdanasError
from edanas.core.result_row import ResultRow
from edanas.report.attainment import attained
from edanas.report.comparison import compare
from edanas.report.result import Result


def changed(data: dict[str, Any], folder: str = "runs/a", gain: float = 0.0, **settings: Any) -> Result:
    """The small result with other settings, and with accuracies that are better by `gain`."""
    new = copy.deepcopy(data)
    new["settings"] |= settings
    new["seed"] = new["settings"]["seed"]
    for row in new["front"]:
        row["test_accuracy"] += gain
    return Result(folder, new)


def test_runs_that_differ_in_seed_and_machine_alone_are_one_method(data: dict[str, Any]) -> None:
    a = changed(data, "runs/a", strategy="nested", seed=5)
    b = changed(data, "runs/b", strategy="nested", seed=1, threads=2, device="cuda")
    c = changed(data, "runs/c", strategy="random", seed=1)
    comparison = compare([a, b, c])
    assert [(m.name, [r.seed for r in m.results]) for m in comparison.methods] == [
        ("strategy=nested", [1, 5]),
        ("strategy=random", [1]),
    ]


def on(data: dict[str, Any], images: Any, seed: int) -> Result:
    """The small result, with other settings of `data` and another seed."""
    return Result(f"runs/{seed}", {**data, "settings": {**data["settings"], "data": images}, "seed": seed})


def test_images_are_the_same_wherever_they_lie(data: dict[str, Any]) -> None:
    forms = ["photos", "/home/me/photos", {"name": "folder", "path": "../photos"}]
    (method,) = compare(on(data, form, seed) for seed, form in enumerate(forms)).methods
    assert len(method.results) == 3
    (method,) = compare([on(data, "svhn", 1), on(data, {"name": "svhn", "download": True}, 2)]).methods
    assert len(method.results) == 2
    grey = {"name": "folder", "path": "photos", "channels": "grey"}
    with pytest.raises(
        EdanasError, match=r"found data \{'name': 'photos', 'channels': 'grey'\}; allowed: photos"
    ):
        compare([on(data, "photos", 1), on(data, grey, 2)])


def test_given_names_count_and_many_differences_give_the_folders_name(data: dict[str, Any]) -> None:
    a = changed(data, "runs/a", **{f"option{n}": n for n in range(5)})
    b = changed(data, "runs/second")
    assert [m.name for m in compare([a, b]).methods] == ["a", "second"]
    assert [m.name for m in compare([a, b], ["ours", None]).methods] == ["ours", "second"]
    same = changed(data, "other/a")
    assert [m.name for m in compare([a, same]).methods] == ["a", "other/a"]


def test_figures_are_those_of_the_network_that_validation_chooses(data: dict[str, Any]) -> None:
    (row,) = compare([changed(data)], budgets=[1.6e6, 1]).rows()
    best = Result("x", data).best()
    assert (row["accuracy"], row["executed_macs"]) == (best["test_accuracy"], best["executed_macs"])
    assert row["within"] == {1: None, 1.6e6: 0.972}
    assert row["seconds"] == pytest.approx(91.2)


def test_means_and_deviations_are_over_seeds(data: dict[str, Any]) -> None:
    gains = [0.0, 0.004, -0.01]
    runs = [changed(data, f"runs/{n}", gain, seed=n) for n, gain in enumerate(gains)]
    comparison = compare(runs, budgets=[1e6])
    (summary,), rows = comparison.summary(), comparison.rows()
    assert summary["seeds"] == [0, 1, 2]
    assert summary["accuracy"] == pytest.approx(statistics.fmean(row["accuracy"] for row in rows))
    assert summary["spread"]["accuracy"] == pytest.approx(statistics.stdev(gains))
    assert summary["spread"]["executed_macs"] == 0
    (alone,) = compare(runs[:1]).summary()
    assert alone["spread"]["accuracy"] is None


def test_a_better_method_has_more_hypervolume_in_the_common_box(data: dict[str, Any]) -> None:
    better, worse = changed(data, "runs/a", 0.005), changed(data, "runs/b", -0.02, option=1)
    first, second = compare([better, worse]).rows()
    assert 1 > first["hypervolume"] > second["hypervolume"] > 0
    assert first["single_exit_hypervolume"] == second["single_exit_hypervolume"]
    # By hand: two single-exit networks, in the box that all networks share.
    errors, costs = 1.01 * 0.05, 1.01 * 3e6
    area = (errors - 0.05) * (3e6 - 1.2e6) + (errors - 0.02) * (costs - 3e6)
    assert first["single_exit_hypervolume"] == pytest.approx(area / (errors * costs))


def test_methods_without_early_exits_are_judged_by_their_single_exit_networks(data: dict[str, Any]) -> None:
    static = copy.deepcopy(data)
    static["front"] = []
    (row,) = compare([Result("runs/a", static)]).rows()
    assert row["accuracy"] == 0.98
    assert row["hypervolume"] == row["single_exit_hypervolume"] > 0


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5), st.floats(0, 1)), min_size=1),
    st.integers(1, 9),
)
def test_attained_is_the_test_accuracy_of_the_network_that_validates_best(
    networks: list[tuple[int, int, float]], budget: int
) -> None:
    rows = [
        ResultRow(
            id="s",
            exits=0,
            thresholds=(),
            utilization=(1.0,),
            test_accuracy=accuracy,
            validation_accuracy=validation / 5,
            ada_macs=cost,
            executed_macs=cost,
            backbone_macs=cost,
            backbone_test_accuracy=0.5,
            params=1,
        )
        for cost, validation, accuracy in networks
    ]
    (accuracy,) = attained([rows], np.array([float(budget)]))[0]
    affordable = [network for network in networks if network[0] <= budget]
    if not affordable:
        assert np.isnan(accuracy)
        return
    best = max((validation, -cost) for cost, validation, _ in affordable)
    assert accuracy in [test for cost, validation, test in affordable if (validation, -cost) == best]


def test_the_plot_and_the_table_choose_the_same_networks(data: dict[str, Any]) -> None:
    result = Result("run", data)
    budgets = [1.2e6, 1.7e6, 2.2e6, 9e6]
    within = compare([result], budgets=budgets).rows()[0]["within"]
    assert attained([result.early_exit], np.array(budgets))[0].tolist() == [within[each] for each in budgets]


def other(data: dict[str, Any], key: str, value: Any) -> Result:
    return Result("runs/b", {**copy.deepcopy(data), key: value})


def test_incomparable_runs_are_named(data: dict[str, Any]) -> None:
    a = changed(data)
    with pytest.raises(EdanasError, match="runs: found none"):
        compare([])
    with pytest.raises(EdanasError, match=r"runs/b: found classes \['x', 'y'\].*same samples"):
        compare([a, other(data, "classes", ["x", "y"])])
    with pytest.raises(EdanasError, match=r"runs/b: found data photos"):
        compare([a, other(data, "settings", {**data["settings"], "data": "photos"})])
    with pytest.raises(EdanasError, match=r"runs/b and runs/a are both .* with seed 3"):
        compare([a, other(data, "evaluations", 1)])
    with pytest.raises(EdanasError, match=r"budgets: found -1"):
        compare([a], budgets=[-1])
    with pytest.raises(EdanasError, match=r"nowhere: no such folder"):
        edanas.compare(["nowhere"])
    with pytest.raises(EdanasError, match=r"runs/b: the run finished without a network"):
        compare([other({**data, "static_front": []}, "front", [])])


def test_the_plot_has_a_line_for_each_method_and_a_band_for_seeds(
    data: dict[str, Any], tmp_path: Path
) -> None:
    runs = [changed(data, f"runs/{n}", 0.001 * n, seed=n) for n in range(2)]
    figure = compare([*runs, changed(data, "runs/z", -0.01, option=1)], budgets=[2e6]).plot(
        tmp_path / "p.svg"
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0, 2 seeds", "option=1"]
    assert len(axes.collections) == 1
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")


def test_json_holds_every_run(data: dict[str, Any]) -> None:
    runs = [changed(data, f"runs/{n}", seed=n) for n in range(2)]
    content = json.loads(compare(runs, budgets=[1e6]).to_json())
    assert [row["seed"] for row in content["runs"]] == [0, 1]
    assert content["methods"][0]["within"] == {"1000000.0": pytest.approx(0.99)}
