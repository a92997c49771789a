"""An edanas plugin: a search for the bits of weights and activations in each stage of a network (APQ)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from edanas import hookimpl
from edanas.core.contracts import (
    Meter,
    Objective,
    Specimen,
    StagedBackbone,
    Supernet,
    SupernetProvider,
    SurrogateModel,
)
from edanas.core.errors import ConfigError, CostError, WeightsError
from edanas.core.types import Backbone, Metrics, SegmentCost, SegmentFigures, Task, Variable
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from edanas_bits.predictor import FLOAT, TransferredPredictor

EDANAS_SPEC_VERSION = 1

FLOAT_BITS = 32
"""Bit-width that means no rounding."""


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


def quantised_features(features: torch.Tensor, bits: int) -> torch.Tensor:
    """Return features whose elements are rounded to integer multiples of a step.

    Each sample has its own step: the largest magnitude in the sample / (2^(bits-1) - 1). So the result for a
    sample does not depend on the batch. Gradients pass the rounding unchanged.

    Args:
        features: A tensor (B, ...) of B samples.
        bits: Number of bits, 2 or more.
    """
    most = 2 ** (bits - 1) - 1
    largest = features.detach().flatten(1).abs().amax(1)
    steps = (largest / most).clamp_min(torch.finfo(torch.float32).tiny)
    steps = steps.reshape(-1, *(1,) * (features.ndim - 1))
    rounded = (features.detach() / steps).round() * steps
    return features + (rounded - features.detach())


class _Rounding(TorchFunctionMode):
    """A context in which every convolution and linear layer of torch runs with rounded tensors."""

    def __init__(self, bits: int, activations: int) -> None:
        super().__init__()
        self.bits, self.activations = bits, activations

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (F.conv2d, F.linear):
            features, weight, *rest = args
            weight = weight if self.bits == FLOAT_BITS else quantised(weight, self.bits)
            if self.activations != FLOAT_BITS:
                features = quantised_features(features, self.activations)
            args = features, weight, *rest
        return func(*args, **(kwargs or {}))


class Quantised(nn.Module):
    """A wrapper of a module, which runs the module with rounded weights and activations.

    Training updates the original weights, and files store the original weights.

    Args:
        module: A stage or the last exit.
        bits: Number of bits of the rounded weights; 32 = they are not rounded.
        activations: Number of bits of the inputs of convolutions and linear layers; 32, the default = they
            are not rounded.
    """

    def __init__(self, module: nn.Module, bits: int, activations: int = FLOAT_BITS) -> None:
        super().__init__()
        self.module = module
        self.bits, self.activations = bits, activations

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features -> output of the module with rounded weights and activations."""
        if self.bits == self.activations == FLOAT_BITS:
            plain: torch.Tensor = self.module(features)
            return plain
        with _Rounding(self.bits, self.activations):
            out: torch.Tensor = self.module(features)
        return out


