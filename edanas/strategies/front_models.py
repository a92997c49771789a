"""Models that predict the threshold front of a new backbone from the fronts of evaluated backbones.

A front is represented by its reaches, the distances that it covers along R fixed rays; see
`edanas.strategies.ray_hypervolume`.
"""

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
    """A model of the reaches of backbones' fronts along rays; see `Rays`.

    Args:
        space: The search space of backbones.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def inputs(self, genomes: Genomes) -> Values:
        """Return the inputs of the regression, (n, D): genes as numbers, -1 for an unexpressed gene."""
        return np.where(self._space.expressed(genomes), genomes, -1).astype(np.float64)

    @abstractmethod
    def fit(self, genomes: Genomes, reaches: Values, rays: Rays) -> None:
        """Fit the model.

        Args:
            genomes: Genomes of the n evaluated backbones, (n, D).
            reaches: Reaches of their exact fronts along R rays, (n, R).
            rays: The rays.
        """

    @abstractmethod
    def predict(self, genomes: Genomes, optimism: float) -> tuple[Values, Values]:
        """Return the expected reaches (m, R) and the optimistic reaches (m, R) of backbones.

        Args:
            genomes: Genomes of m backbones, (m, D).
            optimism: Number of standard deviations that are added to the predicted mean for the optimistic
                reaches.
        """


class Reaches(FrontModel):
    """Kriging that predicts the reaches directly from the genes, without exit profiles or costs."""

    def fit(self, genomes: Genomes, reaches: Values, _rays: Rays) -> None:
        """See `FrontModel.fit`."""
        self._model = Kriging(self.inputs(genomes), reaches)

    def predict(self, genomes: Genomes, optimism: float) -> tuple[Values, Values]:
        """See `FrontModel.predict`."""
        mean, deviation = self._model.predict(self.inputs(genomes))
        return np.maximum(mean, 0.0), np.maximum(mean + optimism * deviation, 0.0)


class Curves(FrontModel):
    """Kriging that predicts accuracies under reference utilizations; reaches follow with exact costs.

    A correction is added to the reaches on each ray: the mean difference between the exact and the predicted
    reach of the evaluated backbones. The differences arise because the reference utilizations are few and
    Kriging smooths.

    Args:
        space: The search space of backbones.
        judge: Computes objectives and excesses; see `SearchProblem.judge`.
        objectives: Number of objectives, which come first in the result of `judge`. The excesses follow.
        every_exit: True if every selection scheme places all exits.
    """

    def __init__(self, space: SearchSpace, judge: Judge, objectives: int, *, every_exit: bool) -> None:
        super().__init__(space)
        self._objectives = objectives
        self._references = utilizations(space.exit_points)
        self._price = Pricing(judge, self._references, every_exit=every_exit)
        self._accuracies: dict[bytes, Values] = {}

    def fits(self, genome: Genomes) -> bool:
        """Return true if `Pricing` can compute the objectives; see `Pricing.fits`."""
        return self._price.fits(self._space.backbone(genome))

    def learn(self, genomes: Genomes, profiles: Sequence[ExitProfile]) -> None:
        """Compute and cache the accuracies of backbones from their exit profiles.

        Args:
            genomes: Genomes of n backbones, (n, D).
            profiles: The exit profile of each backbone.
        """
        for genome, profile in zip(genomes, profiles, strict=True):
            if genome.tobytes() not in self._accuracies:
                self._accuracies[genome.tobytes()] = accuracies(profile, self._references)

    def fit(self, genomes: Genomes, reaches: Values, rays: Rays) -> None:
        """See `FrontModel.fit`; `learn` must be called for the same backbones first."""
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
