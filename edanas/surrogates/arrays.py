"""Helpers of the surrogate models: checks of data and options, scaling, distances and subsets."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def training_set(genomes: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the samples for a fit as contiguous float64 arrays: genomes (n, D) and values (n,).

    Raises:
        ValueError: The shapes do not match, there are fewer than two samples, or a number is not finite.

    Example:
        >>> training_set([[0, 1], [1, 0]], [0.2, 0.4])[0].shape
        (2, 2)
    """
    X = np.ascontiguousarray(genomes, dtype=np.float64)
    y = np.ascontiguousarray(values, dtype=np.float64)
    if X.ndim != 2 or y.shape != X.shape[:1] or len(y) < 2:
        raise ValueError(
            f"found genomes of shape {X.shape} and values of shape {y.shape}; expected (n, D) and (n,) with "
            "n >= 2"
        )
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise ValueError("found genes or values that are not finite; allowed: finite numbers")
    return X, y


def at_least(model: str, option: str, value: float, least: float) -> None:
    """Check that one option of a surrogate model is not below its lower bound.

    Args:
        model: Name of the surrogate model, for the error message.
        option: Name of the option, for the error message.
        value: The value in the settings.
        least: Smallest allowed value.

    Raises:
        ConfigError: `value` is below `least`, or NaN.
    """
    if not value >= least:
        raise ConfigError(f"surrogate model '{model}': {option} is {value}; allowed: {least} or more.")


def newest_and_spread(count: int, most: int) -> Indices:
    """Return the positions of at most `most` out of `count` samples, in ascending order.

    One half of the positions are the last samples; the other half are at even distances among the earlier
    samples. An archive is in the order of evaluation: the newest candidates lie near the front, and the older
    candidates cover the whole space.

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
    """Return the squared Euclidean distances between two sets of points: (a, D) and (b, D) -> (a, b).

    The result is exact if all coordinates are integers.
    """
    lengths = (one**2).sum(axis=1)[:, None], (other**2).sum(axis=1)
    squares = one @ other.T
    squares *= -2.0
    squares += lengths[0]
    squares += lengths[1]
    return np.asarray(np.maximum(squares, 0.0, out=squares))


@dataclass(frozen=True)
class Standardiser:
    """A transformation of each column to mean 0 and standard deviation 1; a constant column becomes 0.

    Args:
        mean: Mean of each column.
        scale: Standard deviation of each column; infinite for a constant column.
    """

    mean: Array
    scale: Array

    @classmethod
    def of(cls, data: Array) -> "Standardiser":
        """Return the transformation for `data`, (n, D) or (n,)."""
        mean, scale = data.mean(axis=0), data.std(axis=0)
        # In a constant column of large values, rounding makes the standard deviation slightly larger than 0.
        constant = scale <= 1e-12 * np.abs(data).max(axis=0, initial=0.0)
        return cls(np.asarray(mean), np.where(constant, np.inf, scale))

    def __call__(self, data: Array) -> Array:
        """Return the transformed data, of the same shape."""
        return np.asarray((data - self.mean) / self.scale)

    def back(self, data: Array) -> Array:
        """Return transformed data in the original units; a constant column gets its constant back."""
        return np.asarray(data * np.where(np.isinf(self.scale), 0.0, self.scale) + self.mean)
