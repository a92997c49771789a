"""Models that predict a backbone's whole threshold front from the fronts of evaluated backbones."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from edanas.core.space import SearchSpace
from edanas.core.types import ExitProfile
from edanas.numerics.kriging import Kriging
from edanas.strategies.pricing import Judge, Pricing, accuracies, utilizations
from edanas.strategies.ray_hypervolume import Rays
from edanas.strategies.search_history import Genomes, Values


class FrontModel(ABC):
    """A prediction of how far backbones' fronts reach along rays; see `Rays`.

    Args:
        space: The search space of backbones.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def inputs(self, genomes: Genomes) -> Values:
        """Return genes as numbers, (n, D); an unexpressed gene is -1."""
        return np.where(self._space.expressed(genomes), genomes, -1).astype(np.float64)

    @abstractmethod
    def fit(self, genomes: Genomes, reaches: Values, rays: Rays) -> None:
        """Fit evaluated backbones (n, D) and the reaches (n, R) of their exact fronts."""

    @abstractmethod
    def predict(self, genomes: Genomes, optimism: float) -> tuple[Values, Values]:
        """Return the expected reaches (m, R) of (m, D) backbones, and optimistic ones.

        Optimistic reaches follow from values `optimism` standard deviations above the mean.
        """


class Reaches(FrontModel):
    """Regression on the reaches themselves, without exit profiles or costs."""

    def fit(self, genomes: Genomes, reaches: Values, _rays: Rays) -> None:
        """See `FrontModel.fit`."""
        self._model = Kriging(self.inputs(genomes), reaches)

    def predict(self, genomes: Genomes, optimism: float) -> tuple[Values, Values]:
        """See `FrontModel.predict`."""
        mean, deviation = self._model.predict(self.inputs(genomes))
        return np.maximum(mean, 0.0), np.maximum(mean + optimism * deviation, 0.0)


class Curves(FrontModel):
    """Regression on accuracies under reference utilizations, with exact costs.

    On each ray, the mean difference between the exact and the predicted reach of the evaluated backbones is
    added. It corrects for the finite set of references and for smoothing.

    Args:
        space: The search space of backbones.
        judge: See `SearchProblem.judge`.
        objectives: J: the first J numbers of the judge are objectives, the rest are excesses.
        every_exit: Whether every scheme places all exits.
    """

    def __init__(self, space: SearchSpace, judge: Judge, objectives: int, *, every_exit: bool) -> None:
        super().__init__(space)
        self._objectives = objectives
        self._references = utilizations(space.exit_points)
        self._price = Pricing(judge, self._references, every_exit=every_exit)
        self._accuracies: dict[bytes, Values] = {}

    def fits(self, genome: Genomes) -> bool:
        """Return whether `Pricing` can compute the objectives."""
        return self._price.fits(self._space.backbone(genome))

    def learn(self, genomes: Genomes, profiles: Sequence[ExitProfile]) -> None:
        """Compute and cache the accuracies of backbones from their exit profiles."""
        for genome, profile in zip(genomes, profiles, strict=True):
            if genome.tobytes() not in self._accuracies:
                self._accuracies[genome.tobytes()] = accuracies(profile, self._references)

    def fit(self, genomes: Genomes, reaches: Values, rays: Rays) -> None:
        """See `FrontModel.fit`; call `learn` first."""
        self._rays = rays
        outputs = np.stack([self._accuracies[genome.tobytes()] for genome in genomes])
        self._model = Kriging(self.inputs(genomes), outputs)
        self._offset = np.zeros(reaches.shape[1])
        self._offset = (reaches - self.predict(genomes, 0.0)[0]).mean(axis=0)

    def predict(self, genomes: Genomes, optimism: float) -> tuple[Values, Values]:
        """See `FrontModel.predict`."""
        mean, deviation = self._model.predict(self.inputs(genomes))
        expected = self._reach(genomes, mean)
        if not optimism:
            return expected, expected
        return expected, self._reach(genomes, mean + optimism * deviation)

    def _reach(self, genomes: Genomes, accuracy: Values) -> Values:
        rows = zip(genomes, np.clip(accuracy, 0.0, 1.0), strict=True)
        points = np.stack([self._price(self._space.backbone(genome), row) for genome, row in rows])
        values, excesses = points[..., : self._objectives], points[..., self._objectives :]
        values = np.where((excesses > 0).any(axis=-1, keepdims=True), np.inf, values)
        return np.maximum(self._rays.reach(values) + self._offset, 0.0)
