"""Costs of networks: multiply-adds by segment and head, ADA_MACS and executed MACs.

One multiply-add of a convolution, linear layer or other matrix product is one MAC. `edanas.core.tracing`
counts them with torch's FLOP counter, divided by two; normalisation, activations, pooling and element-wise
arithmetic count as 0. The authors of Once-for-All publish the costs of their networks in the same convention.
Products with the zeros of the padding count. Weights that only meet such zeros count if the network has them;
the mobile and dense networks of edanas have none (`edanas.supernets.kernel_cutting`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import CostError
from edanas.core.idle_stages import idle_stages, image_stages_of
from edanas.core.moved_modules import moved_name
from edanas.core.types import SegmentCost, SelectionScheme


@dataclass(frozen=True)
class Costs:
    """Multiply-adds of one backbone by segment, for one sample.

    Args:
        stages: Multiply-adds of each of the M stages.
        heads: Multiply-adds of the head at each of the N = M - 1 exit points; `None` where they are unknown.
        last: Multiply-adds of the last exit.
        image_stages: Indices of the stages after the first one that read the image; none by default. The
            stages before them count only for an exit before them.

    Raises:
        ValueError: The number of heads is not one less than the number of stages.

    Example:
        >>> backbone_macs(Costs(stages=(100, 200), heads=(10,), last=20))
        320
    """

    stages: tuple[int, ...]
    heads: tuple[int | None, ...]
    last: int
    image_stages: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.stages) - 1:
            raise ValueError(
                f"{len(self.stages)} stages need {len(self.stages) - 1} heads, got {len(self.heads)}"
            )

    @classmethod
    def of(
        cls, stages: Sequence[SegmentCost], heads: Mapping[int, SegmentCost], last: SegmentCost
    ) -> "Costs":
        """Return the multiply-adds of traced segments.

        Args:
            stages: Costs of each of the M stages.
            heads: Costs of heads by exit point, from 0; exit points may be missing.
            last: Costs of the last exit.
        """
        known = tuple(heads[i].macs if i in heads else None for i in range(len(stages) - 1))
        return cls(tuple(stage.macs for stage in stages), known, last.macs, image_stages_of(stages))

    def running(self, exits: Collection[int]) -> tuple[int, ...]:
        """Return the multiply-adds of the stages with these exits; a stage that does not run costs 0."""
        idle = idle_stages(self.image_stages, exits)
        return tuple(0 if at in idle else macs for at, macs in enumerate(self.stages))


def backbone_macs(costs: Costs) -> int:
    """Return the multiply-adds of all stages that run without early exits, and of the last exit."""
    return sum(costs.running(())) + costs.last


def cut_costs(costs: Costs, stages: int) -> Costs:
    """Return the costs of a network that ends after a number of stages.

    Later stages cost 0, the head there is the last exit, and no exit can be placed there or later.

    Args:
        costs: Costs of the whole network.
        stages: Number of stages.

    Raises:
        CostError: The cost of the head after the last stage is not known.

    Example:
        >>> cut_costs(Costs(stages=(100, 200, 300), heads=(10, 15), last=20), stages=2)
        Costs(stages=(100, 200, 0), heads=(10, None), last=15)
    """
    total = len(costs.stages)
    if stages == total:
        return costs
    last = costs.heads[stages - 1]
    if last is None:
        raise CostError(f"a network ends at exit {stages}, but the cost of its head is not known")
    nothing = total - stages
    return Costs(
        (*costs.stages[:stages], *((0,) * nothing)),
        (*costs.heads[: stages - 1], *((None,) * nothing)),
        last,
        tuple(at for at in costs.image_stages if at < stages),
    )


def ada_macs(costs: Costs, scheme: SelectionScheme, utilization: Sequence[float]) -> float:
    """Return ADA_MACS: the sum over exits of utilization x multiply-adds up to that exit, its head included.

    This is Eq. 5 of the paper. It omits the heads of earlier exits that did not fire; `executed_macs`
    includes them.

    Args:
        costs: The costs of the backbone and its heads.
        scheme: The selection scheme, which places the exits.
        utilization: The fraction of samples that exit at each of the N exit points, and at the last exit.

    Raises:
        CostError: The cost of a placed exit's head is not known.
        ValueError: `utilization` is not a distribution over the placed exits and the last exit.

    Example:
        >>> costs = Costs(stages=(100, 200), heads=(10,), last=20)
        >>> ada_macs(costs, SelectionScheme((0.5,)), (0.5, 0.5))
        215.0
        >>> executed_macs(costs, SelectionScheme((0.5,)), (0.5, 0.5))
        220.0
    """
    per_exit = _macs_up_to(costs, scheme, lambda _: 0)
    return _expected(per_exit, scheme, utilization)


def executed_macs(costs: Costs, scheme: SelectionScheme, utilization: Sequence[float]) -> float:
    """Return executed MACs: multiply-adds of a sample on average, every evaluated head included.

    See `ada_macs` for the arguments and the errors.
    """
    return _expected(executed_per_exit(costs, scheme), scheme, utilization)


def executed_per_exit(costs: Costs, scheme: SelectionScheme) -> npt.NDArray[np.float64]:
    """Return the executed MACs (N + 1,) of a sample that exits at each exit; NaN where no exit is placed.

    Raises:
        CostError: The cost of a placed exit's head is not known.
    """
    heads = [_head(costs, i) if i in scheme.placed else 0 for i in range(len(costs.heads))]
    return _macs_up_to(costs, scheme, lambda exit_point: sum(heads[:exit_point]))


def _macs_up_to(
    costs: Costs, scheme: SelectionScheme, earlier: Callable[[int], int]
) -> npt.NDArray[np.float64]:
    """Return the multiply-adds (N + 1,) up to each exit: its stages, its head, and `earlier` heads.

    Args:
        costs: The costs of the backbone and its heads.
        scheme: The selection scheme; the result is NaN where it places no exit.
        earlier: Returns the multiply-adds of the heads before an exit that count for that exit.
    """
    points = len(costs.heads)
    if len(scheme.thresholds) != points:
        raise ValueError(f"{points} exit points, but {len(scheme.thresholds)} thresholds")
    totals, stages = np.full(points + 1, np.nan), costs.running(scheme.placed)
    for i in scheme.placed:
        totals[i] = sum(stages[: i + 1]) + _head(costs, i) + earlier(i)
    totals[points] = sum(stages) + costs.last + earlier(points)
    return totals


def _head(costs: Costs, exit_point: int) -> int:
    macs = costs.heads[exit_point]
    if macs is None:
        raise CostError(f"exit {exit_point + 1} is placed, but the cost of its head is not known")
    return macs


def _expected(
    per_exit: npt.NDArray[np.float64], scheme: SelectionScheme, utilization: Sequence[float]
) -> float:
    shares = np.asarray(utilization, dtype=np.float64)
    has_exit = ~np.isnan(per_exit)
    if shares.shape != per_exit.shape:
        raise ValueError(
            f"utilization: found {len(shares)} numbers; allowed: {len(per_exit)}, one for each exit point "
            "and one for the last exit"
        )
    if (shares < 0).any() or abs(shares.sum() - 1.0) > 1e-6:
        raise ValueError(f"utilization: found {shares.tolist()}; allowed: numbers of 0 or more that sum to 1")
    if shares[~has_exit].any():
        raise ValueError(
            f"utilization: found {shares.tolist()}; allowed: 0 at each exit point without an exit; exits are "
            f"placed at exit points {[i + 1 for i in scheme.placed]}"
        )
    return float(per_exit[has_exit] @ shares[has_exit])


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
