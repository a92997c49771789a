"""What the models share: checks of data and options, scaling, distances, and the choice of a subset."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def training_set(genomes: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Array, Array]:
    """Genomes (n, D) and values (n,) as contiguous float64.

    Raises:
        ValueError: The shapes do not fit together, there are fewer than two samples, or not all are finite.
    """
    X = np.ascontiguousarray(genomes, dtype=np.float64)
    y = np.ascontiguousarray(values, dtype=np.float64)
    if X.ndim != 2 or y.shape != X.shape[:1] or len(y) < 2:
        raise ValueError(f"genomes {X.shape} and values {y.shape}; expected (n, D) and (n,) with n >= 2")
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise ValueError("genomes and values must be finite")
    return X, y


def at_least(model: str, option: str, value: float, least: float) -> None:
    """Check one option of a model.

    Raises:
        ConfigError: `value` is below `least`, or not a number.
    """
    if not value >= least:
        raise ConfigError(f"surrogate model '{model}': {option} is {value}; allowed: {least} or more.")


def newest_and_spread(count: int, most: int) -> Indices:
    """Positions of at most `most` of `count` samples, ascending: the newer half, and of the rest every k-th.

    An archive is in the order of evaluation: the newest are what a search found near the front, the rest
    keeps the whole space in sight.
    """
    if count <= most:
        return np.arange(count)
    newest = most // 2
    older = np.linspace(0, count - newest - 1, most - newest).astype(np.int64)
    return np.concatenate([older, np.arange(count - newest, count)])


def squared_distances(one: Array, other: Array) -> Array:
    """(a, D), (b, D) -> (a, b) squared Euclidean distances by one matrix product; exact for integers."""
    lengths = (one**2).sum(axis=1)[:, None], (other**2).sum(axis=1)
    squares = one @ other.T
    squares *= -2.0
    squares += lengths[0]
    squares += lengths[1]
    return np.asarray(np.maximum(squares, 0.0, out=squares))


@dataclass(frozen=True)
class Standardiser:
    """Shift and scale to mean 0 and standard deviation 1, column by column; a constant column becomes 0."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, data: Array) -> "Standardiser":
        """Learn from (n, D) or (n,) data."""
        mean, scale = data.mean(axis=0), data.std(axis=0)
        # Rounding leaves a constant column of large values with a spread in its last digits.
        constant = scale <= 1e-12 * np.abs(data).max(axis=0, initial=0.0)
        return cls(np.asarray(mean), np.where(constant, np.inf, scale))

    def __call__(self, data: Array) -> Array:
        """Scaled data of the same shape."""
        return np.asarray((data - self.mean) / self.scale)

    def back(self, data: Array) -> Array:
        """The inverse; a constant column returns to its constant."""
        return np.asarray(data * np.where(np.isinf(self.scale), 0.0, self.scale) + self.mean)
