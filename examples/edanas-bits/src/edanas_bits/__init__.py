"""An edanas plugin: networks whose weights have few bits, as many in each stage as the search finds best."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from edanas import hookimpl
from edanas.core.contracts import Meter, Objective, Specimen, StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import ConfigError, CostError, WeightsError
from edanas.core.types import Backbone, Metrics, SegmentCost, SegmentFigures, Task, Variable
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

EDANAS_SPEC_VERSION = 1


def quantised(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """A weight (D, ...) rounded to whole multiples of a step of each output channel, by torch.

    The step is the largest magnitude in the channel / (2^(bits-1) - 1), so at most 2^bits - 1 values occur.
    Gradients pass through the rounding.
    """
    most = 2 ** (bits - 1) - 1
    largest = weight.detach().flatten(1).abs().amax(1).float()
    step = (largest / most).clamp_min(torch.finfo(torch.float32).tiny)
    if torch.compiler.is_exporting():  # other runtimes have no operator for it
        steps = step.reshape(-1, *(1,) * (weight.ndim - 1))
        rounded: torch.Tensor = (weight.float() / steps).round() * steps
    else:
        middle = torch.zeros(len(step), dtype=torch.int32, device=weight.device)
        rounded = torch.fake_quantize_per_channel_affine(weight.float(), step, middle, 0, -most, most)
    return rounded.to(weight.dtype)


class _Rounding(TorchFunctionMode):
    """Rounds the weight of whatever convolution or linear layer runs, wherever it comes from."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (F.conv2d, F.linear):
            features, weight, *rest = args
            args = features, quantised(weight, self.bits), *rest
        return func(*args, **(kwargs or {}))


class Quantised(nn.Module):
    """Runs a module with rounded weights; its own stay as they are, and are what is trained and stored.

    Args:
        module: A stage or the last exit.
        bits: Of its weights.
    """

    def __init__(self, module: nn.Module, bits: int) -> None:
        super().__init__()
        self.module = module
        self.bits = bits

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """As the module."""
        with _Rounding(self.bits):
            out: torch.Tensor = self.module(features)
        return out


class BitsProvider(SupernetProvider):
    """Another provider's networks, with the bits of each stage's weights searched besides.

    APQ (Wang and others, APQ: Joint Search for Network Architecture, Pruning and Quantization Policy, CVPR
    2020, arXiv:2006.08509) searches structure and bit-widths together. Here each stage has one width, the
    last exit that of the last stage. Weights of convolutions and linear layers are rounded in every pass,
    so that the supernet learns with rounding and every evaluation judges what is rounded. Activations and
    early exits are not.

    Args:
        of: The provider whose networks are quantised.
        bits: The widths to choose from.

    Raises:
        ConfigError: A width is not from 2 to 16, or occurs twice.
    """

    def __init__(self, of: SupernetProvider, bits: tuple[int, ...] = (4, 8)) -> None:
        if not bits or min(bits) < 2 or max(bits) > 16 or len(set(bits)) < len(bits):
            raise ConfigError(
                f"supernet.bits: found {list(bits)}; allowed: distinct whole numbers from 2 to 16"
            )
        self.of, self.bits = of, tuple(sorted(bits))
        self.exit_points, self.passes = of.exit_points, of.passes

    def variables(self) -> tuple[Variable, ...]:
        """The other provider's, and `stageN.bits`."""
        stages = range(1, self.exit_points + 2)
        return (*self.of.variables(), *(Variable(_name(stage), self.bits) for stage in stages))

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return BitsSupernet(self.of.supernet(task))

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`."""
        return _wrapped(self.of.build(_inner(backbone), task), backbone)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """As the other provider's."""
        return self.of.exit_channels()

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost] | None:
        """As the other provider's: rounding multiplies nothing."""
        return self.of.costs(_inner(backbone), task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """As the other provider's.

        Raises:
            WeightsError: As there.
        """
        if not isinstance(supernet, BitsSupernet):
            raise WeightsError(f"weights '{weights}': {type(supernet).__name__} has no bits")
        return self.of.load_weights(supernet.supernet, weights)


class BitsSupernet(Supernet):
    """Another supernet, whose backbones run on rounded weights.

    Args:
        supernet: The other one.
    """

    def __init__(self, supernet: Supernet) -> None:
        super().__init__()
        self.supernet = supernet

    def view(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.view`."""
        return _wrapped(self.supernet.view(_inner(backbone)), backbone).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.extract`. Weights are as they are trained, to be rounded wherever they run."""
        return _wrapped(self.supernet.extract(_inner(backbone)), backbone).train(self.training)


