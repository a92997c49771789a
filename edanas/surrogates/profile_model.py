"""What surrogates have in common that learn from exit profiles instead of two numbers a candidate."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.space import Genomes
from edanas.core.types import Candidate, Outcome
from edanas.surrogates.arrays import Array, training_set
from edanas.surrogates.backbone_smoother import indicators
from edanas.surrogates.gp import GP
from edanas.surrogates.profile_bits import ProfileBits

FEWEST = 6
"""Backbones with a profile below which genes and values are learnt instead."""

MOST = 600
"""Backbones that weights are computed for: half of them the newest, which lie where the search is. In
cross-validation half as many, as the cost grows with their cube and there is one fit for each fold."""


class ProfileModel(SurrogateModel):
    """Predicts what the exits do, and leaves the objective's value, with exact costs, to the insight.

    Told nothing of profiles, or of too few, it learns from genes and values as `gp` does, and so it does for
    candidates that its profiles say nothing of.

    Args:
        seed: Decides which backbones count where there are very many.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._insight: ExitInsight | None = None
        self._held: _ProfileSet | None = None

    def inform(self, insight: ExitInsight) -> None:
        """See `SurrogateModel.inform`."""
        self._insight, self._held = insight, None

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        self._plain = GP()
        self._training: tuple[Array, Array] | None = (X, y)
        self._known: TrainingProfiles | None = None
        held = self._gather(X)
        if held is not None:
            rows = held.rows(X)
            if len(rows) >= FEWEST:
                self._known = TrainingProfiles(held, rows, held.thinned(rows, self._most(), self.seed))
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
        found = np.zeros(len(X))
        for at, outcome in enumerate(outcomes):
            if outcome is not None:
                found[at] = self._insight.value(candidates[at], outcome)
        if unknown:
            found[unknown] = self._by_genes(X[unknown])
        return found

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[npt.NDArray[np.int64]]) -> Array:
        """See `SurrogateModel.cross_validate`: each fold's model is given only the others' profiles."""
        held_out = np.empty(len(values))
        self._held = self._gather(genomes)
        try:
            for fold in folds:
                rest = np.setdiff1d(np.arange(len(values)), fold)
                held_out[fold] = copy.copy(self).fit(genomes[rest], values[rest]).predict(genomes[fold])
        finally:
            self._held = None
        return held_out

    @abstractmethod
    def _learn(self, known: "TrainingProfiles") -> None:
        """Whatever can be done before candidates are asked for."""

    @abstractmethod
    def _outcomes(
        self, known: "TrainingProfiles", genomes: Genomes, candidates: Sequence[Candidate]
    ) -> list[Outcome | None]:
        """What the exits of each candidate do; `None` where the profiles say nothing."""

    def _by_genes(self, X: Array) -> Array:
        if self._training is not None:
            self._plain.fit(*self._training)
            self._training = None
        return self._plain.predict(X)

    def _most(self) -> int:
        return MOST if self._held is None else MOST // 2

    def _gather(self, X: Array) -> "_ProfileSet | None":
        if self._held is not None or self._insight is None:
            return self._held
        return _ProfileSet.of(self._insight, X)


