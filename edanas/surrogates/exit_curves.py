"""The surrogate model `exit-curves`: curves over thresholds for each exit, and the coupling of exits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.space import Genomes
from edanas.core.types import Candidate, Outcome
from edanas.numerics.smoother import Smoother
from edanas.surrogates.arrays import Array
from edanas.surrogates.backbone_smoother import fit_gene_smoother
from edanas.surrogates.profile_model import FEWEST, ProfileModel, TrainingProfiles, end_of, outcome_of

GRID = tuple(np.linspace(0.0, 1.0, 11).tolist())
"""Thresholds at which curves are learnt, besides the thresholds in the archive.

Between two thresholds, a curve is linear.
"""


class ExitCurves(ProfileModel):
    """A model of exit profiles: curves over thresholds for each exit, combined along the network.

    For each exit alone, two curves over its threshold are learnt and smoothed over backbones. The first curve
    is a, the share of all samples that the exit would accept. The second curve is w, the share of all samples
    that the exit would accept and misclassify. Samples that are easy at one exit tend to be easy at the next
    exit. The truth therefore lies between two extremes: independent exits, and exits that agree on the
    easiest samples. If S is the share of samples that reach an exit, the shares that exit, and that exit
    misclassified, are

        exiting = (1 - c) a S + c max(0, a - (1 - S)),      wrong = (1 - d) w exiting / a + d w.

    The numbers c and d of each exit are fitted by least squares on the schemes in the archive. The curves of
    an exit need only profiles that contain this exit. The model therefore also works if each candidate is
    trained with the exits of its scheme alone.

    Args:
        seed: Determines the subset of backbones in a fit if there are more than `profile_model.MOST`.
    """

    def _learn(self, known: TrainingProfiles) -> None:
        grid = {*GRID, *(t for c in known.candidates for t in c.scheme.thresholds if t is not None)}
        thresholds = np.array(sorted(grid))
        self._curves: dict[int, _Curves] = {}
        last = known.space.exit_points
        for exit_ in range(last + 1):
            here = known.bits.has[known.used, exit_]
            if here.sum() >= FEWEST:
                grid_points = thresholds[:1] if exit_ == last else thresholds
                self._curves[exit_] = _Curves.of(known, exit_, here, grid_points)
        self._couple(known)

    def _outcomes(
        self, known: TrainingProfiles, genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome | None]:
        features = known.describe(genomes, candidates)
        predicted = {
            exit_: curves.predict(features[:, known.columns(exit_)]) for exit_, curves in self._curves.items()
        }
        outcomes: list[Outcome | None] = []
        for at, (genome, candidate) in enumerate(zip(genomes, candidates, strict=True)):
            outcome = known.observed_outcome(genome, candidate)
            end = end_of(candidate)
            exits = (*candidate.scheme.placed, end)
            if outcome is None and all(exit_ in predicted for exit_ in exits):
                single = [
                    [self._at(candidate, exit_, curve[at]) for curve in predicted[exit_]] for exit_ in exits
                ]
                outcome = outcome_of(
                    *self._combined(known.space.exit_points, exits, single), single[-1][1], end
                )
            outcomes.append(outcome)
        return outcomes

    def _at(self, candidate: Candidate, exit_: int, curve: Array) -> float:
        thresholds = self._curves[exit_].thresholds
        if len(thresholds) == 1:
            return float(curve[0])
        return float(np.interp(candidate.scheme.thresholds[exit_] or 0.0, thresholds, curve))

    def _combined(
        self, points: int, exits: Sequence[int], single: Sequence[Sequence[float]]
    ) -> tuple[Array, Array]:
        exiting, wrong = np.zeros((2, points + 1))
        reaching, last = 1.0, exits[-1]
        for exit_, (accepted, wrong_alone) in zip(exits, single, strict=True):
            accepted = min(max(accepted, 0.0), 1.0) if exit_ != last else 1.0
            independent, agreeing = accepted * reaching, max(0.0, accepted - (1.0 - reaching))
            share, hard = self._coupling[exit_]
            exiting[exit_] = reaching if exit_ == last else (1.0 - share) * independent + share * agreeing
            fraction = exiting[exit_] / accepted if accepted > 0 else 0.0
            wrong[exit_] = wrong_alone * ((1.0 - hard) * fraction + hard)
            reaching = max(0.0, reaching - exiting[exit_])
        return exiting, wrong

    def _couple(self, known: TrainingProfiles) -> None:
        """Fit the numbers c and d of each exit by least squares; see the class."""
        sums = np.zeros((known.space.exit_points + 1, 4))
        for row, candidate in zip(known.used, known.candidates, strict=True):
            scheme, last = candidate.scheme, end_of(candidate)
            shares, reaching = known.bits.shares(scheme, last), 1.0
            for exit_ in (*scheme.placed, last):
                threshold = 0.0 if exit_ == last else scheme.thresholds[exit_] or 0.0
                alone = known.bits.single_exit(exit_, threshold)
                accepted, wrong_alone = (float(each[row]) for each in alone)
                left, wrong = float(shares.exiting[row, exit_]), float(shares.wrong[row, exit_])
                independent, agreeing = accepted * reaching, max(0.0, accepted - (1.0 - reaching))
                fraction = left / accepted if accepted > 0 else 0.0
                step, room = agreeing - independent, wrong_alone * (1.0 - fraction)
                products = step * (left - independent), room * (wrong - wrong_alone * fraction)
                sums[exit_] += products[0], step**2, products[1], room**2
                reaching = max(0.0, reaching - left)
        fit = [(top / below if below > 0 else 0.0) for top, below in sums.reshape(-1, 2)]
        bounded = np.clip(np.array(fit), 0.0, 1.0).reshape(-1, 2)
        self._coupling = [(float(share), float(hard)) for share, hard in bounded]


class _Curves(NamedTuple):
    """Curves of one exit alone, for each of n training backbones.

    Args:
        thresholds: Thresholds of the exit, ascending, (T,).
        accepted: Share of all samples that the exit would accept, (n, T).
        wrong: Share of all samples that the exit would accept and misclassify, (n, T).
        smoothers: A smoother for `accepted` and a smoother for `wrong`.
    """

    thresholds: Array
    accepted: Array
    wrong: Array
    smoothers: tuple[Smoother, Smoother]

    @classmethod
    def of(
        cls, known: TrainingProfiles, exit_: int, here: npt.NDArray[np.bool_], thresholds: Array
    ) -> "_Curves":
        """Return the fitted curves of an exit.

        Args:
            known: The profiles of the fit.
            exit_: The exit point; the number of exit points stands for the last exit.
            here: A boolean for each profile in `known.used`: true if the profile contains the exit.
            thresholds: Thresholds at which the curves are learnt, ascending, (T,).
        """
        columns = known.columns(exit_)
        rows, features, owners = known.used[here], known.features[here][:, columns], known.owners[columns]
        shares = [known.bits.single_exit(exit_, float(threshold)) for threshold in thresholds]
        accepted, wrong = (np.stack([each[which][rows] for each in shares], axis=1) for which in (0, 1))
        smoothers = (
            fit_gene_smoother(features, owners, accepted),
            fit_gene_smoother(features, owners, wrong),
        )
        return cls(thresholds, accepted, wrong, smoothers)

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return the predicted curves `accepted`, (m, T), and `wrong`, (m, T), of m new backbones.

        Args:
            features: Features of the backbones, (m, L).
        """
        by_accepted, by_wrong = self.smoothers
        return by_accepted.weights(features) @ self.accepted, by_wrong.weights(features) @ self.wrong
