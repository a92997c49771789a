"""Functions of `search.py`: the base class, and two discrete problems of pymoo.

Every function has two minimised objectives and a known true front; hypervolumes are shares of the true
front's. The reference point is a tenth of the front's range beyond the front's worst values.

- `zdt5`: pymoo's `ZDT5`: 80 bits, deceptive (Zitzler, Deb and Thiele, 2000); no constraints.
- `clutch`: pymoo's `Clutch`, the design of a multiple disk clutch brake: five integers with 21, 21, 5, 401
  and 8 choices, mass against stopping time, 8 constraints; the front by enumeration of all 7,073,640 designs.
- `executed`, `ada`: candidates on the backbones of a table: error against executed MACs, or ADA_MACS.

For every method, an infeasible design has the reference point's values plus the sum of its violations, each
relative to its constraint's largest one. Such a design adds no volume.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.space import SearchSpace
from edanas.core.types import Variable
from edanas.numerics.pareto import hypervolume, non_dominated

Genomes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

SLACK = 0.1
"""Distance of the reference point beyond the true front's worst values, in front ranges."""


class Function(ABC):
    """An evaluation function on a search space, with its true front. Picklable.

    Args:
        name: Name on the command line.
        space: Search space of the genomes.
        front: (k, 2) the true front.
    """

    digest = ""
    """Digest of the table; empty without one."""

    has_thresholds = False
    """True if each backbone's front over continuous thresholds is known: `with_thresholds`, `held_out`."""

    def __init__(self, name: str, space: SearchSpace, front: Values) -> None:
        self.name, self.space, self.front = name, space, front
        self.ideal = front.min(axis=0)
        self.reference = front.max(axis=0) + SLACK * np.ptp(front, axis=0)

    @abstractmethod
    def evaluate(self, genomes: Genomes) -> Values:
        """Return the minimised values (n, 2) of canonical genomes (n, D)."""

    def insight(self) -> tuple[Any, Any, Callable[[Genomes], Sequence[Any]]]:
        """Return further inputs of a strategy: `judge`, `front`, and the exit profiles of genomes."""
        return None, None, lambda _genomes: ()

    def nested(self) -> "Function | None":
        """Return the function on backbones, each with its threshold front; `None` without exits."""
        return None

    def estimated(self, _genomes: Genomes) -> int:
        """Return the number of estimated values among (n, D) genomes."""
        return 0

    def share(self, values: Values) -> float:
        """Return the hypervolume of (n, 2) values, as a share of the true front's."""
        return self.volume(values) / self._best

    @cached_property
    def _best(self) -> float:
        return self.volume(self.front)

    def volume(self, values: Values) -> float:
        """Return the hypervolume, relative to the box from ideal to reference point."""
        span = self.reference - self.ideal
        return hypervolume((values - self.ideal) / span, np.ones(2))


class Zdt5(Function):
    """See the module's docstring."""

    def __init__(self) -> None:
        from pymoo.problems.multi.zdt import ZDT5

        self._problem = ZDT5()
        # Ones among the first 30 bits; at the global optimum every other block has five ones.
        best = np.ones((31, 80), dtype=bool)
        for ones, row in enumerate(best):
            row[:30] = np.arange(30) < ones
        front = self._problem.evaluate(best)
        super().__init__("zdt5", plain_space([range(2)] * 80), front[non_dominated(front)])

    def evaluate(self, genomes: Genomes) -> Values:
        """See `Function.evaluate`."""
        return np.asarray(self._problem.evaluate(genomes.astype(bool)), dtype=np.float64)


class Clutch(Function):
    """See the module's docstring."""

    def __init__(self) -> None:
        from pymoo.problems.multi.clutch import Clutch as Problem

        self._problem = Problem()
        choices = [getattr(self._problem, f"x{i}") for i in range(1, 6)]
        counts = self._problem.xu + 1
        space = plain_space([each[:count].tolist() for each, count in zip(choices, counts, strict=True)])
        front = np.zeros((0, 2))
        worst = np.full(8, 1e-9)
        rest = np.indices(space.counts[1:]).reshape(4, -1).T
        for first in range(space.counts[0]):
            values, broken = self._raw(np.insert(rest, 0, first, axis=1))
            worst = np.maximum(worst, broken.max(axis=0))
            values_so_far = np.concatenate([front, values[(broken == 0).all(axis=1)]])
            front = values_so_far[non_dominated(values_so_far)]
        self._worst = worst
        super().__init__("clutch", space, np.unique(front, axis=0))

    def _raw(self, genomes: Genomes) -> tuple[Values, Values]:
        """Return values and violations of the 8 constraints; pymoo declares 19, so its check fails."""
        out: dict[str, Values] = {}
        self._problem._evaluate(genomes, out)
        return out["F"], np.maximum(out["G"], 0)

    def evaluate(self, genomes: Genomes) -> Values:
        """See `Function.evaluate`."""
        values, broken = self._raw(genomes)
        excess = (broken / self._worst).sum(axis=1, keepdims=True)
        return np.where(excess > 0, self.reference + excess * (self.reference - self.ideal), values)


def plain_space(choices: Sequence[Sequence[float]]) -> SearchSpace:
    """Return a search space without exits, with one variable for each sequence of choices."""
    variables = tuple(Variable(f"x{i + 1}", tuple(values)) for i, values in enumerate(choices))
    return SearchSpace(variables, (None,), 0)
