"""The conformance suite for objectives."""

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
    balanced_accuracy=0.8,
    exit_macs=(1e6, None, 4.5e6),
    ram=9_000,
    flash=130_000,
    exit_ram=(7_000, None, 9_000),
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
        balanced_accuracy=0.9,
        exit_macs=(None, None, 9e6),
        ram=30_000,
        flash=420_000,
        exit_ram=(None, None, 30_000),
    ),
    "metrics of a network whose first exit takes all samples, none of them right": Metrics(
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
        balanced_accuracy=0.0,
        exit_macs=(1e3, None, 51e3),
        ram=100,
        flash=120,
        exit_ram=(50, None, 100),
    ),
}


def check_objective(objective: Objective) -> None:
    """Check an objective against its contract: a finite value that depends on the metrics alone.

    `maximise`, `unit` and `structural` must have the right types. The value of an objective with `structural`
    must not depend on accuracies and utilization.

    Raises:
        ConformanceError: The objective breaks its contract.

    Example:
        >>> class Parameters(Objective):
        ...     structural = True
        ...     def value(self, metrics):
        ...         return metrics.params
        >>> check_objective(Parameters())
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
        f"the value is {next(iter(values.values()))} for all of {', '.join(values)}; expected different "
        "values",
    )


def _metered(objective: Objective, metrics: Metrics) -> Metrics:
    """Return metrics with a value of each meter of the objective: one unit for each multiply-add."""
    return replace(metrics, exit_figures={meter.name: metrics.exit_macs for meter in objective.meters})


def _check_structural(objective: Objective, usual: float) -> None:
    """Check that the value of a structural objective does not depend on accuracies and utilization."""
    other = replace(
        _USUAL,
        accuracy=0.1,
        utilization=(0.0, 0.0, 1.0),
        exit_accuracy=(None, None, 0.1),
        ada_macs=4.0e6,
        executed_macs=4.5e6,
        backbone_accuracy=0.1,
    )
    value = _value(objective, "metrics with other accuracies and utilization", _metered(objective, other))
    require(
        objective,
        not objective.structural or value == usual,
        f"`structural` is True, but with other accuracies and utilization {usual} becomes {value}",
    )


def _value(objective: Objective, name: str, metrics: Metrics) -> float:
    """Return the objective's value of metrics, and check that it is finite and the same at each call."""
    before = copy.deepcopy(metrics)
    with reported_call(objective, f"the value of {name}, {metrics},"):
        value = objective.value(metrics)
    require(
        objective,
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
        f"the value of {name} is {value!r}, of type {type(value).__name__}; expected a finite number",
    )
    require(objective, metrics == before, f"changes {name}: {metrics}; expected {before}")
    again = objective.value(metrics)
    require(objective, again == value, f"gives two values of {name}: {value!r}, then {again!r}")
    # An archive stores metrics as JSON, and a resumed run reads them back.
    read = Metrics.from_dict(json.loads(json.dumps(metrics.to_dict())))
    stored = objective.value(read)
    require(
        objective,
        stored == value,
        f"the value of {name} is {value!r}, and {stored!r} after a trip through JSON",
    )
    return float(value)
