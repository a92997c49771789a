import numpy as np
import pytest

from edanas.core.errors import ConfigError
from edanas.core.types import SelectionScheme
from edanas.thresholds.budgets import (
    Budget,
    bound,
    choose_scheme,
    format_quantity,
    nearest_scheme,
    parse_budget,
)
from edanas.thresholds.fronts import ThresholdFront


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"max_macs": "5M"}, 5e6),
        ({"max_macs": "5e6"}, 5e6),
        ({"max_macs": " 5,000,000 "}, 5e6),
        ({"max_macs": "750 K"}, 750e3),
        ({"max_macs": ".5G"}, 5e8),
        ({"max_macs": 1200.0}, 1200.0),
        ({"min_accuracy": "0.9"}, 0.9),
        ({"min_accuracy": "90%"}, 0.9),
        ({"min_accuracy": 1}, 1.0),
        ({"max_latency": "3ms"}, 0.003),
        ({"max_latency": "250 us"}, 250e-6),
        ({"max_latency": "0.003s"}, 0.003),
        ({"max_latency": 0.003}, 0.003),
        ({"max_macs": "750k"}, 750e3),
    ],
)
def test_budgets_are_parsed(options, limit):
    budget = parse_budget(**options)
    assert budget.quantity == next(iter(options))
    assert budget.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "budget: found none"),
        ({"max_macs": "5M", "min_accuracy": 0.9}, "budget: found max_macs and min_accuracy"),
        ({"max_macs": "5m"}, "Did you mean '5M'"),
        ({"max_macs": "5X"}, "of unit 'X'"),
        ({"max_macs": "many"}, "max_macs: found 'many'"),
        ({"max_macs": "-5M"}, "max_macs: found '-5M'"),
        ({"max_macs": 0}, "max_macs: found '0'"),
        ({"max_macs": float("nan")}, "max_macs: found 'nan'"),
        ({"min_accuracy": "90"}, "Did you mean '90%'"),
        ({"min_accuracy": 90}, "Did you mean '90%'"),
        ({"min_accuracy": "101%"}, "min_accuracy: found '101%'"),
        ({"max_latency": "3"}, "Did you mean '3ms'"),
        ({"max_latency": "3MS"}, "Did you mean '3ms'"),
        ({"max_latency": "3 mss"}, "Did you mean 'ms'"),
    ],
)
def test_other_budgets_are_an_error(options, message):
    with pytest.raises(ConfigError, match=message):
        parse_budget(**options)


FRONT = ThresholdFront(
    (SelectionScheme((0.1,)), SelectionScheme((0.5,)), SelectionScheme((None,))),
    np.array([0.5, 0.7, 0.9]),
    np.array([10.0, 20.0, 40.0]),
    exact=True,
)


@pytest.mark.parametrize(
    ("budget", "unit", "chosen", "near"),
    [
        (Budget("max_macs", 9), 1.0, None, 0),
        (Budget("max_macs", 10), 1.0, 0, 0),
        (Budget("max_macs", 39), 1.0, 1, 1),
        (Budget("max_macs", 1e9), 1.0, 2, 2),
        (Budget("max_latency", 0.02), 1e-3, 1, 1),
        (Budget("min_accuracy", 0.1), 1.0, 0, 0),
        (Budget("min_accuracy", 0.7), 1.0, 1, 1),
        (Budget("min_accuracy", 0.91), 1.0, None, 2),
    ],
)
def test_the_scheme_that_meets_a_budget(budget, unit, chosen, near):
    assert choose_scheme(FRONT, budget, unit) == chosen
    assert nearest_scheme(FRONT, budget, unit) == near


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        ("max_macs", 4_950_000, "4.95M MACs"),
        ("max_macs", 12, "12 MACs"),
        ("min_accuracy", 0.913, "91.30% accuracy"),
        ("max_latency", 0.002914, "2.914 ms"),
    ],
)
def test_quantities_are_formatted_with_units(quantity, value, text):
    assert format_quantity(quantity, value) == text


@pytest.mark.parametrize("odd", [True, [1], 1j, "abc"])
def test_a_bound_is_a_number_or_a_text(odd):
    with pytest.raises(ConfigError, match=r"max_ram: found .*; allowed"):
        bound("max_ram", odd)
