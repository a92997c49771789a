"""The base class of surrogates that learn from exit profiles."""

import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.cut_backbones import stages_of
from edanas.core.space import Genomes
from edanas.core.types import Candidate, Outcome
from edanas.surrogates.arrays import Array, Indices, training_set
from edanas.surrogates.backbone_smoother import indicators
from edanas.surrogates.counted_costs import CountedCosts
from edanas.surrogates.gp import GP
from edanas.surrogates.profile_bits import ProfileBits

FEWEST = 6
"""Smallest number of backbones with a profile; with fewer, a model learns from genes and values instead."""

MOST = 600
"""Largest number of backbones in a fit. One half are the newest backbones, which lie near the front.

A cross-validation uses half of this number, since the time of a fit grows with its third power and each fold
needs a fit.
"""


class ProfileModel(SurrogateModel):
    """A model that predicts the outcome of a candidate: accuracy and utilization.

    The value of the objective follows from the outcome and from exact costs; see `ExitInsight`. With fewer
    than `FEWEST` profiles, the model `gp` predicts the value from the genes instead. The same holds for
    candidates whose outcome the profiles do not determine.

    Args:
        seed: Determines the subset of backbones in a fit if there are more than `MOST`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._insight: ExitInsight | None = None
        self._profiles: _ProfileSet | None = None

    def inform(self, insight: ExitInsight) -> None:
        """See `SurrogateModel.inform`."""
        self._insight, self._profiles = insight, None

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        self._fallback = CountedCosts(GP())
        if self._insight is not None:
            self._fallback.inform(self._insight)
        self._training: tuple[Array, Array] | None = (X, y)
        self._known: TrainingProfiles | None = None
        profiles = self._profile_set(X)
        if profiles is not None:
            rows = profiles.rows(X)
            if len(rows) >= FEWEST:
                self._known = TrainingProfiles(profiles, rows, profiles.subset(rows, self._most(), self.seed))
                self._learn(self._known)
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        X = np.asarray(genomes, dtype=np.float64)
        if self._known is None or self._insight is None:
            return self._by_genes(X)
        rows = self._insight.space.canonical(np.rint(X).astype(np.int64))
        candidates = [self._insight.space.decode(row) for row in rows]
        outcomes = self._outcomes(self._known, rows, candidates)
        unknown = [at for at, outcome in enumerate(outcomes) if outcome is None]
        values = np.zeros(len(X))
        for at, outcome in enumerate(outcomes):
            if outcome is not None:
                values[at] = self._insight.value(candidates[at], outcome)
        if unknown:
            values[unknown] = self._by_genes(X[unknown])
        return values

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[npt.NDArray[np.int64]]) -> Array:
        """See `SurrogateModel.cross_validate`.

        The model of a fold is fitted on the profiles of the other folds only.
        """
        held_out = np.empty(len(values))
        self._profiles = self._profile_set(genomes)
        try:
            for fold in folds:
                rest = np.setdiff1d(np.arange(len(values)), fold)
                held_out[fold] = copy.copy(self).fit(genomes[rest], values[rest]).predict(genomes[fold])
        finally:
            self._profiles = None
        return held_out

    @abstractmethod
    def _learn(self, known: "TrainingProfiles") -> None:
        """Fit the model to the profiles in `known`."""

    @abstractmethod
    def _outcomes(
        self, known: "TrainingProfiles", genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome | None]:
        """Return the predicted outcome of each candidate; `None` if the profiles do not determine an outcome.

        Args:
            known: The profiles to which the model is fitted.
            genomes: Canonical genomes of the candidates, (m, D).
            candidates: The same candidates, decoded.
        """

    def _by_genes(self, X: Array) -> Array:
        if self._training is not None:
            self._fallback.fit(*self._training)
            self._training = None
        return self._fallback.predict(X)

    def _most(self) -> int:
        return MOST if self._profiles is None else MOST // 2

    def _profile_set(self, X: Array) -> "_ProfileSet | None":
        if self._profiles is not None or self._insight is None:
            return self._profiles
        return _ProfileSet.of(self._insight, X)


class _ProfileSet:
    """The exit profiles of a set of distinct candidates, with the features of their networks.

    Args:
        insight: The insight of the search, which holds the profiles.
        genomes: Canonical genomes of candidates that have a profile, (n, D).
    """

    def __init__(self, insight: ExitInsight, genomes: Genomes) -> None:
        space = insight.space
        self.space = space
        self.genomes = genomes
        self.candidates = [space.decode(genome) for genome in genomes]
        profiles = [insight.profiles[row.tobytes()] for row in genomes]
        ends = [end_of(candidate) for candidate in self.candidates]
        self.bits = ProfileBits(profiles, space.exit_points, ends)
        placed = np.zeros((len(genomes), space.exit_points), dtype=np.bool_)
        for row, candidate in zip(placed, self.candidates, strict=True):
            row[list(candidate.scheme.placed)] = True
        # If each network is trained with the exits of its scheme alone, the set of exits is a feature.
        points = [profile.points for profile in profiles]
        own = all(p == candidate.scheme.placed for p, candidate in zip(points, self.candidates, strict=True))
        self.own_exits = own and any(p != tuple(range(end)) for p, end in zip(points, ends, strict=True))
        self.features, self.owners = self.describe(genomes, placed)
        self._at = {row.tobytes(): at for at, row in enumerate(genomes)}

    @classmethod
    def of(cls, insight: ExitInsight, X: Array) -> "_ProfileSet | None":
        """Return the profiles of the candidates with genes `X`, (n, D); `None` for fewer than `FEWEST`.

        Candidates without a profile are left out.
        """
        space = insight.space
        if X.shape[1] != space.dimensions:
            return None
        rows = space.canonical(np.rint(X).astype(np.int64))
        distinct = {row.tobytes(): row for row in rows if row.tobytes() in insight.profiles}
        return cls(insight, np.array(list(distinct.values()))) if len(distinct) >= FEWEST else None

    def describe(self, genomes: Genomes, placed: npt.NDArray[np.bool_]) -> tuple[Array, Indices]:
        """Return the features of networks, and the number of the gene of each feature; see `indicators`.

        Args:
            genomes: Canonical genomes, (n, D).
            placed: A boolean for each genome and exit point, (n, N): true for a placed exit.
        """
        return indicators(self.space, genomes, placed if self.own_exits else placed[:, :0])

    def network_key(self, genome: Genomes, placed: Sequence[int]) -> bytes:
        """Return a key of the candidate's network; candidates with equal keys have the same exit profile."""
        own = bytes(placed) if self.own_exits else b""
        return genome[: self.space.backbone_dimensions].tobytes() + own

    def cut_keys(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield each exit point at which a network may end, with the key of the network that ends there.

        The profile number `at` determines the outcome of these networks, since they have its weights.
        """
        space, genome = self.space, self.genomes[at]
        if not space.cuts or self.own_exits:
            return
        for index, stages in enumerate(space.variables[0].choices):
            end = int(stages or 0) - 1
            if end < self.bits.ends[at] and self.bits.has[at, end]:
                shorter = genome.copy()
                shorter[0] = index
                yield end, self.network_key(space.canonical(shorter), ())

    def rows(self, X: Array) -> npt.NDArray[np.int64]:
        """Return the positions of the profiles of candidates with genes `X`, (n, D), one for each network.

        If several candidates have the same network, the profile of the first candidate is taken.
        """
        first: dict[bytes, int] = {}
        for row in self.space.canonical(np.rint(X).astype(np.int64)):
            at = self._at.get(row.tobytes())
            if at is not None:
                first.setdefault(self.network_key(row, self.candidates[at].scheme.placed), at)
        return np.array(list(first.values()), dtype=np.int64)

    def subset(self, rows: npt.NDArray[np.int64], most: int, seed: int) -> npt.NDArray[np.int64]:
        """Return at most `most` of `rows`: one half are the newest rows, the other half a random choice."""
        if len(rows) <= most:
            return rows
        newest = rows[-(most // 2) :]
        older = np.random.default_rng(seed).permutation(rows[: -(most // 2)])[: most - len(newest)]
        return np.concatenate([np.sort(older), newest])


class TrainingProfiles:
    """The exit profiles on which a model is fitted.

    Args:
        profiles: All profiles, including the profiles of left-out samples.
        rows: Positions in `profiles` of the training samples.
        used: Subset of `rows` on which smoothers are fitted.
    """

    def __init__(
        self, profiles: _ProfileSet, rows: npt.NDArray[np.int64], used: npt.NDArray[np.int64]
    ) -> None:
        self.space, self.bits, self.used = profiles.space, profiles.bits, used
        self.features, self.owners = profiles.features[used], profiles.owners
        self.candidates = [profiles.candidates[at] for at in used]
        self._profiles = profiles
        self._row_of = {
            profiles.network_key(profiles.genomes[at], profiles.candidates[at].scheme.placed): int(at)
            for at in rows
        }
        for at in rows:
            for _, key in profiles.cut_keys(int(at)):
                self._row_of.setdefault(key, int(at))

    def observed_outcome(self, genome: Genomes, candidate: Candidate) -> Outcome | None:
        """Return the exact outcome of a candidate from the profile of its network.

        The result is `None` if no training profile belongs to the network, or if the profile lacks an exit of
        the scheme.
        """
        placed, end = candidate.scheme.placed, end_of(candidate)
        at = self._row_of.get(self._profiles.network_key(genome, placed))
        if at is None or not self.bits.has[at, [*placed, end]].all():
            return None
        shares = self.bits.shares(candidate.scheme, end)
        backbone_wrong = self.bits.single_exit(end, 0.0)[1]
        return outcome_of(shares.exiting[at], shares.wrong[at], float(backbone_wrong[at]), end)

    def columns(self, exit_: int) -> npt.NDArray[np.bool_]:
        """Return a boolean for each feature, (L,): true if its gene shapes the network up to an exit.

        Without cut networks, all features count: the networks of all candidates have all stages.

        Args:
            exit_: The exit point; the number of exit points stands for the last exit of a whole network.
        """
        if not self.space.cuts:
            return np.ones(len(self.owners), dtype=np.bool_)
        return np.asarray(self.space.first_stage[self.owners] <= exit_ + 1)

    def describe(self, genomes: Genomes, candidates: Sequence[Candidate]) -> Array:
        """Return the features of m candidates, (m, L), with the same columns as the attribute `features`."""
        placed = np.zeros((len(genomes), self.space.exit_points), dtype=np.bool_)
        for row, candidate in zip(placed, candidates, strict=True):
            row[list(candidate.scheme.placed)] = True
        return self._profiles.describe(genomes, placed)[0]


def end_of(candidate: Candidate) -> int:
    """Return the exit point at which a candidate's network ends; the number of exit points for a whole one.

    Example:
        >>> from edanas.core.types import Backbone, SelectionScheme
        >>> end_of(Candidate(Backbone.of({"stages": 2}), SelectionScheme((0.5, None, None))))
        1
    """
    return stages_of(candidate.backbone, len(candidate.scheme.thresholds) + 1) - 1


def outcome_of(exiting: Array, wrong: Array, backbone_wrong: float, end: int | None = None) -> Outcome:
    """Return the outcome for predicted shares, which are first clipped and scaled to valid values.

    Negative shares become 0, and the shares of samples that exit are scaled to the sum 1.

    Args:
        exiting: Share of samples that exit at each of N exit points and at the last exit, (N + 1,).
        wrong: Share of samples that exit there and are misclassified, (N + 1,).
        backbone_wrong: Share of all samples that the last exit misclassifies.
        end: Exit point at which the network ends, whose shares become those of the last exit. `None`, the
            default, means that the network is whole.

    Example:
        >>> outcome_of(np.array([0.6, 0.6]), np.array([0.06, 0.3]), 0.2).utilization
        (0.5, 0.5)
    """
    if end is not None and end < len(exiting) - 1:
        exiting, wrong = exiting.copy(), wrong.copy()
        for shares in (exiting, wrong):
            shares[[end, -1]] = 0.0, shares[end]
    exiting = np.maximum(exiting, 0.0)
    total = float(exiting.sum())
    exiting = exiting / total if total > 0 else np.eye(len(exiting))[-1]
    wrong = np.clip(wrong, 0.0, exiting)
    pairs = zip(exiting.tolist(), wrong.tolist(), strict=True)
    return Outcome(
        accuracy=1.0 - float(wrong.sum()),
        utilization=tuple(exiting.tolist()),
        exit_accuracy=tuple(1.0 - miss / share if share > 0 else None for share, miss in pairs),
        backbone_accuracy=1.0 - min(max(backbone_wrong, 0.0), 1.0),
    )
