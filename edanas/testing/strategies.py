"""The conformance suite of search strategies."""

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
_Told = list[_Rows]

_COUNT = 5
_ROUNDS = 3


def check_strategy(make: Callable[[], SearchStrategy], problem: SearchProblem | None = None) -> None:
    """Hold a strategy against its contract: distinct candidates of the space, and no state of its own.

    A resumed run stands on the latter: a fresh strategy, told the archive, must choose as the first one did.

    Args:
        make: A fresh strategy, not yet started.
        problem: What it works on; by default two objectives on a space of a few hundred candidates, or, for
            a nested strategy, of 78 backbones with exit profiles.

    Raises:
        ConformanceError: Something does not hold.
    """
    nested = make().nested
    problem = problem or (toy_nested_problem() if nested else toy_problem())
    if nested:
        small = toy_nested_problem(toy_backbones(layers=2), problem.seed, initial=4)
    else:
        small = toy_problem(toy_space(layers=2, exit_points=1), problem.seed, initial=4)
    problem, small = (_confined(make(), each) for each in (problem, small))
    with generators_restored():
        _check_replay(make, problem)
        _check_first(make, problem)
        _check_failures(make, problem)
        _check_exhaustion(make, small)
        _check_constraints(make, problem)


def _confined(strategy: SearchStrategy, problem: SearchProblem) -> SearchProblem:
    """The problem on the part of its space that the strategy searches."""
    part = strategy.confine(problem.space)
    genomes = part.sample(np.random.default_rng(problem.seed), 8)
    outside = [each for each in map(part.decode, genomes) if each not in problem.space]
    require(strategy, not outside, f"confine: {outside[:1]} is no candidate of the space that was given")
    return replace(problem, space=part)


def _check_replay(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """Run a few iterations; before each, a fresh strategy that is only told must choose the same."""
    strategy = _started(make, problem)
    told: _Told = []
    seed_global_generators(0)
    initial = strategy.initial()
    require(strategy, initial, "the initial archive is empty")
    _check_choice(strategy, problem, "initial", initial, problem.initial, told)
    seed_global_generators(1)
    again = _started(make, problem).initial()
    require(strategy, _ids(again) == _ids(initial), "another initial archive at the same seed")
    chosen = initial
    for iteration in range(1, _ROUNDS + 1):
        told.append(_measured(problem, chosen))
        strategy.tell(*told[-1])
        chosen = strategy.ask(_COUNT)
        _check_choice(strategy, problem, f"ask {iteration}", chosen, _COUNT, told)
        notes = strategy.notes()
        require(
            strategy,
            all(isinstance(k, str) and isinstance(v, str) for k, v in notes.items()),
            f"notes hold more than text: {notes}",
        )
        seed_global_generators(iteration)
        fresh = _started(make, problem)
        for rows in told:
            fresh.tell(*rows)
        require(
            strategy,
            _ids(fresh.ask(_COUNT)) == _ids(chosen),
            f"ask {iteration}: a fresh strategy that was told the same chooses otherwise, so a run could not "
            "be resumed; draw from a generator seeded by the run's seed and by how much was told",
        )


def _check_first(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """What the problem wants first begins the initial archive, which is no longer for it."""
    drawn = problem.space.sample(np.random.default_rng(problem.seed), 4 * problem.initial)
    genomes = list({genome.tobytes(): genome for genome in drawn}.values())
    wanted = [problem.space.decode(genome) for genome in genomes]
    for count in (1, problem.initial - 1, problem.initial + 1):
        initial = _started(make, replace(problem, first=tuple(wanted[:count]))).initial()
        _check_choice(make(), problem, "initial, with `first`", initial, problem.initial, [])
        require(
            make(),
            _ids(initial)[:count] == _ids(wanted[:count])[: problem.initial],
            f"the initial archive does not begin with the problem's {count} first candidates",
        )


def _check_failures(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """Failed candidates are rows of NaN: some of the initial archive, then a whole iteration."""
    strategy = _started(make, problem)
    chosen = strategy.initial()
    told: _Told = []
    for iteration, failed in enumerate((slice(0, None, 2), slice(None), slice(0, 1)), start=1):
        genomes, values, profiles, excesses = _measured(problem, chosen)
        values[failed] = excesses[failed] = np.nan
        lost = set(range(len(genomes))[failed])
        told.append((genomes, values, [None if i in lost else p for i, p in enumerate(profiles)], excesses))
        strategy.tell(*told[-1])
        chosen = strategy.ask(_COUNT)
        _check_choice(strategy, problem, f"ask {iteration}, after failures", chosen, _COUNT, told)


def _check_exhaustion(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """A small space is searched to its end, and then there is nothing to ask for."""
    strategy = _started(make, problem)
    size = problem.space.size()
    told: _Told = []
    chosen = strategy.initial()
    while chosen and len(told) <= size:
        told.append(_measured(problem, chosen))
        strategy.tell(*told[-1])
        chosen = strategy.ask(_COUNT)
        _check_choice(strategy, problem, "ask in a small space", chosen, _COUNT, told)
    found = sum(len(genomes) for genomes, *_ in told)
    require(strategy, found == size, f"finds {found} of a small space's {size} candidates and gives up")


def _check_constraints(make: Callable[[], SearchStrategy], problem: SearchProblem) -> None:
    """What a structure breaks is not asked for; with constraints, too, choices follow from what was told."""
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
            f"asks for {len(chosen)} candidates, of which the structure of {refused} breaks a constraint",
        )
        strategy.tell(*rows)
        chosen = strategy.ask(_COUNT)
    _check_replay(make, replace(problem, limits=1, judge=None))


def _size(space: SearchSpace, genome: npt.NDArray[np.int64]) -> float:
    """How far a genome's genes are from the first choices, as a share."""
    able = space.expressed(genome) & (space.counts > 1)
    return float((genome / np.maximum(space.counts - 1, 1))[able].mean())


def _check_choice(
    strategy: SearchStrategy,
    problem: SearchProblem,
    where: str,
    chosen: list[Candidate],
    count: int,
    told: _Told,
) -> None:
    space = problem.space
    require(
        strategy, len(chosen) <= count, f"{where}: {len(chosen)} candidates; at most {count} were asked for"
    )
    held = {row.tobytes() for genomes, *_ in told for row in genomes}
    for candidate in chosen:
        genome = space.encode(candidate)
        require(
            strategy,
            space.decode(genome) == candidate,
            f"{where}: {candidate} is not what its genome stands for",
        )
        require(
            strategy, genome.tobytes() not in held, f"{where}: {genome.tolist()} was told, or stands twice"
        )
        held.add(genome.tobytes())


def _started(make: Callable[[], SearchStrategy], problem: SearchProblem) -> SearchStrategy:
    strategy = make()
    strategy.start(problem)
    return strategy


def _measured(problem: SearchProblem, candidates: list[Candidate]) -> _Rows:
    """Genomes with values that pull in different directions: each objective has an optimum of its own.

    The measured constraints, if there are any, are kept by a part of them.
    """
    space = problem.space
    genomes = np.array([space.encode(c) for c in candidates], dtype=np.int64).reshape(-1, space.dimensions)
    scaled = genomes / np.maximum(space.counts - 1, 1)
    optima = np.linspace(0, 1, problem.objectives)
    values = ((scaled[:, None, :] - optima[:, None]) ** 2).mean(axis=2)
    kept = problem.front is not None
    profiles = [toy_backbone_profile(c.backbone) if kept else None for c in candidates]
    return genomes, values, profiles, np.repeat(values[:, -1:] - 0.2, problem.limits, axis=1)


def _ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.id for candidate in candidates]
