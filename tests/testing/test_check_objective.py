"""The suite finds what is wrong with an objective."""

from itertools import count
from typing import Any

import numpy as np
import pytest

from edanas.core.contracts import Objective
from edanas.core.types import Metrics
from edanas.testing import ConformanceError, check_objective
from edanas.testing.toy_search import ToyAccuracy, ToyCost


def objective(value: Any, **attributes: Any) -> Objective:
    instance: Objective = type(
        "Mine", (Objective,), {"value": lambda self, metrics: value(metrics), **attributes}
    )()
    return instance


def spoil(metrics: Metrics) -> float:
    object.__setattr__(metrics, "accuracy", 1.0)
    return metrics.ada_macs


calls = count()


@pytest.mark.parametrize(
    "sound", [ToyAccuracy(), ToyCost(), objective(lambda m: m.params, unit="parameters")]
)
def test_a_sound_objective_passes(sound: Objective) -> None:
    check_objective(sound)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (objective(lambda m: m.accuracy, maximise="yes"), "`maximise` is 'yes'; expected True or False"),
        (objective(lambda m: m.accuracy, unit=None), "`unit` is None; expected text"),
        (objective(lambda m: np.float32(m.accuracy)), r"of type float32; expected a finite number"),
        (objective(lambda m: float("nan")), "is nan, of type float; expected a finite number"),
        (objective(lambda m: m.accuracy / (m.accuracy - 0.83)), "usual metrics, .*raises ZeroDivisionError"),
        (objective(lambda m: m.exit_accuracy[0] * 2), "without exits, .*raises TypeError"),
        (objective(lambda m: 3.0), "is 3.0 for all of .*; expected different values"),
        (objective(spoil), "changes usual metrics"),
        (objective(lambda m: next(calls)), "gives two values of usual metrics"),
        (objective(lambda m: float(id(m))), "after a trip through JSON"),
    ],
)
def test_a_fault_is_found(broken: Objective, text: str) -> None:
    with pytest.raises(ConformanceError, match=f"Mine: .*{text}"):
        check_objective(broken)
