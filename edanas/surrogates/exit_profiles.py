"""The surrogate `exit-profiles`: every archived backbone answers for the scheme that is asked for."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.space import Genomes
from edanas.core.types import Candidate, Outcome, SelectionScheme
from edanas.numerics.smoother import Smoother
from edanas.surrogates.backbone_smoother import fit_smoother
from edanas.surrogates.profile_model import FEWEST, ProfileModel, TrainingProfiles, outcome_of

_SCHEMES = 24
"""Of the archive's schemes so many decide which genes matter."""


class ExitProfiles(ProfileModel):
    """Regression over backbones alone, under the candidate's own scheme.

    The scheme's outcome on each archived backbone is exact, arithmetic on its exit profile. Who leaves at
    each exit, and who leaves there wrong, is then smoothed over the backbones' genes, each with weights of
    its own (`Smoother`); costs are the candidate's exact ones. An archived backbone under another scheme is
    not predicted: its profile tells. Where candidates are trained with the exits they have, only profiles
    with the scheme's exits answer, and which exits stood counts as part of the backbone.

    Args:
        seed: Decides which backbones count where there are very many.
    """

    def _learn(self, known: TrainingProfiles) -> None:
        self._groups: dict[bytes, _Group | None] = {}

    def _outcomes(
        self, known: TrainingProfiles, genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome | None]:
        found: list[Outcome | None] = [None] * len(candidates)
        waiting: dict[bytes, list[int]] = {}
        for at, candidate in enumerate(candidates):
            found[at] = known.told(genomes[at], candidate)
            if found[at] is None:
                covering = known.evidence.covers(candidate.scheme.placed)[known.counted]
                waiting.setdefault(covering.tobytes(), []).append(at)
        for key, rows in waiting.items():
            if key not in self._groups:
                self._groups[key] = _Group.of(known, np.frombuffer(key, dtype=np.bool_))
            group = self._groups[key]
            if group is not None:
                asked = [candidates[at] for at in rows]
                for at, outcome in zip(rows, group.outcomes(known, genomes[rows], asked), strict=True):
                    found[at] = outcome
        return found


class _Group(NamedTuple):
    """The smoothers for schemes that the same profiles answer for.

    Args:
        rows: Those profiles, (n,).
        leaving: For each exit that all of them have, and the last exit.
        wrong: Likewise.
    """

    rows: npt.NDArray[np.int64]
    leaving: Mapping[int, Smoother]
    wrong: Mapping[int, Smoother]

    @classmethod
    def of(cls, known: TrainingProfiles, covering: npt.NDArray[np.bool_]) -> "_Group | None":
        """`None` where hardly a profile answers."""
        rows, features = known.counted[covering], known.features[covering]
        if len(rows) < FEWEST:
            return None
        common: npt.NDArray[np.bool_] = np.asarray(known.evidence.has[rows].all(axis=0))
        cut = (
            SelectionScheme(tuple(t if here else None for t, here in zip(s.thresholds, common, strict=True)))
            for s in (candidate.scheme for candidate in known.candidates)
        )
        schemes = list(islice(dict.fromkeys(cut), _SCHEMES))
        shares = [known.evidence.shares(scheme) for scheme in schemes]
        smoothers: tuple[dict[int, Smoother], dict[int, Smoother]] = {}, {}
        for exit_ in (*np.flatnonzero(common).tolist(), known.space.exit_points):
            for which, smoother in enumerate(smoothers):
                outputs = np.stack([share[which][rows, exit_] for share in shares], axis=1)
                smoother[exit_] = fit_smoother(features, known.owners, outputs)
        return cls(rows, *smoothers)

    def outcomes(
        self, known: TrainingProfiles, genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome]:
        """Predicted, for candidates whose exits these profiles have."""
        features, last = known.describe(genomes, candidates), known.space.exit_points
        leaving_by = {exit_: smoother.weights(features) for exit_, smoother in self.leaving.items()}
        wrong_by = {exit_: smoother.weights(features) for exit_, smoother in self.wrong.items()}
        missed = wrong_by[last] @ known.evidence.alone(last, 0.0)[1][self.rows]
        found = []
        for at, candidate in enumerate(candidates):
            shares = known.evidence.shares(candidate.scheme)
            leaving, wrong = np.zeros((2, last + 1))
            for exit_ in (*candidate.scheme.placed, last):
                leaving[exit_] = leaving_by[exit_][at] @ shares.leaving[self.rows, exit_]
                wrong[exit_] = wrong_by[exit_][at] @ shares.wrong[self.rows, exit_]
            found.append(outcome_of(leaving, wrong, float(missed[at])))
        return found