class BitsProvider(SupernetProvider):
    """A wrapper of another provider, with variables for the bit-widths of weights and activations.

    APQ (Wang and others, APQ: Joint Search for Network Architecture, Pruning and Quantization Policy, CVPR
    2020, arXiv:2006.08509) searches structure, numbers of channels and bit-widths together. The numbers of
    channels, APQ's pruning, are the widths and expansions of the wrapped provider. APQ has bit-widths for
    each layer; here they belong to stages, and the last exit has those of the last stage. Every pass, in
    training and in evaluation, rounds the weights and the inputs of convolutions and linear layers. Early
    exits are not rounded.

    Args:
        of: The provider whose networks are quantised.
        bits: The bit-widths of weights to choose from, each from 2 to 16; by default 4 and 8.
        activations: The bit-widths of activations to choose from, each from 2 to 16; empty, the default =
            activations are not rounded.
        float_too: True to search float networks as well, from which the surrogate `transferred` learns: the
            variable `quantised` has the choices 0 and 1. False by default.

    Raises:
        ConfigError: A bit-width is not from 2 to 16, or occurs twice.
    """

    def __init__(
        self,
        of: SupernetProvider,
        bits: tuple[int, ...] = (4, 8),
        activations: tuple[int, ...] = (),
        *,
        float_too: bool = False,
    ) -> None:
        for option, values in (("bits", bits), ("activations", activations or (8,))):
            if not values or min(values) < 2 or max(values) > 16 or len(set(values)) < len(values):
                raise ConfigError(
                    f"supernet.{option}: found {list(values)}; allowed: distinct whole numbers from 2 to 16"
                )
        self.of, self.bits, self.activations = of, tuple(sorted(bits)), tuple(sorted(activations))
        self.float_too = float_too
        self.exit_points, self.passes = of.exit_points, of.passes

    def variables(self) -> tuple[Variable, ...]:
        """Return the variables of the wrapped provider and those of bit-widths.

        They are `stage<n>.bits` and, if activations are rounded, `stage<n>.activations`, with n from 1.
        """
        flag = (Variable(FLOAT, (0, 1)),) if self.float_too else ()
        if_quantised: dict[str, Any] = {"parent": FLOAT, "when": frozenset({1})} if self.float_too else {}
        own = [
            Variable(f"stage{stage}.{kind}", choices, stage=stage, **if_quantised)
            for stage in range(1, self.exit_points + 2)
            for kind, choices in (("bits", self.bits), ("activations", self.activations))
            if choices
        ]
        return (*self.of.variables(), *flag, *own)

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return BitsSupernet(self.of.supernet(task))

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`."""
        return _wrapped(self.of.build(_inner(backbone), task), backbone)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`."""
        return self.of.exit_channels()

    def canonical(self, backbone: Backbone) -> Backbone:
        """Return the wrapped provider's canonical form, with the same bit-widths."""
        inner = _inner(backbone)
        own = tuple(each for each in backbone.choices if each[0] not in inner)
        return Backbone((*self.of.canonical(inner).choices, *own))

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
    activations = _bits(backbone, len(staged.stages), "activations")
    pairs = list(zip(bits, activations, strict=True))
    stages = [Quantised(stage, *pair) for stage, pair in zip(staged.stages, pairs, strict=True)]
    return StagedBackbone(stages, Quantised(staged.head, *pairs[-1]), staged.resolution)


def _bits(backbone: Backbone, stages: int, kind: str = "bits") -> Sequence[int]:
    """Return the bit-width of each stage; 32 where there is no variable for it."""
    names = [f"stage{stage}.{kind}" for stage in range(1, stages + 1)]
    return [int(backbone[name]) if name in backbone else FLOAT_BITS for name in names]


def _inner(backbone: Backbone) -> Backbone:
    own = (".bits", ".activations")
    return Backbone(
        tuple(each for each in backbone.choices if not each[0].endswith(own) and each[0] != FLOAT)
    )


class BitMeter(Meter):
    """A meter of bit operations: multiply-adds x bit-width of the weights x bit-width of the activations.

    Args:
        activation_bits: Bit-width of activations that are not rounded.
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
        if "stage1.bits" not in specimen.backbone and FLOAT not in specimen.backbone:
            kind = type(specimen.provider).__name__
            raise CostError(
                f"bit-operations: networks of {kind} have no bit-widths; allowed: the supernet `bits`"
            )
        backbone, count = specimen.backbone, len(specimen.stages)
        rounded = any(name.endswith(".activations") for name in backbone)
        activations = _bits(backbone, count, "activations") if rounded else [self.activation_bits] * count
        if FLOAT in backbone and not backbone[FLOAT]:
            activations = [FLOAT_BITS] * count
        products = [a * b for a, b in zip(_bits(backbone, count), activations, strict=True)]
        stages = (cost.macs * product for cost, product in zip(specimen.stages, products, strict=True))
        heads = (cost.macs * self.head_bits * self.activation_bits for cost in specimen.heads)
        return SegmentFigures(tuple(stages), tuple(heads), specimen.last.macs * products[-1])


class BitOperations(Objective):
    """Mean bit operations of a sample: multiply-adds x weight bits x activation bits (APQ, CVPR 2020).

    The objective requires the supernet `bits`, which has a bit-width for the weights of each stage.

    Args:
        activation_bits: Assumed bit-width of activations that the supernet does not round, and of those at
            early exits; by default 8.
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
def edanas_surrogate_models() -> dict[str, Callable[..., SurrogateModel]]:
    """Register the surrogate for the setting `--set 'surrogates=["transferred"]'`."""
    return {"transferred": TransferredPredictor}


@hookimpl
def edanas_objectives() -> dict[str, Callable[..., Objective]]:
    """Register the objective for the setting `--set 'objectives=["accuracy", "bit-operations"]'`."""
    return {"bit-operations": BitOperations}
