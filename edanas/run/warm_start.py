"""The warm start of a run: the best candidates of an older run join its initial archive."""

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

_SPACE_SETTINGS = ("supernet", "thresholds", "search.cut")
"""The settings that determine the search space."""


def best_candidates(
    run: Path,
    space: SearchSpace,
    objectives: Sequence[Objective],
    settings: Settings,
    fronts: Fronts | None = None,
) -> tuple[Candidate, ...]:
    """Return the Pareto set of an older run, by the objectives of the new run.

    The metrics of the older run are dropped, because data, weights and training may differ. The number of
    candidates is at most half of the initial archive. From a larger Pareto set, candidates are chosen at even
    distances in the order of the second objective.

    Args:
        run: The folder of the older run, finished or not.
        space: The search space of both runs.
        objectives: The objectives of the new run.
        settings: The settings of the new run.
        fronts: The Pareto-optimal selection schemes of backbones, if thresholds are continuous. The result
            is then the backbones with a scheme in the Pareto set of all schemes. `None` by default.

    Raises:
        RunError: The folder holds no run, a run on another search space, or no successful evaluation.
    """
    where = f"warm_start: {run}"
    if not (run / ARCHIVE).is_file():
        raise RunError(f"{where} holds no run; expected a run folder, which contains {ARCHIVE}")
    with Archive(run, read_only=True) as archive:
        meta = archive.meta()
        # A run without cut networks holds candidates of this space, too.
        if meta.get("space") not in (space.signature(), space.whole().signature()):
            raise RunError(
                f"{where} holds a run on another search space{_difference(meta.get('settings'), settings)}"
            )
        evaluations = [evaluation for _, evaluation in archive.replay()]
        best = [e.candidate for e in pareto_set(evaluations, objectives)]
        if fronts is not None:
            best = _backbones_on_front(evaluations, archive, objectives, fronts)
    if not best:
        raise RunError(
            f"{where} holds {len(evaluations)} evaluations, all of which failed; expected one that succeeded"
        )
    count = min(len(best), max(1, settings.search.initial // 2))
    indices = np.unique(np.linspace(0, len(best) - 1, count).round().astype(np.int64))
    return tuple(best[i] for i in indices)


def _backbones_on_front(
    evaluations: Sequence[Evaluation], archive: Archive, objectives: Sequence[Objective], fronts: Fronts
) -> list[Candidate]:
    """Return the backbones with a selection scheme in the Pareto set of all backbones' schemes.

    They are in the order of the second objective.
    """
    candidates: dict[str, Candidate] = {}
    pool: list[Evaluation] = []
    for evaluation in evaluations:
        profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
        if profile is not None:
            candidates[evaluation.candidate.backbone.id] = evaluation.candidate
            pool += fronts.evaluations(evaluation, profile)
    ids = dict.fromkeys(e.candidate.backbone.id for e in pareto_set(pool, objectives))
    return [candidates[backbone_id] for backbone_id in ids]


def _difference(stored: object, settings: Settings) -> str:
    """Return a sentence on the differing settings of the search spaces; empty if they cannot be compared."""
    if not isinstance(stored, dict):
        return ""
    try:
        lines = [
            line for line in changed(resolve([("", stored)]), settings) if line.startswith(_SPACE_SETTINGS)
        ]
    except EdanasError:
        return ""
    return f". Differing settings: {'; '.join(lines)}" if lines else ""
