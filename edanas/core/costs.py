"""Costs of networks: multiply-adds by segment and head, ADA_MACS and executed MACs.

One multiply-add of a convolution, linear layer or other matrix product is one MAC. `edanas.core.tracing`
counts them with torch's FLOP counter, divided by two; normalisation, activations, pooling and element-wise
arithmetic are free. The authors of Once-for-All publish the costs of their networks in the same convention.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.errors import CostError
from edanas.core.types import SegmentCost, SelectionScheme


@dataclass(frozen=True)
class Costs:
    """Multiply-adds of one backbone by segment, for one sample.

    Args:
        stages: One for each of the M stages.
        heads: One for the head at each of the N = M - 1 exit points; `None` where no head is known.
        last: The last exit's.

    Example:
        >>> backbone_macs(Costs(stages=(100, 200), heads=(10,), last=20))
        320
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
        """Return the costs from traced segments and the heads by exit point."""
        known = tuple(heads[i].macs if i in heads else None for i in range(len(stages) - 1))
        return cls(tuple(stage.macs for stage in stages), known, last.macs)


def backbone_macs(costs: Costs) -> int:
    """Return the multiply-adds of the backbone with the last exit alone."""
    return sum(costs.stages) + costs.last


def ada_macs(costs: Costs, scheme: SelectionScheme, utilization: Sequence[float]) -> float:
    """Return ADA_MACS: the sum over exits of utilization x multiply-adds up to that exit, its head included.

    This is Eq. 5 of the paper. It omits earlier heads whose confidence was too low; `executed_macs` has them.

    Args:
        costs: The costs of the backbone and its heads.
        scheme: Its placed exits.
        utilization: The fraction of samples that exit at each of the N exit points, and at the last exit.

    Raises:
        CostError: The cost of a placed exit's head is not known.
        ValueError: The utilization is no distribution over the placed exits.

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

    Arguments and errors as `ada_macs`.
    """
    return _expected(executed_per_exit(costs, scheme), scheme, utilization)


def executed_per_exit(costs: Costs, scheme: SelectionScheme) -> npt.NDArray[np.float64]:
    """Return executed MACs (N + 1,) of a sample by its exit; NaN where no exit is placed.

    Raises:
        CostError: The cost of a placed exit's head is not known.
    """
    heads = [_head(costs, i) if i in scheme.placed else 0 for i in range(len(costs.heads))]
    return _macs_up_to(costs, scheme, lambda exit_point: sum(heads[:exit_point]))


def _macs_up_to(
    costs: Costs, scheme: SelectionScheme, earlier: Callable[[int], int]
) -> npt.NDArray[np.float64]:
    """Return the sum of the stages up to each exit, its head, and `earlier` heads."""
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
