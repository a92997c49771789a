"""Built-in objectives: one number each, from a candidate's metrics."""

from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.contracts import Objective
from edanas.core.errors import CostError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics

BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "int4": 0.5}
"""Bytes of one parameter, by precision."""


class Accuracy(Objective):
    """Top-1 accuracy of the EENN on the validation part, a fraction; maximised."""

    maximise = True
    unit = "%"

    def value(self, metrics: Metrics) -> float:
        """Return the fraction of correctly classified samples, in [0, 1]."""
        return metrics.accuracy


class Error(Objective):
    """Top-1 error of the EENN on the validation part, a fraction: 1 minus the accuracy."""

    unit = "%"

    def value(self, metrics: Metrics) -> float:
        """Return the fraction of wrongly classified samples, in [0, 1]."""
        return 1.0 - metrics.accuracy


class AdaMacs(Objective):
    """ADA_MACS, Eq. 5 of the paper: mean cost of a sample, without heads whose confidence was too low."""

    unit = "MACs"
    macs = "ada"

    def value(self, metrics: Metrics) -> float:
        """Return the mean multiply-adds of a sample."""
        return metrics.ada_macs


class ExecutedMacs(Objective):
    """Executed MACs: mean cost of a sample, every evaluated head included."""

    unit = "MACs"
    macs = "executed"

    def value(self, metrics: Metrics) -> float:
        """Return the mean multiply-adds of a sample."""
        return metrics.executed_macs


class BackboneMacs(Objective):
    """MACs of the backbone with its last exit, without early-exit heads."""

    unit = "MACs"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """Return the multiply-adds of one sample."""
        return float(metrics.backbone_macs)


class WorstCaseMacs(Objective):
    """MACs of the costliest sample, which exits at the last exit after every placed head."""

    unit = "MACs"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """Return the multiply-adds of one sample."""
        return exit_costs(metrics)[-1][1]


class Params(Objective):
    """Number of parameters of the EENN with its placed heads."""

    unit = "parameters"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """Return the number of parameters."""
        return float(metrics.params)


class ModelBytes(Objective):
    """Bytes of the EENN's parameters with its placed heads, in one precision for all.

    Additions of a file format (scales of quantised weights, headers) are not counted.

    Args:
        precision: `float32`, `float16`, `int8` or `int4`.
    """

    unit = "bytes"
    structural = True

    def __init__(self, precision: Literal["float32", "float16", "int8", "int4"] = "float32") -> None:
        self._bytes = BYTES[precision]

    def value(self, metrics: Metrics) -> float:
        """Return the bytes of all parameters."""
        return self._bytes * metrics.params


class Activations(Objective):
    """Elements in the outputs of convolutions and linear layers: the largest output, or the sum of all.

    The largest output is a lower bound of the working memory. The sum is the "activations" of Dollar, Singh
    and Girshick (Fast and Accurate Model Scaling, 2021), which predict latency where memory is the
    bottleneck.

    Args:
        measure: `peak`, the largest output, or `sum`, all of the backbone's and the placed heads'.
    """

    unit = "elements"
    structural = True

    def __init__(self, measure: Literal["peak", "sum"] = "peak") -> None:
        self._measure = measure

    def value(self, metrics: Metrics) -> float:
        """Return the number of elements for one sample."""
        if self._measure == "peak":
            return float(metrics.activations)
        if metrics.outputs is None:
            raise CostError("activations: the sum of all outputs was not counted; allowed: measure = peak")
        return float(metrics.outputs)


def exit_costs(metrics: Metrics) -> list[tuple[float, float]]:
    """Return the share of samples and their executed multiply-adds for each placed exit and the last exit.

    Raises:
        CostError: The metrics hold no costs by exit.
    """
    if not metrics.exit_macs:
        raise CostError("the metrics hold no costs of each exit (exit_macs)")
    pairs = zip(metrics.utilization, metrics.exit_macs, strict=True)
    return [(share, macs) for share, macs in pairs if macs is not None]


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the objectives that metrics hold directly."""
    return {
        "accuracy": Accuracy,
        "error": Error,
        "ada-macs": AdaMacs,
        "executed-macs": ExecutedMacs,
        "backbone-macs": BackboneMacs,
        "worst-case-macs": WorstCaseMacs,
        "params": Params,
        "model-bytes": ModelBytes,
        "activations": Activations,
    }
