"""What networks cost: multiply-adds by segment and head, parameters, activations, ADA_MACS and executed MACs.

One multiply-add of a convolution, linear layer or other matrix product is one MAC. They are counted with
torch's FLOP counter, divided by two; normalisation, activations, pooling and element-wise arithmetic are
free. That is the convention of the figures that the authors of Once-for-All publish for their specialised
networks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from edanas.core.contracts import StagedBackbone
from edanas.core.errors import CostError
from edanas.core.types import ExitPoint, SegmentCost, SelectionScheme

_FREE = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)
"""Modules whose weight costs nothing by the convention: a table that is read, or a normalisation's scale."""

_UNCOUNTED = (
    *("mv", "addmv", "dot", "vdot", "addr", "_trilinear", "_cdist_forward", "_int_mm"),
    *("mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell"),
    *("_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
    *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_fused_attention_overrideable"),
)
"""torch's own operators that multiply, but that its counter has no formula for (in some versions)."""


@dataclass(frozen=True)
class Costs:
    """Multiply-adds of one backbone by segment, for one sample.

    Args:
        stages: Of each of the M stages.
        heads: Of the head at each of the N = M - 1 exit points; `None` where no head is known.
        last: Of the last exit.
    """

    stages: tuple[int, ...]
    heads: tuple[int | None, ...]
    last: int

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.stages) - 1:
            raise ValueError(
                f"{len(self.stages)} stages need {len(self.stages) - 1} heads, got {len(self.heads)}"
            )

    @classmethod
    def of(
        cls, stages: Sequence[SegmentCost], heads: Mapping[int, SegmentCost], last: SegmentCost
    ) -> "Costs":
        """From traced segments and the heads by exit point."""
        known = tuple(heads[i].macs if i in heads else None for i in range(len(stages) - 1))
        return cls(tuple(stage.macs for stage in stages), known, last.macs)


