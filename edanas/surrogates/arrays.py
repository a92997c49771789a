"""Helpers of the models: checks of data and options, scaling, distances and subsets."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def training_set(genomes: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Array, Array]:
    """Return genomes (n, D) and values (n,) as contiguous float64.

    Raises:
        ValueError: The shapes do not match, there are fewer than two samples, or a number is not finite.

    Example:
        >>> training_set([[0, 1], [1, 0]], [0.2, 0.4])[0].shape
        (2, 2)
    """
    X = np.ascontiguousarray(genomes, dtype=np.float64)
    y = np.ascontiguousarray(values, dtype=np.float64)
    if X.ndim != 2 or y.shape != X.shape[:1] or len(y) < 2:
        raise ValueError(f"genomes {X.shape} and values {y.shape}; expected (n, D) and (n,) with n >= 2")
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise ValueError("genomes and values must be finite")
    return X, y


def at_least(model: str, option: str, value: float, least: float) -> None:
    """Check the lower bound of one option of a model.

    Raises:
        ConfigError: `value` is below `least`, or not a number.
    """
    if not value >= least:
        raise ConfigError(f"surrogate model '{model}': {option} is {value}; allowed: {least} or more.")


def newest_and_spread(count: int, most: int) -> Indices:
    """Return the positions of at most `most` of `count` samples, ascending.

    One half are the newest samples; the other half are spread evenly over the rest. An archive is in the
    order of evaluation: the newest candidates lie near the front, the older candidates cover the whole space.

    Example:
        >>> newest_and_spread(10, 4)
        array([0, 7, 8, 9])
    """
    if count <= most:
        return np.arange(count)
    newest = most // 2
    older = np.linspace(0, count - newest - 1, most - newest).astype(np.int64)
    return np.concatenate([older, np.arange(count - newest, count)])


def squared_distances(one: Array, other: Array) -> Array:
    """Return squared Euclidean distances (a, b) of (a, D) and (b, D); exact for integers."""
    lengths = (one**2).sum(axis=1)[:, None], (other**2).sum(axis=1)
    squares = one @ other.T
    squares *= -2.0
    squares += lengths[0]
    squares += lengths[1]
    return np.asarray(np.maximum(squares, 0.0, out=squares))


@dataclass(frozen=True)
class Standardiser:
    """A shift and scale of each column to mean 0 and standard deviation 1; a constant column becomes 0."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, data: Array) -> "Standardiser":
        """Compute mean and scale of (n, D) or (n,) data."""
        mean, scale = data.mean(axis=0), data.std(axis=0)
        # Rounding gives a constant column of large values a deviation in its last digits.
        constant = scale <= 1e-12 * np.abs(data).max(axis=0, initial=0.0)
        return cls(np.asarray(mean), np.where(constant, np.inf, scale))

    def __call__(self, data: Array) -> Array:
        """Return scaled data of the same shape."""
        return np.asarray((data - self.mean) / self.scale)

    def back(self, data: Array) -> Array:
        """Return data in the original units; a constant column returns to its constant."""
        return np.asarray(data * np.where(np.isinf(self.scale), 0.0, self.scale) + self.mean)
