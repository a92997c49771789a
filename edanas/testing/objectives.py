"""The conformance suite of objectives."""

import copy
import json
import math
from dataclasses import replace

from edanas.core.contracts import Objective
from edanas.core.types import Metrics
from edanas.testing.conformance import reported_call, require

_USUAL = Metrics(
    accuracy=0.83,
    utilization=(0.5, 0.0, 0.5),
    exit_accuracy=(0.9, None, 0.76),
    ada_macs=2.5e6,
    executed_macs=2.75e6,
    backbone_accuracy=0.85,
    backbone_macs=4_000_000,
    params=120_000,
    activations=9_216,
    outputs=60_000,
    exit_macs=(1e6, None, 4.5e6),
)
_SAMPLES = {
    "usual metrics": _USUAL,
    "metrics of a network without exits": Metrics(
        accuracy=0.91,
        utilization=(0.0, 0.0, 1.0),
        exit_accuracy=(None, None, 0.91),
        ada_macs=9e6,
        executed_macs=9e6,
        backbone_accuracy=0.91,
        backbone_macs=9_000_000,
        params=400_000,
        activations=20_000,
        outputs=150_000,
        exit_macs=(None, None, 9e6),
    ),
    "metrics of a network that all samples leave early, never right": Metrics(
        accuracy=0.0,
        utilization=(1.0, 0.0, 0.0),
        exit_accuracy=(0.0, None, None),
        ada_macs=1e3,
        executed_macs=1e3,
        backbone_accuracy=0.0,
        backbone_macs=50_000,
        params=10,
        activations=1,
        outputs=2,
        exit_macs=(1e3, None, 51e3),
    ),
}


def check_objective(objective: Objective) -> None:
    """Hold an objective against its contract: a finite number by the metrics alone, a direction, a unit.

    One that is said to follow from the structure must not depend on how exits behave.

    Raises:
        ConformanceError: Something does not hold.
    """
    require(
        objective,
        isinstance(objective.maximise, bool),
        f"`maximise` is {objective.maximise!r}; expected True or False",
    )
    require(objective, isinstance(objective.unit, str), f"`unit` is {objective.unit!r}; expected text")
    require(
        objective,
        isinstance(objective.structural, bool),
        f"`structural` is {objective.structural!r}; expected True or False",
    )
    samples = {name: _metered(objective, metrics) for name, metrics in _SAMPLES.items()}
    values = {name: _value(objective, name, metrics) for name, metrics in samples.items()}
    _check_structural(objective, values["usual metrics"])
    require(
        objective,
        len(set(values.values())) > 1,
        f"is {next(iter(values.values()))} for all of {', '.join(values)}: there is nothing to optimise",
    )


def _metered(objective: Objective, metrics: Metrics) -> Metrics:
    """With what the objective's meters would tell: here one for each multiply-add."""
    return replace(metrics, exit_figures={meter.name: metrics.exit_macs for meter in objective.meters})


def _check_structural(objective: Objective, usual: float) -> None:
    """A value that is said to follow from the structure is the same however the exits behave."""
    other = replace(
        _USUAL,
        accuracy=0.1,
        utilization=(0.0, 0.0, 1.0),
        exit_accuracy=(None, None, 0.1),
        ada_macs=4.0e6,
        executed_macs=4.5e6,
        backbone_accuracy=0.1,
    )
    found = _value(objective, "metrics of exits that behave otherwise", _metered(objective, other))
    require(
        objective,
        not objective.structural or found == usual,
        f"`structural` is True, but with other accuracies and utilization {usual} becomes {found}",
    )


def _value(objective: Objective, name: str, metrics: Metrics) -> float:
    kept = copy.deepcopy(metrics)
    with reported_call(objective, f"the value of {name}, {metrics},"):
        found = objective.value(metrics)
    require(
        objective,
        isinstance(found, (int, float)) and not isinstance(found, bool) and math.isfinite(found),
        f"the value of {name} is {found!r}, of type {type(found).__name__}; expected a finite number",
    )
    require(objective, metrics == kept, f"changes {name}: {metrics}; expected {kept}")
    again = objective.value(metrics)
    require(objective, again == found, f"gives two values of {name}: {found!r}, then {again!r}")
    # An archive keeps metrics as JSON, and a resumed run reads them back.
    read = Metrics.from_dict(json.loads(json.dumps(metrics.to_dict())))
    stored = objective.value(read)
    require(
        objective, stored == found, f"gives {found!r} for {name}, and {stored!r} after a trip through JSON"
    )
    return float(found)
