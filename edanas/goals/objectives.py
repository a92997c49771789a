"""The objectives that come with edanas: one number each, read from an evaluation's metrics."""

from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.contracts import Objective
from edanas.core.errors import CostError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics

BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "int4": 0.5}
"""Bytes of one weight, by precision."""


class Accuracy(Objective):
    """Top-1 accuracy of the EENN on the validation part, a fraction; maximised."""

    maximise = True
    unit = "%"

    def value(self, metrics: Metrics) -> float:
        """The fraction of samples that the exit they leave at gets right, in [0, 1]."""
        return metrics.accuracy


class Error(Objective):
    """Top-1 error of the EENN on the validation part, a fraction: 1 less the accuracy."""

    unit = "%"

    def value(self, metrics: Metrics) -> float:
        """The fraction of samples that the exit they leave at gets wrong, in [0, 1]."""
        return 1.0 - metrics.accuracy


class AdaMacs(Objective):
    """ADA_MACS, Eq. 5 of the paper: what a sample costs on average, without heads that were not confident."""

    unit = "MACs"
    macs = "ada"

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample, on average."""
        return metrics.ada_macs


class ExecutedMacs(Objective):
    """Executed MACs: what a sample really costs on average, heads that were not confident included."""

    unit = "MACs"
    macs = "executed"

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample, on average."""
        return metrics.executed_macs


class BackboneMacs(Objective):
    """MACs of the backbone with its last exit: what the costliest sample needs, but for the heads."""

    unit = "MACs"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample."""
        return float(metrics.backbone_macs)


class WorstCaseMacs(Objective):
    """MACs of the costliest sample: every placed head runs, and it leaves at the last exit."""

    unit = "MACs"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample."""
        return leaving(metrics)[-1][1]


class Params(Objective):
    """Parameters of the EENN with its placed heads."""

    unit = "parameters"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """How many parameters."""
        return float(metrics.params)


class ModelBytes(Objective):
    """Bytes of the EENN's parameters with its placed heads, in one precision for all.

    What a format adds (scales of quantised weights, headers) is not counted.

    Args:
        precision: `float32`, `float16`, `int8` or `int4`.
    """

    unit = "bytes"
    structural = True

    def __init__(self, precision: Literal["float32", "float16", "int8", "int4"] = "float32") -> None:
        self._bytes = BYTES[precision]

    def value(self, metrics: Metrics) -> float:
        """Bytes of all parameters."""
        return self._bytes * metrics.params


class Activations(Objective):
    """Elements that convolutions and linear layers put out: the largest output, or all of them together.

    The largest one bounds the working memory from below. All together are the activations of Dollar, Singh
    and Girshick (Fast and Accurate Model Scaling, 2021), which foretell time where memory is what is slow.

    Args:
        measure: `peak`, the largest output, or `sum`, all of the backbone's and the placed heads'.
    """

    unit = "elements"
    structural = True

    def __init__(self, measure: Literal["peak", "sum"] = "peak") -> None:
        self._measure = measure

    def value(self, metrics: Metrics) -> float:
        """How many elements, for one sample."""
        if self._measure == "peak":
            return float(metrics.activations)
        if metrics.outputs is None:
            raise CostError("activations: the sum of all outputs was not counted; allowed: measure = peak")
        return float(metrics.outputs)


def leaving(metrics: Metrics) -> list[tuple[float, float]]:
    """Share of the samples and executed multiply-adds of one, for each exit that stands, the last one last.

    Raises:
        CostError: The metrics do not say what leaving at each exit costs.
    """
    if not metrics.exit_macs:
        raise CostError("the metrics do not say what leaving at each exit costs")
    pairs = zip(metrics.utilization, metrics.exit_macs, strict=True)
    return [(share, macs) for share, macs in pairs if macs is not None]


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """What metrics say directly."""
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
