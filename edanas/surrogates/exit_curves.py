"""The surrogate `exit-curves`: for each exit, what it does at every threshold, and how exits go together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.space import Genomes
from edanas.core.types import Candidate, Outcome
from edanas.numerics.smoother import Smoother
from edanas.surrogates.arrays import Array
from edanas.surrogates.backbone_smoother import fit_smoother
from edanas.surrogates.profile_model import FEWEST, ProfileModel, TrainingProfiles, outcome_of

GRID = tuple(np.linspace(0.0, 1.0, 11).tolist())
"""Thresholds at which curves are learnt, beside those of the archive; between them they are straight."""


class ExitCurves(ProfileModel):
    """Curves by exit over thresholds, smoothed over backbones, then combined along the network.

    For each exit, alone: the share of all samples that are sure enough, and of those that are and are wrong.
    Samples that are sure at one exit tend to be sure at the next. Between exits that know nothing of each
    other and exits that agree on which samples are easiest, the archive's profiles decide: with S those still
    there, a the share that is sure and w the share that is sure and wrong, as if all were still there,

        leaving = (1 - c) a S + c max(0, a - (1 - S)),      wrong = (1 - d) w leaving / a + d w,

    c and d for each exit by least squares over the archive's own schemes. An exit's curves need only profiles
    that have that exit, so little is lost where each candidate was trained with exits of its own.

    Args:
        seed: Decides which backbones count where there are very many.
    """

    def _learn(self, known: TrainingProfiles) -> None:
        grid = {*GRID, *(t for c in known.candidates for t in c.scheme.thresholds if t is not None)}
        thresholds = np.array(sorted(grid))
        self._curves: dict[int, _Curves] = {}
        last = known.space.exit_points
        for exit_ in range(last + 1):
            everywhere = np.ones(len(known.counted), dtype=np.bool_)
            here = everywhere if exit_ == last else known.evidence.has[known.counted, exit_]
            if here.sum() >= FEWEST:
                asked = thresholds[:1] if exit_ == last else thresholds
                self._curves[exit_] = _Curves.of(known, exit_, here, asked)
        self._couple(known)

    def _outcomes(
        self, known: TrainingProfiles, genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome | None]:
        features, last = known.describe(genomes, candidates), known.space.exit_points
        predicted = {exit_: curves.predict(features) for exit_, curves in self._curves.items()}
        found: list[Outcome | None] = []
        for at, (genome, candidate) in enumerate(zip(genomes, candidates, strict=True)):
            outcome = known.told(genome, candidate)
            exits = (*candidate.scheme.placed, last)
            if outcome is None and all(exit_ in predicted for exit_ in exits):
                alone = [
                    [self._at(candidate, exit_, curve[at]) for curve in predicted[exit_]] for exit_ in exits
                ]
                outcome = outcome_of(*self._combined(last, exits, alone), alone[-1][1])
            found.append(outcome)
        return found

    def _at(self, candidate: Candidate, exit_: int, curve: Array) -> float:
        thresholds = self._curves[exit_].thresholds
        if len(thresholds) == 1:
            return float(curve[0])
        return float(np.interp(candidate.scheme.thresholds[exit_] or 0.0, thresholds, curve))

    def _combined(
        self, last: int, exits: Sequence[int], alone: Sequence[Sequence[float]]
    ) -> tuple[Array, Array]:
        leaving, wrong = np.zeros((2, last + 1))
        staying = 1.0
        for exit_, (sure, missed) in zip(exits, alone, strict=True):
            sure = min(max(sure, 0.0), 1.0) if exit_ != last else 1.0
            apart, agreed = sure * staying, max(0.0, sure - (1.0 - staying))
            share, hard = self._coupling[exit_]
            leaving[exit_] = staying if exit_ == last else (1.0 - share) * apart + share * agreed
            kept = leaving[exit_] / sure if sure > 0 else 0.0
            wrong[exit_] = missed * ((1.0 - hard) * kept + hard)
            staying = max(0.0, staying - leaving[exit_])
        return leaving, wrong

    def _couple(self, known: TrainingProfiles) -> None:
        """How much exits agree on who is easy, and leave their wrong answers to those who are still there."""
        last = known.space.exit_points
        sums = np.zeros((last + 1, 4))
        for row, candidate in zip(known.counted, known.candidates, strict=True):
            scheme = candidate.scheme
            shares, staying = known.evidence.shares(scheme), 1.0
            for exit_ in (*scheme.placed, last):
                threshold = 0.0 if exit_ == last else scheme.thresholds[exit_] or 0.0
                sure, missed = (float(each[row]) for each in known.evidence.alone(exit_, threshold))
                left, wrong = float(shares.leaving[row, exit_]), float(shares.wrong[row, exit_])
                apart, agreed = sure * staying, max(0.0, sure - (1.0 - staying))
                kept = left / sure if sure > 0 else 0.0
                step, room = agreed - apart, missed * (1.0 - kept)
                sums[exit_] += step * (left - apart), step**2, room * (wrong - missed * kept), room**2
                staying = max(0.0, staying - left)
        fit = [(top / below if below > 0 else 0.0) for top, below in sums.reshape(-1, 2)]
        bounded = np.clip(np.array(fit), 0.0, 1.0).reshape(-1, 2)
        self._coupling = [(float(share), float(hard)) for share, hard in bounded]


class _Curves(NamedTuple):
    """What one exit does alone, on each of n known backbones, by threshold.

    Args:
        thresholds: (T,) ascending.
        sure: (n, T) shares of all samples.
        wrong: (n, T) shares of all samples.
        smoothers: Of the two.
    """

    thresholds: Array
    sure: Array
    wrong: Array
    smoothers: tuple[Smoother, Smoother]

    @classmethod
    def of(
        cls, known: TrainingProfiles, exit_: int, here: npt.NDArray[np.bool_], thresholds: Array
    ) -> "_Curves":
        """From the profiles that are `here`."""
        rows, features = known.counted[here], known.features[here]
        told = [known.evidence.alone(exit_, float(threshold)) for threshold in thresholds]
        sure, wrong = (np.stack([each[which][rows] for each in told], axis=1) for which in (0, 1))
        smoothers = (
            fit_smoother(features, known.owners, sure),
            fit_smoother(features, known.owners, wrong),
        )
        return cls(thresholds, sure, wrong, smoothers)

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Both curves (m, T) of backbones with (m, L) features."""
        by_sure, by_wrong = self.smoothers
        return by_sure.weights(features) @ self.sure, by_wrong.weights(features) @ self.wrong
