"""The objectives that come with edanas: one number each, read from an evaluation's metrics."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import Objective
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics


class Accuracy(Objective):
    """Top-1 accuracy of the EENN on the validation part, a fraction; maximised."""

    maximise = True
    unit = "%"

    def value(self, metrics: Metrics) -> float:
        """The fraction of samples that the exit they leave at gets right, in [0, 1]."""
        return metrics.accuracy


class AdaMacs(Objective):
    """ADA_MACS, Eq. 5 of the paper: what a sample costs on average, without heads that were not confident."""

    unit = "MACs"

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample, on average."""
        return metrics.ada_macs


class ExecutedMacs(Objective):
    """Executed MACs: what a sample really costs on average, heads that were not confident included."""

    unit = "MACs"

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample, on average."""
        return metrics.executed_macs


class BackboneMacs(Objective):
    """MACs of the backbone with its last exit: what the costliest sample needs, but for the heads."""

    unit = "MACs"

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample."""
        return float(metrics.backbone_macs)


class Params(Objective):
    """Parameters of the EENN with its placed heads."""

    unit = "parameters"

    def value(self, metrics: Metrics) -> float:
        """How many parameters."""
        return float(metrics.params)


class Activations(Objective):
    """Elements of the largest convolution or linear output: what bounds the working memory."""

    unit = "elements"

    def value(self, metrics: Metrics) -> float:
        """How many elements, for one sample."""
        return float(metrics.activations)


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """The built-in objectives."""
    return {
        "accuracy": Accuracy,
        "ada-macs": AdaMacs,
        "executed-macs": ExecutedMacs,
        "backbone-macs": BackboneMacs,
        "params": Params,
        "activations": Activations,
    }
