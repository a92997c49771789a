"""The comparison of systems: valid settings, and winners only where intervals lie apart."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import methods

from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import make_space
from edanas.run.layers import layered_settings, user_layers


@pytest.fixture(scope="module")
def registry():
    return Registry(load_plugins())


@pytest.mark.parametrize("name", list(methods.METHODS))
def test_the_settings_of_every_system_are_valid(name, registry):
    settings = methods.settings_of(methods.METHODS[name], methods.digits(epochs=24))
    resolved = layered_settings(registry, [*user_layers({}), ("the benchmark", settings)])
    assert make_space(registry, resolved)[1].size() > 0
    assert methods.BUDGET not in str(settings)
    choice = resolved.final_thresholds
    setter = registry.create("threshold setter", choice.name, choice.options)
    assert setter.least_samples <= resolved.split.calibration * 1797
    expected = 24 if resolved.evaluation.name == "shared" else 24 // methods.EVALUATIONS
    assert resolved.training.epochs == expected


@pytest.mark.parametrize(
    ("values", "rises", "winner"),
    [
        ({"a": [0.9, 0.91, 0.9], "b": [0.5, 0.51, 0.5]}, True, "a"),
        ({"a": [0.9, 0.91, 0.9], "b": [0.5, 0.51, 0.5]}, False, "b"),
        ({"a": [0.9, 0.91, 0.9], "b": [0.9, 0.89, 0.9]}, True, None),
        ({"a": [0.9], "b": [0.1]}, True, None),
        ({"a": [0.9, 0.91, 0.9], "b": [0.1, None, 0.1]}, True, None),
        ({"a": [0.9, 0.91, 0.9], "b": [0.1, 0.1, 0.1], "c": [0.1, None, 0.2]}, True, "a"),
    ],
)
def test_a_winner_is_named_only_where_intervals_lie_apart(values, rises, winner):
    assert methods.Column("x", values, rises, 1).winner() == winner


def test_the_interval_is_student_s():
    from scipy import stats

    values = [0.8, 0.9, 0.95]
    mean, low, high = methods.Column("x", {"a": values}, True, 1).interval("a")
    expected = stats.t.interval(0.95, 2, loc=mean, scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)


def test_the_table_shows_every_system_and_budget():
    rows = [
        {
            "method": name,
            "accuracy": 0.9 + 0.01 * seed,
            "executed_macs": 1e6,
            "hypervolume": 0.5,
            "seconds": 2.0,
            "within": {3e5: None if name == "b" else 0.8},
        }
        for name in ("a", "b")
        for seed in (0, 1)
    ]
    text = methods.table(methods.columns(rows))
    assert "| a | 90.50 ± 6.35 | 1000.00 ± 0.00 | 0.50 ± 0.00 | 2.00 ± 0.00 | 80.00 ± 0.00 |" in text
    assert "| b | 90.50 ± 6.35 | 1000.00 ± 0.00 | 0.50 ± 0.00 | 2.00 ± 0.00 | - |" in text
    assert "accuracy within 300k, %: none" in text