def _wrapped(staged: StagedBackbone, backbone: Backbone) -> StagedBackbone:
    bits = _bits(backbone, len(staged.stages))
    stages = [Quantised(stage, width) for stage, width in zip(staged.stages, bits, strict=True)]
    return StagedBackbone(stages, Quantised(staged.head, bits[-1]), staged.resolution)


def _bits(backbone: Backbone, stages: int) -> Sequence[int]:
    return [int(backbone[_name(stage)]) for stage in range(1, stages + 1)]


def _inner(backbone: Backbone) -> Backbone:
    return Backbone(tuple(each for each in backbone.choices if not each[0].endswith(".bits")))


def _name(stage: int) -> str:
    return f"stage{stage}.bits"


class BitMeter(Meter):
    """Multiply-adds x bits of the weights x bits of the activations, by segment.

    Args:
        activation_bits: Of all activations.
        head_bits: Of the weights of early exits.
    """

    counted = True

    def __init__(self, activation_bits: int, head_bits: int) -> None:
        self.activation_bits, self.head_bits = activation_bits, head_bits
        self.name = f"bit operations, activations of {activation_bits} bits, heads of {head_bits}"

    def figures(self, specimen: Specimen) -> SegmentFigures:
        """See `Meter.figures`.

        Raises:
            CostError: The networks have no bits.
        """
        if _name(1) not in specimen.backbone:
            kind = type(specimen.provider).__name__
            raise CostError(f"bit-operations: networks of {kind} have no bits; allowed: the supernet `bits`")
        bits = _bits(specimen.backbone, len(specimen.stages))
        stages = (cost.macs * width for cost, width in zip(specimen.stages, bits, strict=True))
        heads = (cost.macs * self.head_bits for cost in specimen.heads)
        return SegmentFigures(
            tuple(each * self.activation_bits for each in stages),
            tuple(each * self.activation_bits for each in heads),
            specimen.last.macs * bits[-1] * self.activation_bits,
        )


class BitOperations(Objective):
    """Bit operations of a sample on average, as APQ counts: multiply-adds x weight bits x activation bits.

    Each stage counts with its own bits (APQ, CVPR 2020), early exits with those of float32 weights unless
    told otherwise. For networks of the supernet `bits`.

    Args:
        activation_bits: What activations are taken to have; the evaluation leaves them in floating point.
        head_bits: Of the weights of early exits.

    Raises:
        ConfigError: An option is not from 1 to 32.
    """

    unit = "BitOps"

    def __init__(self, activation_bits: int = 8, head_bits: int = 32) -> None:
        for option, value in (("activation_bits", activation_bits), ("head_bits", head_bits)):
            if not 1 <= value <= 32:
                raise ConfigError(f"objectives.{option}: found {value}; allowed: 1 to 32")
        self.meters = (BitMeter(activation_bits, head_bits),)

    def value(self, metrics: Metrics) -> float:
        """Bit operations of one sample, on average."""
        return self.meters[0].mean(metrics)


@hookimpl
def edanas_supernet_providers() -> dict[str, Callable[..., SupernetProvider]]:
    """The supernet's name, for `--set 'supernet={name="bits", of="ofa-mbv3"}'`."""
    return {"bits": BitsProvider}


@hookimpl
def edanas_objectives() -> dict[str, Callable[..., Objective]]:
    """The objective's name."""
    return {"bit-operations": BitOperations}
