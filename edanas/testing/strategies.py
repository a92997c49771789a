"""The conformance suite for search strategies."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchProblem, SearchStrategy
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, ExitProfile
from edanas.testing.conformance import require
from edanas.testing.random_generators import generators_restored, seed_global_generators
from edanas.testing.toy_nested_search import toy_backbone_profile, toy_backbones, toy_nested_problem
from edanas.testing.toy_search import toy_problem, toy_space

_Rows = tuple[
    npt.NDArray[np.int64], npt.NDArray[np.float64], list[ExitProfile | None], npt.NDArray[np.float64]
]
_Archive = list[_Rows]

_COUNT = 5
_ROUNDS = 3


def check_strategy(make: Callable[[], SearchStrategy], problem: SearchProblem | None = None) -> None:
    """Check a strategy against its contract: distinct candidates of the space, and no hidden state.

    A new strategy with the same archive must choose the same candidates, so that a run can be resumed.

    Args:
        make: A function that returns a new strategy before `start`, e.g. the class.
        problem: The search problem. The default has two objectives on a space of a few hundred candidates,
            some of which end at an exit point; for a nested strategy, it has 78 backbones with exit profiles.

    Raises:
        ConformanceError: The strategy breaks its contract.

    Example:
        >>> from edanas.strategies.base import Remembering
        >>> class RandomSearch(Remembering):
        ...     def propose(self, rng, count):
        ...         return np.zeros((0, self._space.dimensions), dtype=np.int64)  # the base class fills up
        >>> check_strategy(RandomSearch)
    """
    nested = make().nested
    problem = problem or (toy_nested_problem() if nested else toy_problem(toy_space(cut=True)))
    if nested:
        small = toy_nested_problem(toy_backbones(layers=2), problem.seed, initial=4)
    else:
        small = toy_problem(toy_space(layers=2, exit_points=1, cut=True), problem.seed, initial=4)
    problem, small = (_confined(make(), each) for each in (problem, small))
    with generators_restored():
        _check_replay(make, problem)
        _check_first(make, problem)
        _check_failures(make, problem)
        _check_exhaustion(make, small)
        _check_constraints(make, problem)


def _confined(strategy: SearchStrategy, problem: SearchProblem) -> SearchProblem:
    """Return the problem on the subspace that the strategy searches, and check that subspace."""
    part = strategy.confine(problem.space)
    genomes = part.sample(np.random.default_rng(problem.seed), 8)
    outside = [each for each in map(part.decode, genomes) if each not in problem.space]
    require(strategy, not outside, f"confine: {outside[:1]} is not a candidate of the given space")
    return replace(problem, space=part)


def _check_replay(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """Check that a new strategy with the same archive chooses the same candidates, in a few iterations."""
    strategy = _started(make, problem)
    archive: _Archive = []
    seed_global_generators(0)
    initial = strategy.initial()
    require(strategy, initial, "the initial archive is empty")
    _check_choice(strategy, problem, "initial", initial, problem.initial, archive)
    seed_global_generators(1)
    again = _started(make, problem).initial()
    require(strategy, _ids(again) == _ids(initial), "another initial archive at the same seed")
    chosen = initial
    for iteration in range(1, _ROUNDS + 1):
        archive.append(_measured(problem, chosen))
        strategy.tell(*archive[-1])
        chosen = strategy.ask(_COUNT)
        _check_choice(strategy, problem, f"ask {iteration}", chosen, _COUNT, archive)
        notes = strategy.notes()
        require(
            strategy,
            all(isinstance(k, str) and isinstance(v, str) for k, v in notes.items()),
            f"notes are {notes}; expected texts by name",
        )
        seed_global_generators(iteration)
        fresh = _started(make, problem)
        for rows in archive:
            fresh.tell(*rows)
        require(
            strategy,
            _ids(fresh.ask(_COUNT)) == _ids(chosen),
            f"ask {iteration}: a fresh strategy with the same archive chooses other candidates, so that no "
            "run can be resumed; seed random numbers by the run's seed and the archive's length",
        )


def _check_first(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """Check that the initial archive begins with `first` of the problem, and does not exceed `initial`."""
    drawn = problem.space.sample(np.random.default_rng(problem.seed), 4 * problem.initial)
    genomes = list({genome.tobytes(): genome for genome in drawn}.values())
    first = [problem.space.decode(genome) for genome in genomes]
    for count in (1, problem.initial - 1, problem.initial + 1):
        initial = _started(make, replace(problem, first=tuple(first[:count]))).initial()
        _check_choice(make(), problem, "initial, with `first`", initial, problem.initial, [])
        require(
            make(),
            _ids(initial)[:count] == _ids(first[:count])[: problem.initial],
            f"the initial archive does not begin with the problem's {count} first candidates",
        )


def _check_failures(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """Check that a strategy accepts failed candidates, whose values are NaN.

    Half of the initial archive fails, then a whole iteration, then one candidate.
    """
    strategy = _started(make, problem)
    chosen = strategy.initial()
    archive: _Archive = []
    for iteration, failed in enumerate((slice(0, None, 2), slice(None), slice(0, 1)), start=1):
        genomes, values, profiles, excesses = _measured(problem, chosen)
        values[failed] = excesses[failed] = np.nan
        lost = set(range(len(genomes))[failed])
        archive.append(
            (genomes, values, [None if i in lost else p for i, p in enumerate(profiles)], excesses)
        )
        strategy.tell(*archive[-1])
        chosen = strategy.ask(_COUNT)
        _check_choice(strategy, problem, f"ask {iteration}, after failures", chosen, _COUNT, archive)


def _check_exhaustion(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """Check that a strategy returns all candidates of a small space, and then no more."""
    strategy = _started(make, problem)
    size = problem.space.size()
    archive: _Archive = []
    chosen = strategy.initial()
    while chosen and len(archive) <= size:
        archive.append(_measured(problem, chosen))
        strategy.tell(*archive[-1])
        chosen = strategy.ask(_COUNT)
        _check_choice(strategy, problem, "ask in a small space", chosen, _COUNT, archive)
    count = sum(len(genomes) for genomes, *_ in archive)
    require(strategy, count == size, f"returns {count} of a small space's {size} candidates and then no more")


def _check_constraints(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """Check that no choice breaks a structural constraint, and that resumed runs choose the same."""
    space = problem.space

    def structure(candidate: Candidate) -> float:
        return max(0.0, _size(space, space.encode(candidate)) - 0.5)

    _check_replay(make, replace(problem, structure=structure, judge=None))
    strategy = _started(make, replace(problem, structure=structure, judge=None))
    chosen = strategy.initial()
    for _ in range(_ROUNDS):
        rows = _measured(problem, chosen)
        refused = [row.tolist() for row in rows[0] if _size(space, row) > 0.5]
        require(
            strategy,
            chosen and not refused,
            f"chooses {len(chosen)} candidates, and these break a structural constraint: {refused}",
        )
        strategy.tell(*rows)
        chosen = strategy.ask(_COUNT)
    _check_replay(make, replace(problem, limits=1, judge=None))


def _size(space: SearchSpace, genome: npt.NDArray[np.int64]) -> float:
    """Return the mean of the genes, each scaled to [0, 1] from its first to its last choice."""
    free = space.expressed(genome) & (space.counts > 1)
    return float((genome / np.maximum(space.counts - 1, 1))[free].mean())


def _check_choice(
    strategy: SearchStrategy,
    problem: SearchProblem,
    where: str,
    chosen: list[Candidate],
    count: int,
    archive: _Archive,
) -> None:
    space = problem.space
    require(strategy, len(chosen) <= count, f"{where}: {len(chosen)} candidates; allowed: at most {count}")
    known = {row.tobytes() for genomes, *_ in archive for row in genomes}
    current = set()
    for candidate in chosen:
        genome = space.encode(candidate)
        require(
            strategy,
            space.decode(genome) == candidate,
            f"{where}: {candidate} differs from its decoded genome",
        )
        require(
            strategy,
            genome.tobytes() not in known,
            f"{where}: {genome.tolist()} is in the archive already; expected a new candidate",
        )
        require(
            strategy,
            genome.tobytes() not in current,
            f"{where}: {genome.tolist()} is chosen twice; expected distinct candidates",
        )
        current.add(genome.tobytes())


def _started(make: Callable[[], SearchStrategy], problem: SearchProblem) -> SearchStrategy:
    strategy = make()
    strategy.start(problem)
    return strategy


def _measured(problem: SearchProblem, candidates: list[Candidate]) -> _Rows:
    """Return the genomes of candidates, their objective values, exit profiles, and excesses over constraints.

    Each objective has another optimum. Some candidates satisfy the measured constraints, if the problem has
    constraints.
    """
    space = problem.space
    genomes = np.array([space.encode(c) for c in candidates], dtype=np.int64).reshape(-1, space.dimensions)
    scaled = genomes / np.maximum(space.counts - 1, 1)
    optima = np.linspace(0, 1, problem.objectives)
    values = ((scaled[:, None, :] - optima[:, None]) ** 2).mean(axis=2)
    has_profiles = problem.front is not None
    profiles = [toy_backbone_profile(c.backbone) if has_profiles else None for c in candidates]
    return genomes, values, profiles, np.repeat(values[:, -1:] - 0.2, problem.limits, axis=1)


def _ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.id for candidate in candidates]
