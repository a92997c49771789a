"""An edanas plugin: a search for the number of bits of the weights in each stage of a network."""

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
    """Return a weight whose elements are rounded to integer multiples of a step.

    Each output channel has its own step: the largest magnitude in the channel / (2^(bits-1) - 1). So at most
    2^bits - 1 values occur in a channel. Gradients pass the rounding unchanged.

    Args:
        weight: A tensor (D, ...) of D output channels.
        bits: Number of bits, 2 or more.
    """
    most = 2 ** (bits - 1) - 1
    largest = weight.detach().flatten(1).abs().amax(1).float()
    step = (largest / most).clamp_min(torch.finfo(torch.float32).tiny)
    if torch.compiler.is_exporting():  # other runtimes lack `fake_quantize_per_channel_affine`
        steps = step.reshape(-1, *(1,) * (weight.ndim - 1))
        rounded: torch.Tensor = (weight.float() / steps).round() * steps
    else:
        middle = torch.zeros(len(step), dtype=torch.int32, device=weight.device)
        rounded = torch.fake_quantize_per_channel_affine(weight.float(), step, middle, 0, -most, most)
    return rounded.to(weight.dtype)


class _Rounding(TorchFunctionMode):
    """A context in which every convolution and linear layer of torch runs with rounded weights."""

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
    """A wrapper of a module, which runs the module with rounded weights.

    Training updates the original weights, and files store the original weights.

    Args:
        module: A stage or the last exit.
        bits: Number of bits of the rounded weights.
    """

    def __init__(self, module: nn.Module, bits: int) -> None:
        super().__init__()
        self.module = module
        self.bits = bits

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features -> output of the module with rounded weights."""
        with _Rounding(self.bits):
            out: torch.Tensor = self.module(features)
        return out


class BitsProvider(SupernetProvider):
    """A wrapper of another provider, with a variable for the bit-width of each stage's weights.

    APQ (Wang and others, APQ: Joint Search for Network Architecture, Pruning and Quantization Policy, CVPR
    2020, arXiv:2006.08509) searches structure and bit-widths together. Here each stage has one bit-width, and
    the last exit has the bit-width of the last stage. Every pass, in training and in evaluation, rounds the
    weights of convolutions and linear layers. Activations and the weights of early exits are not rounded.

    Args:
        of: The provider whose networks are quantised.
        bits: The bit-widths to choose from, each from 2 to 16; by default 4 and 8.

    Raises:
        ConfigError: A bit-width is not from 2 to 16, or occurs twice.
    """

    def __init__(self, of: SupernetProvider, bits: tuple[int, ...] = (4, 8)) -> None:
        if not bits or min(bits) < 2 or max(bits) > 16 or len(set(bits)) < len(bits):
            raise ConfigError(
                f"supernet.bits: found {list(bits)}; allowed: distinct whole numbers from 2 to 16"
            )
        self.of, self.bits = of, tuple(sorted(bits))
        self.exit_points, self.passes = of.exit_points, of.passes

    def variables(self) -> tuple[Variable, ...]:
        """Return the variables of the wrapped provider and a variable `stage<n>.bits` for each stage, n from 1."""
        stages = range(1, self.exit_points + 2)
        return (*self.of.variables(), *(Variable(_name(stage), self.bits, stage=stage) for stage in stages))

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return BitsSupernet(self.of.supernet(task))

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`."""
        return _wrapped(self.of.build(_inner(backbone), task), backbone)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`."""
        return self.of.exit_channels()

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost] | None:
        """Return the wrapped provider's costs, since rounding adds no multiply-adds."""
        return self.of.costs(_inner(backbone), task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """See `SupernetProvider.load_weights`.

        Raises:
            WeightsError: The supernet is not a `BitsSupernet`, or the wrapped provider cannot load the
                weights.
        """
        if not isinstance(supernet, BitsSupernet):
            raise WeightsError(f"weights '{weights}': {type(supernet).__name__} has no bit-widths")
        return self.of.load_weights(supernet.supernet, weights)


class BitsSupernet(Supernet):
    """A wrapper of another supernet, whose backbones run with rounded weights.

    Args:
        supernet: The wrapped supernet.
    """

    def __init__(self, supernet: Supernet) -> None:
        super().__init__()
        self.supernet = supernet

    def view(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.view`."""
        return _wrapped(self.supernet.view(_inner(backbone)), backbone).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.extract`; the result has the original weights, which each pass rounds."""
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
    """A meter of bit operations: multiply-adds x bit-width of the weights x bit-width of the activations.

    Args:
        activation_bits: Bit-width of all activations.
        head_bits: Bit-width of the weights of early exits.
    """

    counted = True

    def __init__(self, activation_bits: int, head_bits: int) -> None:
        self.activation_bits, self.head_bits = activation_bits, head_bits
        self.name = f"bit operations, activations of {activation_bits} bits, heads of {head_bits}"

    def figures(self, specimen: Specimen) -> SegmentFigures:
        """See `Meter.figures`.

        Raises:
            CostError: The networks have no variables for bit-widths.
        """
        if _name(1) not in specimen.backbone:
            kind = type(specimen.provider).__name__
            raise CostError(
                f"bit-operations: networks of {kind} have no bit-widths; allowed: the supernet `bits`"
            )
        bits = _bits(specimen.backbone, len(specimen.stages))
        stages = (cost.macs * width for cost, width in zip(specimen.stages, bits, strict=True))
        heads = (cost.macs * self.head_bits for cost in specimen.heads)
        return SegmentFigures(
            tuple(each * self.activation_bits for each in stages),
            tuple(each * self.activation_bits for each in heads),
            specimen.last.macs * bits[-1] * self.activation_bits,
        )


class BitOperations(Objective):
    """Mean bit operations of a sample: multiply-adds x weight bits x activation bits (APQ, CVPR 2020).

    The objective requires the supernet `bits`, which has a bit-width for the weights of each stage.

    Args:
        activation_bits: Assumed bit-width of activations, by default 8. The evaluation leaves activations in
            floating point.
        head_bits: Bit-width of the weights of early exits; 32, the default = float32, as in the evaluation.

    Raises:
        ConfigError: `activation_bits` or `head_bits` is not from 1 to 32.
    """

    unit = "BitOps"

    def __init__(self, activation_bits: int = 8, head_bits: int = 32) -> None:
        for option, value in (("activation_bits", activation_bits), ("head_bits", head_bits)):
            if not 1 <= value <= 32:
                raise ConfigError(f"objectives.{option}: found {value}; allowed: 1 to 32")
        self.meters = (BitMeter(activation_bits, head_bits),)

    def value(self, metrics: Metrics) -> float:
        """Return the mean bit operations of a sample."""
        return self.meters[0].mean(metrics)


@hookimpl
def edanas_supernet_providers() -> dict[str, Callable[..., SupernetProvider]]:
    """Register the supernet provider for the setting `--set 'supernet={name="bits", of="ofa-mbv3"}'`."""
    return {"bits": BitsProvider}


@hookimpl
def edanas_objectives() -> dict[str, Callable[..., Objective]]:
    """Register the objective for the setting `--set 'objectives=["accuracy", "bit-operations"]'`."""
    return {"bit-operations": BitOperations}
