"""The suite finds what is wrong with a constraint."""

from itertools import count
from typing import Any

import numpy as np
import pytest

from edanas.core.contracts import Constraint
from edanas.core.errors import ConfigError
from edanas.testing import ConformanceError, check_constraint


def constraint(excess: Any, describe: Any = lambda c, m: "too much", **attributes: Any) -> Constraint:
    methods = {
        "excess": lambda self, candidate, metrics: excess(candidate, metrics),
        "describe": lambda self, candidate, metrics: describe(candidate, metrics),
    }
    instance: Constraint = type("Mine", (Constraint,), {**methods, **attributes})()
    return instance


def params(_candidate: Any, metrics: Any) -> float:
    return float(metrics.params / 60 - 1)


def refuse(_self: Any, _space: Any) -> None:
    raise ConfigError("no such choice")


calls = count()


@pytest.mark.parametrize(
    "sound",
    [
        constraint(params, basis="costs"),
        constraint(lambda c, m: 0.95 - m.accuracy),
        constraint(lambda c, m: float(c.backbone["depth"] - 2), basis="choices"),
    ],
)
def test_a_sound_constraint_passes(sound: Constraint) -> None:
    check_constraint(sound)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (constraint(params, basis="structure"), "`basis` is 'structure'; expected one of choices, costs"),
        (constraint(lambda c, m: float("nan")), "is nan, of float; expected a finite number"),
        (constraint(lambda c, m: np.float32(1)), "of float32; expected a finite number"),
        (constraint(lambda c, m: m.params > 60), "of bool; expected a finite number"),
        (constraint(lambda c, m: m.lookup), "raises AttributeError"),
        (
            constraint(lambda c, m: 1.0),
            "0 of .* candidates satisfy it; expected some that do and some that do not",
        ),
        (constraint(lambda c, m: next(calls) - 50), "gives two excesses of"),
        (
            constraint(lambda c, m: 0.95 - m.accuracy, basis="costs"),
            "`basis` is costs, but the excess of .* with other metrics of its exits, not",
        ),
        (constraint(params, basis="choices"), "None,.*raises AttributeError"),
        (constraint(params, lambda c, m: ""), "as ''; expected one line of text"),
        (constraint(params, lambda c, m: "a\nb"), "expected one line of text"),
        (
            constraint(params, prepare=refuse),
            "preparing for a search space raises ConfigError: no such",
        ),
    ],
)
def test_a_fault_is_found(broken: Constraint, text: str) -> None:
    with pytest.raises(ConformanceError, match=f"Mine: .*{text}"):
        check_constraint(broken)
