"""The conformance suite for constraints."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edanas.core.contracts import Constraint
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Metrics
from edanas.testing.conformance import reported_call, require
from edanas.testing.toy_search import ToyEvaluator, toy_space

_BASES = ("choices", "costs", "outcome")
_CANDIDATES = 60


def check_constraint(constraint: Constraint, space: SearchSpace | None = None) -> None:
    """Check a constraint against its contract: finite excesses, descriptions, and the declared `basis`.

    Choose the limits of the constraint, or the space, so that some candidates satisfy the constraint and some
    break it.

    Args:
        constraint: The constraint; the suite calls `prepare`.
        space: The search space of the suite's candidates; by default a toy space with kernels 3, 5 and 7.

    Raises:
        ConformanceError: The constraint breaks its contract.

    Example:
        >>> class FewParameters(Constraint):
        ...     basis = "costs"
        ...     def excess(self, candidate, metrics):
        ...         return max(0.0, metrics.params / 100 - 1)
        ...     def describe(self, candidate, metrics):
        ...         return f"{metrics.params} parameters; allowed: up to 100"
        >>> check_constraint(FewParameters())
    """
    space = space or toy_space()
    require(
        constraint,
        constraint.basis in _BASES,
        f"`basis` is {constraint.basis!r}; expected one of {', '.join(_BASES)}",
    )
    with reported_call(constraint, "preparing for a search space"):
        constraint.prepare(space)
    evaluated = _evaluated(space)
    excesses = [_excess(constraint, candidate, metrics) for candidate, metrics in evaluated]
    feasible = sum(excess <= 0 for excess in excesses)
    require(
        constraint,
        0 < feasible < len(excesses),
        f"{feasible} of {len(excesses)} candidates satisfy it; expected some that do and some that do not",
    )
    _check_basis(constraint, evaluated, excesses)
    for (candidate, metrics), excess in zip(evaluated, excesses, strict=True):
        with reported_call(constraint, f"a description of {candidate.id}"):
            text: object = constraint.describe(candidate, metrics)
        require(
            constraint,
            isinstance(text, str) and text and "\n" not in text,
            f"describes {candidate.id}, excess {excess}, as {text!r}; expected one line of text",
        )


def _evaluated(space: SearchSpace) -> list[tuple[Candidate, Metrics]]:
    """Return candidates with metrics by a formula: the smallest, the largest, and random candidates."""
    evaluator = ToyEvaluator()
    evaluator.prepare(Silent())
    genomes = space.sample(np.random.default_rng(0), _CANDIDATES)
    ends = np.array([np.zeros_like(space.counts), space.counts - 1])
    candidates = {c.id: c for c in map(space.decode, (*space.canonical(ends), *genomes))}
    return [(c, evaluator.evaluate(c)) for c in candidates.values()]


def _check_basis(
    constraint: Constraint, evaluated: Sequence[tuple[Candidate, Metrics]], excesses: Sequence[float]
) -> None:
    """Check that a constraint on choices or costs does not depend on other metrics."""
    if constraint.basis == "outcome":
        return
    for (candidate, metrics), excess in zip(evaluated, excesses, strict=True):
        shares = (*((0.0,) * len(candidate.scheme.thresholds)), 1.0)
        other = replace(
            metrics, accuracy=0.0, backbone_accuracy=0.0, utilization=shares, ada_macs=1.0, executed_macs=1.0
        )
        again = _excess(constraint, candidate, None if constraint.basis == "choices" else other)
        require(
            constraint,
            again == excess,
            f"`basis` is {constraint.basis}, but the excess of {candidate.id} is {again} with "
            f"other metrics of its exits, not {excess}",
        )


def _excess(constraint: Constraint, candidate: Candidate, metrics: Metrics | None) -> float:
    """Return the excess of a candidate, and check its type and that two calls agree."""
    before = copy.deepcopy((candidate, metrics))
    with reported_call(constraint, f"the excess of {candidate.id}, {metrics},"):
        excess: object = constraint.excess(candidate, metrics)
        again = constraint.excess(candidate, metrics)
    require(
        constraint,
        isinstance(excess, (int, float)) and not isinstance(excess, bool) and math.isfinite(excess),
        f"the excess of {candidate.id} is {excess!r}, of {type(excess).__name__}; expected a finite number",
    )
    require(constraint, again == excess, f"gives two excesses of {candidate.id}: {excess!r}, then {again!r}")
    require(constraint, (candidate, metrics) == before, f"changes {candidate.id} or its metrics")
    return float(again)
