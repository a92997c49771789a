"""Built-in objectives, each of which reads one number from a candidate's metrics."""

from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.contracts import Objective
from edanas.core.errors import CostError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics

BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "int4": 0.5}
"""Bytes of one parameter, by precision."""


class Accuracy(Objective):
    """Top-1 accuracy of the early-exit network on the validation part, a fraction; maximised."""

    maximise = True
    unit = "%"

    def value(self, metrics: Metrics) -> float:
        """Return the fraction of correctly classified samples, in [0, 1]."""
        return metrics.accuracy


class Error(Objective):
    """Top-1 error of the early-exit network on the validation part, a fraction: 1 minus the accuracy."""

    unit = "%"

    def value(self, metrics: Metrics) -> float:
        """Return the fraction of wrongly classified samples, in [0, 1]."""
        return 1.0 - metrics.accuracy


class BalancedError(Objective):
    """Balanced error on the validation part, a fraction: 1 minus the mean of the accuracies of the classes.

    Every class has the same weight, whatever its number of samples.
    """

    unit = "%"
    by_class = True

    def value(self, metrics: Metrics) -> float:
        """Return 1 minus the balanced accuracy, in [0, 1]."""
        if metrics.balanced_accuracy is None:
            raise CostError(
                "balanced-error: the metrics hold no balanced accuracy; allowed: evaluations that measure "
                "it, such as `shared` and `finetune`"
            )
        return 1.0 - metrics.balanced_accuracy


class AdaMacs(Objective):
    """ADA_MACS: mean cost of a sample, without the heads whose confidence was too low (paper, Eq. 5)."""

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
    """MACs of a sample that exits at the last exit, every placed head included: the costliest sample."""

    unit = "MACs"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """Return the multiply-adds of one sample."""
        return exit_shares_and_costs(metrics)[-1][1]


class Params(Objective):
    """Number of parameters of the early-exit network with its placed heads."""

    unit = "parameters"
    structural = True

    def value(self, metrics: Metrics) -> float:
        """Return the number of parameters."""
        return float(metrics.params)


class ModelBytes(Objective):
    """Size of all parameters of the early-exit network in bytes, placed heads included.

    All parameters have one precision. Further contents of a file (scales of quantised weights, headers) are
    not counted.

    Args:
        precision: Number format of a parameter: `float32` (default), `float16`, `int8` or `int4`.
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

    The largest output is a lower bound of the working memory. Dollar, Singh and Girshick (Fast and Accurate
    Model Scaling, 2021) call the sum "activations". The sum predicts latency where memory is the bottleneck.

    Args:
        measure: `peak`, the default, for the largest output. `sum` for the sum over all outputs of the
            backbone and the placed heads.
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
            raise CostError(
                "activations: the metrics hold no sum of all outputs, which measure = sum needs; allowed: "
                "measure = peak"
            )
        return float(metrics.outputs)


def exit_shares_and_costs(metrics: Metrics) -> list[tuple[float, float]]:
    """Return a pair for each placed exit and the last exit: the share of samples that exit, and their cost.

    The cost of a sample is its executed multiply-adds. Shares sum to 1.

    Raises:
        CostError: The metrics hold no cost by exit (`exit_macs`).
    """
    if not metrics.exit_macs:
        raise CostError("the metrics hold no cost by exit (exit_macs)")
    pairs = zip(metrics.utilization, metrics.exit_macs, strict=True)
    return [(share, macs) for share, macs in pairs if macs is not None]


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the objectives of this module."""
    return {
        "accuracy": Accuracy,
        "error": Error,
        "balanced-error": BalancedError,
        "ada-macs": AdaMacs,
        "executed-macs": ExecutedMacs,
        "backbone-macs": BackboneMacs,
        "worst-case-macs": WorstCaseMacs,
        "params": Params,
        "model-bytes": ModelBytes,
        "activations": Activations,
    }
