"""The surrogate model `exit-profiles`: regression over backbones, under the scheme of the new candidate."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.space import Genomes
from edanas.core.types import Candidate, Outcome, SelectionScheme
from edanas.numerics.smoother import Smoother
from edanas.surrogates.backbone_smoother import fit_gene_smoother
from edanas.surrogates.profile_model import FEWEST, ProfileModel, TrainingProfiles, end_of, outcome_of

_SCHEMES = 24
"""Largest number of schemes from the archive that determine the relevance of genes."""


class ExitProfiles(ProfileModel):
    """A model of exit profiles: regression over backbones, under the scheme of the new candidate.

    The exit profile of each archived backbone gives the exact outcome of the scheme on this backbone. The
    outcome consists of the shares of samples that exit, and that exit misclassified, at each exit. Each share
    is smoothed over the genes of the backbones, with a separate smoother. For a backbone in the archive, the
    outcome under a new scheme is exact. Costs are exact, too.

    If each candidate is trained with the exits of its scheme alone, only profiles that contain the scheme's
    exits are used. The set of exits is then a feature of the backbone.

    Args:
        seed: Determines the subset of backbones in a fit if there are more than `profile_model.MOST`.
    """

    def _learn(self, known: TrainingProfiles) -> None:
        self._groups: dict[tuple[bytes, int], _Group | None] = {}

    def _outcomes(
        self, known: TrainingProfiles, genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome | None]:
        outcomes: list[Outcome | None] = [None] * len(candidates)
        waiting: dict[tuple[bytes, int], list[int]] = {}
        for at, candidate in enumerate(candidates):
            outcomes[at] = known.observed_outcome(genomes[at], candidate)
            if outcomes[at] is None:
                end = end_of(candidate)
                covering = known.bits.covers((*candidate.scheme.placed, end))[known.used]
                waiting.setdefault((covering.tobytes(), end), []).append(at)
        for key, rows in waiting.items():
            if key not in self._groups:
                self._groups[key] = _Group.of(known, np.frombuffer(key[0], dtype=np.bool_), key[1])
            group = self._groups[key]
            if group is not None:
                predicted = group.outcomes(known, genomes[rows], [candidates[at] for at in rows])
                for at, outcome in zip(rows, predicted, strict=True):
                    outcomes[at] = outcome
        return outcomes


class _Group(NamedTuple):
    """The smoothers for all schemes whose exits are contained in the same set of profiles.

    Args:
        end: Exit point at which the networks end; the number of exit points for whole networks.
        rows: Positions of the n profiles, (n,).
        exiting: Smoother of the share of samples that exit, by exit. The exits are those that all profiles
            contain, and the last exit.
        wrong: Smoother of the share of samples that exit misclassified, by exit; the same exits.
    """

    end: int
    rows: npt.NDArray[np.int64]
    exiting: Mapping[int, Smoother]
    wrong: Mapping[int, Smoother]

    @classmethod
    def of(cls, known: TrainingProfiles, covering: npt.NDArray[np.bool_], end: int) -> "_Group | None":
        """Return the fitted smoothers; `None` for fewer than `FEWEST` profiles.

        Args:
            known: The profiles of the fit.
            covering: A boolean for each profile in `known.used`: true if the profile contains the exits of
                the schemes.
            end: See the class.
        """
        rows, features = known.used[covering], known.features[covering][:, known.columns(end)]
        if len(rows) < FEWEST:
            return None
        common: npt.NDArray[np.bool_] = np.asarray(known.bits.has[rows].all(axis=0))
        common[end:] = False
        common = common[:-1]
        cut = (
            SelectionScheme(tuple(t if here else None for t, here in zip(s.thresholds, common, strict=True)))
            for s in (candidate.scheme for candidate in known.candidates)
        )
        schemes = list(islice(dict.fromkeys(cut), _SCHEMES))
        shares, owners = [known.bits.shares(s, end) for s in schemes], known.owners[known.columns(end)]
        smoothers: tuple[dict[int, Smoother], dict[int, Smoother]] = {}, {}
        for exit_ in (*np.flatnonzero(common).tolist(), end):
            for which, smoother in enumerate(smoothers):
                outputs = np.stack([share[which][rows, exit_] for share in shares], axis=1)
                smoother[exit_] = fit_gene_smoother(features, owners, outputs)
        return cls(end, rows, *smoothers)

    def outcomes(
        self, known: TrainingProfiles, genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome]:
        """Return the predicted outcomes of candidates whose exits all profiles of the group contain."""
        last = self.end
        features = known.describe(genomes, candidates)[:, known.columns(last)]
        exiting_by = {exit_: smoother.weights(features) for exit_, smoother in self.exiting.items()}
        wrong_by = {exit_: smoother.weights(features) for exit_, smoother in self.wrong.items()}
        backbone_wrong = wrong_by[last] @ known.bits.single_exit(last, 0.0)[1][self.rows]
        outcomes = []
        for at, candidate in enumerate(candidates):
            shares = known.bits.shares(candidate.scheme, last)
            exiting, wrong = np.zeros((2, known.space.exit_points + 1))
            for exit_ in (*candidate.scheme.placed, last):
                exiting[exit_] = exiting_by[exit_][at] @ shares.exiting[self.rows, exit_]
                wrong[exit_] = wrong_by[exit_][at] @ shares.wrong[self.rows, exit_]
            outcomes.append(outcome_of(exiting, wrong, float(backbone_wrong[at]), last))
        return outcomes