def count_macs(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-adds of one forward pass of `module` in eval mode, on zeros.

    Args:
        module: Runs on one tensor; its training mode, statistics and gradients stay as they are.
        input_shape: (C, H, W) for one sample; any other length is taken as it is, batch first.

    Raises:
        CostError: The module does not run on that shape, or has weights in operators that cannot be counted.
    """
    shape = (1, *input_shape) if len(input_shape) == 3 else input_shape
    return _run(module, _zeros(module, shape))[0]


def measure(module: nn.Module, input_shape: tuple[int, int, int]) -> SegmentCost:
    """The cost of `module`, e.g. an exit's head, for one sample of shape (C, H, W).

    Raises:
        CostError: As `count_macs`.
    """
    return _segment(module, _zeros(module, (1, *input_shape)))[0]


def trace(backbone: StagedBackbone, in_channels: int) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
    """The costs of each of the M stages, and of the last exit.

    Give it an extracted or built backbone: a view on a supernet owns more parameters than the backbone has,
    and may compute with its weights before it uses them.

    Raises:
        CostError: As `count_macs`.
    """
    features = _zeros(backbone, (1, in_channels, backbone.resolution, backbone.resolution))
    stages = []
    for stage in backbone.stages:
        cost, features = _segment(stage, features)
        stages.append(cost)
    return tuple(stages), _segment(backbone.head, features)[0]


def exit_points(stages: Sequence[SegmentCost]) -> tuple[ExitPoint, ...]:
    """The places between the stages, with the shape of the features there."""
    return tuple(ExitPoint(index, *stage.shape) for index, stage in enumerate(stages[:-1]))


def backbone_macs(costs: Costs) -> int:
    """Multiply-adds of the backbone with its last exit and no other."""
    return sum(costs.stages) + costs.last


def ada_macs(costs: Costs, scheme: SelectionScheme, utilization: Sequence[float]) -> float:
    """Eq. 5 of the paper: the sum over exits of utilization x multiply-adds up to and with that exit's head.

    Heads that ran and were not confident enough are left out, as in the paper; `executed_macs` has them.

    Args:
        costs: Of the backbone and its heads.
        scheme: Where exits stand.
        utilization: The fraction of samples that leave at each of the N exit points, and at the last exit.

    Raises:
        CostError: An exit stands where no head's cost is known.
        ValueError: The utilization is no distribution over the exits that stand.
    """
    per_exit = _upto(costs, scheme, lambda _: 0)
    return _expected(per_exit, scheme, utilization)


def executed_macs(costs: Costs, scheme: SelectionScheme, utilization: Sequence[float]) -> float:
    """Multiply-adds that really run for a sample on average: `ada_macs` plus the heads that ran in vain.

    Arguments and errors as `ada_macs`.
    """
    return _expected(executed_per_exit(costs, scheme), scheme, utilization)


def executed_per_exit(costs: Costs, scheme: SelectionScheme) -> npt.NDArray[np.float64]:
    """Multiply-adds for a sample that leaves at each exit point or the last: (N + 1,), NaN where none stands.

    Raises:
        CostError: An exit stands where no head's cost is known.
    """
    heads = [_head(costs, i) if i in scheme.placed else 0 for i in range(len(costs.heads))]
    return _upto(costs, scheme, lambda exit_point: sum(heads[:exit_point]))


def _upto(costs: Costs, scheme: SelectionScheme, earlier: Callable[[int], int]) -> npt.NDArray[np.float64]:
    """Stages up to each exit + its head + what `earlier` heads add."""
    points = len(costs.heads)
    if len(scheme.thresholds) != points:
        raise ValueError(f"{points} exit points, but {len(scheme.thresholds)} thresholds")
    totals = np.full(points + 1, np.nan)
    for i in scheme.placed:
        totals[i] = sum(costs.stages[: i + 1]) + _head(costs, i) + earlier(i)
    totals[points] = backbone_macs(costs) + earlier(points)
    return totals


def _head(costs: Costs, exit_point: int) -> int:
    macs = costs.heads[exit_point]
    if macs is None:
        raise CostError(f"exit {exit_point + 1} stands, but the cost of its head is not known")
    return macs


def _expected(
    per_exit: npt.NDArray[np.float64], scheme: SelectionScheme, utilization: Sequence[float]
) -> float:
    shares = np.asarray(utilization, dtype=np.float64)
    stands = ~np.isnan(per_exit)
    if shares.shape != per_exit.shape:
        raise ValueError(f"utilization of {len(shares)} exits; expected {len(per_exit)}, with the last")
    if (shares < 0).any() or abs(shares.sum() - 1.0) > 1e-6 or shares[~stands].any():
        raise ValueError(
            f"utilization {shares.tolist()} is no distribution over the last exit and those at exit points "
            f"{[i + 1 for i in scheme.placed]}"
        )
    return float(per_exit[stands] @ shares[stands])


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator below the counter: notes the counted outputs' sizes, refuses what escapes it."""

    def __init__(self, counted: Mapping[Any, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted = counted
        self.largest = self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        packet = getattr(func, "_overloadpacket", func)
        out = func(*args, **(kwargs or {}))
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
    return SegmentCost(macs, params, watch.largest, (channels, height, width), watch.total), out


def _run(module: nn.Module, features: torch.Tensor) -> tuple[int, _Watch, torch.Tensor]:
    """(MACs, sizes of the counted outputs, output) of one pass."""
    counter = FlopCounterMode(display=False)
    watch = _Watch(counter.flop_registry)
    name = type(module).__name__
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
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
        raise CostError(f"{name} has weights, but none of its operators' multiply-adds can be counted")
    return total // 2, watch, out


def _is_weighted(module: nn.Module) -> bool:
    own = module.parameters(recurse=False)
    return not isinstance(module, _FREE) and any(p.ndim >= 2 for p in own)


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    """Eval mode inside, each submodule's own mode again afterwards."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode


@contextmanager
def _no_fused_transformer() -> Iterator[None]:
    """Attention in operators that the counter knows, as in training, instead of one that it does not."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextmanager
def _each_weight_counts(module: nn.Module, counter: FlopCounterMode) -> Iterator[None]:
    """Refuse a module that holds a weight of two or more dimensions and runs without a counted operator.

    A module with children that are counted passes even if its own weight is used in an uncounted operator.
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