class _ProfileSet:
    """The profiles of some genomes, and what they say; rows are distinct genomes.

    Args:
        insight: What is known.
        genomes: (n, D) canonical, each with a profile.
    """

    def __init__(self, insight: ExitInsight, genomes: Genomes) -> None:
        space = insight.space
        self.space = space
        self.genomes = genomes
        self.candidates = [space.decode(genome) for genome in genomes]
        self.evidence = ProfileBits([insight.profiles[row.tobytes()] for row in genomes], space.exit_points)
        placed = np.zeros((len(genomes), space.exit_points), dtype=np.bool_)
        for row, candidate in zip(placed, self.candidates, strict=True):
            row[list(candidate.scheme.placed)] = True
        # Where networks are trained with the exits they have, these are part of what a backbone is.
        self.own_exits = bool((self.evidence.has == placed).all() and not placed.all())
        self.features, self.owners = self.describe(genomes, placed)
        self._at = {row.tobytes(): at for at, row in enumerate(genomes)}

    @classmethod
    def of(cls, insight: ExitInsight, X: Array) -> "_ProfileSet | None":
        """Those of (n, D) genes that have a profile."""
        space = insight.space
        if X.shape[1] != space.dimensions:
            return None
        rows = space.canonical(np.rint(X).astype(np.int64))
        distinct = {row.tobytes(): row for row in rows if row.tobytes() in insight.profiles}
        return cls(insight, np.array(list(distinct.values()))) if len(distinct) >= FEWEST else None

    def describe(self, genomes: Genomes, placed: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """Indicators of the network that a profile is of, and their owners; see `indicators`."""
        return indicators(self.space, genomes, placed if self.own_exits else placed[:, :0])

    def name(self, genome: Genomes, placed: Sequence[int]) -> bytes:
        """What two candidates share if one profile answers for both."""
        own = bytes(placed) if self.own_exits else b""
        return genome[: self.space.backbone_dimensions].tobytes() + own

    def rows(self, X: Array) -> npt.NDArray[np.int64]:
        """One row for each network among (n, D) genes, in order: the first that has its profile."""
        found: dict[bytes, int] = {}
        for row in self.space.canonical(np.rint(X).astype(np.int64)):
            at = self._at.get(row.tobytes())
            if at is not None:
                found.setdefault(self.name(row, self.candidates[at].scheme.placed), at)
        return np.array(list(found.values()), dtype=np.int64)

    def thinned(self, rows: npt.NDArray[np.int64], most: int, seed: int) -> npt.NDArray[np.int64]:
        """At most so many of the rows: the newest half, and a random choice of the others."""
        if len(rows) <= most:
            return rows
        newest = rows[-(most // 2) :]
        older = np.random.default_rng(seed).permutation(rows[: -(most // 2)])[: most - len(newest)]
        return np.concatenate([np.sort(older), newest])


class TrainingProfiles:
    """What one fit may use.

    Args:
        held: Profiles, some of which are none of this fit's business.
        rows: All that are.
        counted: Those of them that weights are computed for.
    """

    def __init__(
        self, held: _ProfileSet, rows: npt.NDArray[np.int64], counted: npt.NDArray[np.int64]
    ) -> None:
        self.space, self.evidence, self.counted = held.space, held.evidence, counted
        self.features, self.owners = held.features[counted], held.owners
        self.candidates = [held.candidates[at] for at in counted]
        self._held = held
        self._by_name = {
            held.name(held.genomes[at], held.candidates[at].scheme.placed): int(at) for at in rows
        }

    def told(self, genome: Genomes, candidate: Candidate) -> Outcome | None:
        """What the candidate's own network does under its scheme, where there is a profile of it."""
        placed = candidate.scheme.placed
        at = self._by_name.get(self._held.name(genome, placed))
        if at is None or not self.evidence.has[at, list(placed)].all():
            return None
        shares = self.evidence.shares(candidate.scheme)
        missed = self.evidence.alone(self.space.exit_points, 0.0)[1]
        return outcome_of(shares.leaving[at], shares.wrong[at], float(missed[at]))

    def describe(self, genomes: Genomes, candidates: Sequence[Candidate]) -> Array:
        """(m, L) indicators of candidates, to be compared with `features`."""
        placed = np.zeros((len(genomes), self.space.exit_points), dtype=np.bool_)
        for row, candidate in zip(placed, candidates, strict=True):
            row[list(candidate.scheme.placed)] = True
        return self._held.describe(genomes, placed)[0]


def outcome_of(leaving: Array, wrong: Array, backbone_wrong: float) -> Outcome:
    """An outcome from predicted shares (N + 1,), brought into range: they sum to 1, none is negative."""
    leaving = np.maximum(leaving, 0.0)
    total = float(leaving.sum())
    leaving = leaving / total if total > 0 else np.eye(len(leaving))[-1]
    wrong = np.clip(wrong, 0.0, leaving)
    pairs = zip(leaving.tolist(), wrong.tolist(), strict=True)
    return Outcome(
        accuracy=1.0 - float(wrong.sum()),
        utilization=tuple(leaving.tolist()),
        exit_accuracy=tuple(1.0 - miss / share if share > 0 else None for share, miss in pairs),
        backbone_accuracy=1.0 - min(max(backbone_wrong, 0.0), 1.0),
    )
