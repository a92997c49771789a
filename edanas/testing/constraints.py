"""The conformance suite of constraints."""

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
    """Hold a constraint against its contract: one finite excess, text that says what is allowed, a basis.

    Some of the candidates that it is shown must keep it and some break it, or it could not be told from one
    that says the same of all: give it limits that the toys' networks lie on both sides of, or a space.

    Args:
        constraint: Not yet prepared.
        space: Whose candidates are shown; by default the toy space, of kernels 3, 5 and 7.

    Raises:
        ConformanceError: Something does not hold.
    """
    space = space or toy_space()
    require(
        constraint,
        constraint.basis in _BASES,
        f"`basis` is {constraint.basis!r}; expected one of {', '.join(_BASES)}",
    )
    with reported_call(constraint, "preparing for a search space"):
        constraint.prepare(space)
    shown = _shown(space)
    found = [_excess(constraint, candidate, metrics) for candidate, metrics in shown]
    kept = sum(excess <= 0 for excess in found)
    require(
        constraint,
        0 < kept < len(found),
        f"{kept} of {len(found)} candidates keep it; expected some that do and some that do not",
    )
    _check_basis(constraint, shown, found)
    for (candidate, metrics), excess in zip(shown, found, strict=True):
        with reported_call(constraint, f"a description of {candidate.id}"):
            text: object = constraint.describe(candidate, metrics)
        require(
            constraint,
            isinstance(text, str) and text and "\n" not in text,
            f"describes {candidate.id}, excess {excess}, as {text!r}; expected a line of text",
        )


def _shown(space: SearchSpace) -> list[tuple[Candidate, Metrics]]:
    """Candidates of all sizes, with metrics by formula."""
    evaluator = ToyEvaluator()
    evaluator.prepare(Silent())
    genomes = space.sample(np.random.default_rng(0), _CANDIDATES)
    ends = np.array([np.zeros_like(space.counts), space.counts - 1])
    candidates = {c.id: c for c in map(space.decode, (*space.canonical(ends), *genomes))}
    return [(c, evaluator.evaluate(c)) for c in candidates.values()]


def _check_basis(
    constraint: Constraint, shown: Sequence[tuple[Candidate, Metrics]], found: Sequence[float]
) -> None:
    """What is decided by choices or costs must not depend on anything else."""
    if constraint.basis == "outcome":
        return
    for (candidate, metrics), excess in zip(shown, found, strict=True):
        shares = (*((0.0,) * len(candidate.scheme.thresholds)), 1.0)
        other = replace(
            metrics, accuracy=0.0, backbone_accuracy=0.0, utilization=shares, ada_macs=1.0, executed_macs=1.0
        )
        again = _excess(constraint, candidate, None if constraint.basis == "choices" else other)
        require(
            constraint,
            again == excess,
            f"`basis` is {constraint.basis}, but without a say of the exits {candidate.id} has {again}, "
            f"not {excess}",
        )


def _excess(constraint: Constraint, candidate: Candidate, metrics: Metrics | None) -> float:
    kept = copy.deepcopy((candidate, metrics))
    with reported_call(constraint, f"the excess of {candidate.id}, {metrics},"):
        found: object = constraint.excess(candidate, metrics)
        again = constraint.excess(candidate, metrics)
    require(
        constraint,
        isinstance(found, (int, float)) and not isinstance(found, bool) and math.isfinite(found),
        f"the excess of {candidate.id} is {found!r}, of {type(found).__name__}; expected a finite number",
    )
    require(constraint, again == found, f"gives two excesses of {candidate.id}: {found!r}, then {again!r}")
    require(constraint, (candidate, metrics) == kept, f"changes {candidate.id} or its metrics")
    return float(again)
