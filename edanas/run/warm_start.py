"""Warm start: the best candidates of an older run, to begin a new one with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import changed, resolve
from edanas.core.contracts import Objective
from edanas.core.errors import EdanasError, RunError
from edanas.core.fronts import Fronts
from edanas.core.settings import Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Evaluation
from edanas.evaluation.selection import pareto_set

_OF_THE_SPACE = ("supernet", "thresholds")


def best_of(
    run: Path,
    space: SearchSpace,
    objectives: Sequence[Objective],
    settings: Settings,
    fronts: Fronts | None = None,
) -> tuple[Candidate, ...]:
    """The Pareto set of an older run by this run's objectives: candidates alone, to be evaluated anew.

    What they were measured at there is left behind: data, weights and training may differ. They are at most
    half of the initial archive; a larger Pareto set is thinned evenly along its second objective.

    Args:
        run: The older run's folder, finished or not.
        space: This run's; the older one must be equal.
        objectives: This run's.
        settings: This run's.
        fronts: What a backbone is worth where thresholds are continuous: those whose trade-offs are on the
            common front are taken over.

    Raises:
        RunError: There is no run, it is of another space, or nothing in it succeeded.
    """
    where = f"warm_start: {run}"
    if not (run / ARCHIVE).is_file():
        raise RunError(f"{where} holds no run; expected a folder with {ARCHIVE}")
    with Archive(run, read_only=True) as archive:
        meta = archive.meta()
        if meta.get("space") != space.signature():
            raise RunError(f"{where} is of another search space{_difference(meta.get('settings'), settings)}")
        evaluations = [evaluation for _, evaluation in archive.replay()]
        best = [e.candidate for e in pareto_set(evaluations, objectives)]
        if fronts is not None:
            best = _owners(evaluations, archive, objectives, fronts)
    if not best:
        raise RunError(f"{where} holds {len(evaluations)} evaluations, and none of them succeeded")
    count = min(len(best), max(1, settings.search.initial // 2))
    kept = np.unique(np.linspace(0, len(best) - 1, count).round().astype(np.int64))
    return tuple(best[i] for i in kept)


def _owners(
    evaluations: Sequence[Evaluation], archive: Archive, objectives: Sequence[Objective], fronts: Fronts
) -> list[Candidate]:
    """The backbones that own a trade-off on the front of all, by their first one's second objective."""
    sources: dict[str, Candidate] = {}
    pool: list[Evaluation] = []
    for evaluation in evaluations:
        profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
        if profile is not None:
            sources[evaluation.candidate.backbone.id] = evaluation.candidate
            pool += fronts.evaluations(evaluation, profile)
    owners = dict.fromkeys(e.candidate.backbone.id for e in pareto_set(pool, objectives))
    return [sources[owner] for owner in owners]


def _difference(stored: object, settings: Settings) -> str:
    """The settings of the space that differ, in words."""
    if not isinstance(stored, dict):
        return ""
    try:
        lines = [
            line for line in changed(resolve([("", stored)]), settings) if line.startswith(_OF_THE_SPACE)
        ]
    except EdanasError:
        return ""
    return f". There and here: {'; '.join(lines)}" if lines else ""
