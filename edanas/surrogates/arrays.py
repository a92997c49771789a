"""What the models share: the check of what they are given, scaling, and the check of their options."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError

Array = npt.NDArray[np.float64]


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
