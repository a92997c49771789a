"""Multiply-adds, parameters and activations of modules, counted in one forward pass on zeros."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from edanas.core.contracts import StagedBackbone
from edanas.core.errors import CostError
from edanas.core.operator_graph import OperatorGraph
from edanas.core.operator_tracing import OperatorRecorder
from edanas.core.passes import frozen
from edanas.core.types import ExitPoint, SegmentCost

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

_FREE = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)
"""Modules whose weights have no multiply-adds by convention: embedding tables and normalisations."""


_UNCOUNTED = (
    *("mv", "addmv", "dot", "vdot", "addr", "_trilinear", "_cdist_forward", "_int_mm"),
    *("mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"),
    *("_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
    *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_fused_attention_overrideable"),
)
"""Operators with multiply-adds for which torch's counter has no formula, at least in some versions."""


def count_macs(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Count the multiply-adds of one forward pass of `module` in eval mode, on zeros.

    Args:
        module: A module that takes one tensor. Its mode, statistics and gradients do not change.
        input_shape: Shape (C, H, W) of one sample; a shape of another length includes the batch.

    Raises:
        CostError: The module does not run on that shape, or its multiply-adds cannot be counted.

    Example:
        >>> count_macs(nn.Conv2d(3, 8, 3, padding=1), (3, 4, 4))
        3456
    """
    shape = (1, *input_shape) if len(input_shape) == 3 else input_shape
    return _run(module, _zeros(module, shape))[0]


def measure(module: nn.Module, input_shape: tuple[int, int, int]) -> SegmentCost:
    """Return the costs of `module`, e.g. an exit's head, for one sample of shape (C, H, W).

    Raises:
        CostError: The costs cannot be counted; see `count_macs`.

    Example:
        >>> measure(nn.Sequential(nn.Flatten(), nn.Linear(12, 10)), (3, 2, 2)).macs
        120
    """
    return _segment(module, _zeros(module, (1, *input_shape)))[0]


def operators(
    module: nn.Module, input_shape: tuple[int, int, int], *, padded_copies: bool = False
) -> OperatorGraph:
    """Return the operators of `module` for one sample of shape (C, H, W), as a microcontroller runs them.

    Args:
        module: A module that takes one tensor.
        input_shape: Shape (C, H, W) of one sample.
        padded_copies: True if a convolution reads a padded copy of its input; see `GraphBuilder`.

    Raises:
        CostError: The module does not run on that shape, or its multiply-adds cannot be counted.

    Example:
        >>> graph = operators(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), (3, 4, 4))
        >>> [operator.name for operator in graph.operators]
        ['convolution 3x3, 3 to 8 channels']
    """
    source = _zeros(module, (1, *input_shape))
    _, watch, out = _run(module, source, padded_copies=padded_copies)
    return watch.operators.graph(out)


def trace(backbone: StagedBackbone, in_channels: int) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
    """Return the costs of each of the M stages, and of the last exit, for one sample.

    The backbone must come from `Supernet.extract` or `SupernetProvider.build`. A backbone from
    `Supernet.view` owns more parameters than the backbone needs, and may transform weights before it uses
    them.

    Args:
        backbone: The network to run.
        in_channels: Number of channels of its input.

    Raises:
        CostError: The costs cannot be counted; see `count_macs`.
    """
    features = _zeros(backbone, (1, in_channels, *backbone.input_size))
    stages = []
    for at, stage in enumerate(backbone.stages):
        cost, features = _segment(stage, features)
        stages.append(replace(cost, reads_image=at in backbone.image_stages))
    return tuple(stages), _segment(backbone.head, features)[0]


def exit_points(stages: Sequence[SegmentCost]) -> tuple[ExitPoint, ...]:
    """Return the exit points between the stages, with the shape of the features at each."""
    return tuple(ExitPoint(index, *stage.shape) for index, stage in enumerate(stages[:-1]))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the sizes of counted outputs, and raises an error for operators that cannot be counted.

    Torch's `FlopCounterMode` is active at the same time, and counts the multiply-adds.

    Args:
        counted: The operators for which `FlopCounterMode` has a formula, with their formulas.
        operators: Records the operators.
    """

    def __init__(self, counted: Mapping[Any, Any], operators: OperatorRecorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted = counted
        self.operators = operators
        self.largest = self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        packet = getattr(func, "_overloadpacket", func)
        out = func(*args, **(kwargs or {}))
        self.operators.record(packet.__name__, args, out)
        if packet in self.counted:
            first = out[0] if isinstance(out, tuple) else out
            self.largest = max(self.largest, first.numel())
            self.total += first.numel()
        elif func.namespace not in ("aten", "prim", "prims") or packet.__name__ in _UNCOUNTED:
            raise CostError(
                f"multiply-adds of operator '{func.namespace}::{packet.__name__}' cannot be counted"
            )
        return out


def _zeros(module: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


def _segment(module: nn.Module, features: torch.Tensor) -> tuple[SegmentCost, torch.Tensor]:
    macs, watch, out = _run(module, features)
    channels, height, width = (*out.shape[1:], 1, 1)[:3]
    params = sum(p.numel() for p in module.parameters())
    footprint = watch.operators.graph(out).footprint()
    return SegmentCost(macs, params, watch.largest, (channels, height, width), watch.total, footprint), out


def _run(
    module: nn.Module, features: torch.Tensor, *, padded_copies: bool = False
) -> tuple[int, _Watch, torch.Tensor]:
    """Run `module` once; return its multiply-adds, the sizes of counted outputs, and its output."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    recorder = OperatorRecorder(features, padded_copies=padded_copies)
    watch = _Watch(counter.flop_registry, recorder)
    name = type(module).__name__
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            # Torch's counter fails on a view of a parameter with gradients, e.g. an expanded class token.
            stack.enter_context(frozen([module]))
            stack.enter_context(_eval_mode(module))
            stack.enter_context(_no_fused_transformer())
            stack.enter_context(_each_weight_counts(module, counter))
            stack.enter_context(watch)
            stack.enter_context(counter)
            out: torch.Tensor = module(features)
    except CostError as error:
        raise CostError(f"{name}: {error}") from error
    except Exception as error:
        raise CostError(
            f"{name} does not run on an input of shape {tuple(features.shape)}: {error}"
        ) from error
    total = counter.get_total_flops()
    if total == 0 and any(_is_weighted(child) for child in module.modules()):
        raise CostError(f"{name} has weights, but the multiply-adds of its operators cannot be counted")
    return total // 2, watch, out


def _is_weighted(module: nn.Module) -> bool:
    own = module.parameters(recurse=False)
    return not isinstance(module, _FREE) and any(p.ndim >= 2 and not _is_scale(p) for p in own)


def _is_scale(parameter: torch.Tensor) -> bool:
    """Return whether a parameter scales channels: (C, 1, 1) or (1, 1, C) has no multiply-adds, as (C,)."""
    return parameter.ndim >= 3 and sum(size > 1 for size in parameter.shape) <= 1


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    """Set eval mode inside the context, then restore the mode of each submodule."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode


@contextmanager
def _no_fused_transformer() -> Iterator[None]:
    """Run attention, inside the context, in operators with a formula and not in one fused operator."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextmanager
def _each_weight_counts(module: nn.Module, counter: "FlopCounterMode") -> Iterator[None]:
    """Raise an error inside the context for a module with weights that runs without a counted operator.

    Only weights of two or more dimensions matter: matrices and convolution kernels.

    A module with counted children passes even if its own weight is used in an uncounted operator.
    """
    before: dict[nn.Module, int] = {}
    names = {child: name for name, child in module.named_modules() if _is_weighted(child)}

    def enter(child: nn.Module, _: Any) -> None:
        before[child] = counter.get_total_flops()

    def leave(child: nn.Module, _: Any, __: Any) -> None:
        if counter.get_total_flops() == before[child]:
            at = f" at '{names[child]}'" if names[child] else ""
            raise CostError(
                f"multiply-adds of {type(child).__name__}{at} cannot be counted, though it has weights"
            )

    with ExitStack() as stack:
        for child in names:
            stack.callback(child.register_forward_pre_hook(enter).remove)
            stack.callback(child.register_forward_hook(leave).remove)
        yield
