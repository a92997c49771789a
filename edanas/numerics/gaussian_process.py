"""Gaussian-process regression (Kriging): a covariance is factored once, for any number of outputs.

Every kernel has the form exp(-theta |x - x'|^2) + trend; see `Pairs`. `GaussianProcess.fit` takes theta,
kernel and noise from a grid, by one of three losses. `OrdinaryKriging` holds the formulas for an unknown
mean.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """The parts of the covariance between a inputs and b inputs.

    Args:
        squares: (a, b) squared distances.
        trend: (a, b) the part that does not depend on theta: constant and linear terms, a nugget.
    """

    squares: Array
    trend: Array

    def covariance(self, theta: float) -> Array:
        """Return exp(-theta squares) + trend, (a, b), as a new array."""
        covariance = self.squares * -theta
        np.exp(covariance, out=covariance)
        covariance += self.trend
        return covariance


Kernel = Callable[[Array, Array], Pairs]
"""Inputs (a, D) and (b, D) -> the parts of their covariance."""


class Factor:
    """Cholesky factor of a covariance matrix C: L with C = LL', or U with C = U'U, which rounds differently.

    Args:
        covariance: (n, n), of which the upper triangle is read; it may be overwritten.
        noise: Added to the diagonal.
        lower: Whether to compute L; only then are `solve_root` and `inverse_root` available.

    Raises:
        LinAlgError: Rounding has made C indefinite.
    """

    def __init__(self, covariance: Array, noise: float = 0.0, *, lower: bool = True) -> None:
        from scipy.linalg.lapack import dpotrf

        covariance.flat[:: len(covariance) + 1] += noise
        self._lower = int(lower)
        # The transpose is in Fortran's order, so LAPACK needs no copy.
        matrix = covariance.T if lower else covariance
        self._triangle, failed = dpotrf(matrix, lower=self._lower, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError("the covariance matrix is not positive definite")
        self.log_determinant = 2.0 * float(np.log(np.diag(self._triangle)).sum())

    def solve(self, right: Array) -> Array:
        """Return C^-1 times (n,) or (n, T)."""
        from scipy.linalg.lapack import dpotrs

        return np.asarray(dpotrs(self._triangle, right, lower=self._lower)[0])

    def solve_root(self, right: Array) -> Array:
        """Return L^-1 times (n, T)."""
        from scipy.linalg.lapack import dtrtrs

        return np.asarray(dtrtrs(self._triangle, right, lower=1)[0])

    def inverse_root(self) -> Array:
        """Return V = L^-1, (n, n), so that V'V = C^-1."""
        from scipy.linalg.lapack import dtrtri

        return np.asarray(dtrtri(self._triangle, lower=1)[0])


class OrdinaryKriging:
    """A Gaussian process with an unknown constant mean b, for given targets.

    With u = C^-1 1, the mean is b = z'u / (1'u), and `weights` are C^-1 (z - b). Both have a column for each
    target.

    Args:
        factor: Of the covariance C of n inputs.
        ones: (n,) u.
        targets: (n,) or (n, T) z.
    """

    def __init__(self, factor: Factor, ones: Array, targets: Array) -> None:
        self.factor, self._ones = factor, ones
        self.mean = ones @ targets / ones.sum()
        deviations = targets - self.mean
        self.weights = factor.solve(deviations)
        self._squares = (
            deviations @ self.weights if deviations.ndim == 1 else (deviations * self.weights).sum(axis=0)
        )

    @classmethod
    def of(cls, factor: Factor, targets: Array) -> Self:
        """Compute u from the factor."""
        return cls(factor, factor.solve(np.ones(len(targets))), targets)

    def with_targets(self, targets: Array) -> "OrdinaryKriging":
        """Return the same process for other targets."""
        return OrdinaryKriging(self.factor, self._ones, targets)

    def loss(self, least_variance: float = float(np.finfo(float).tiny)) -> float:
        """Return -2 log likelihood, shifted; each target has a mean and a variance of its own."""
        return _loss(len(self.weights), self._squares, self.factor.log_determinant, least_variance)

    def without(self, root: Array, fold: Indices) -> tuple[Array, float]:
        """Return the errors at left-out samples, and the loss of the remaining samples, for targets (n,).

        The errors, target minus prediction, are P_FF^-1 w_F with P = C^-1 - u u' / (1'u) (Dubrule, 1983). The
        determinant grows by that of (C^-1)_FF, and the square z'P z loses w_F'P_FF^-1 w_F.

        Args:
            root: See `Factor.inverse_root`.
            fold: (f,) positions of the left-out samples.
        """
        block, ones = root[:, fold].T @ root[:, fold], self._ones[fold]
        log_determinant = self.factor.log_determinant + Factor(block.copy(), lower=False).log_determinant
        inner = Factor(block - np.outer(ones, ones / self._ones.sum()), lower=False)
        errors = inner.solve(self.weights[fold])
        square = self._squares - self.weights[fold] @ errors
        return errors, _loss(len(self.weights) - len(fold), square, log_determinant)


def _loss(
    count: int, squares: Array, log_determinant: float, least_variance: float = float(np.finfo(float).tiny)
) -> float:
    variances = np.maximum(np.atleast_1d(squares) / count, least_variance).tolist()
    return count * sum(map(math.log, variances)) + len(variances) * log_determinant


Loss = Callable[[Factor, Array], float]
"""The factor of a covariance and targets (n, T) -> a number; the smallest is best."""


def separate_likelihoods(factor: Factor, targets: Array) -> float:
    """Return -2 log likelihood, shifted; each target has an unknown mean and a variance of its own.

    This is the sum over the targets (Rasmussen and Williams, 2006, equation 2.30).
    """
    return OrdinaryKriging.of(factor, targets).loss(1e-12)


def pooled_likelihood(factor: Factor, targets: Array) -> float:
    """Return -2 log likelihood, shifted and scaled, of targets with mean 0 and one common variance."""
    variance = float((factor.solve_root(targets) ** 2).mean())
    return float(np.log(max(variance, 1e-300)) + factor.log_determinant / len(targets))


def leave_one_out(factor: Factor, targets: Array) -> float:
    """Return the mean squared error where each target is predicted from the other samples.

    Rasmussen and Williams (2006), equation 5.12.
    """
    inverse = factor.solve(np.eye(len(targets)))
    return float(np.mean((inverse @ targets / np.diag(inverse)[:, None]) ** 2))


@dataclass(frozen=True)
class Grid:
    """The parameters among which `GaussianProcess.fit` chooses; of equal losses the first one wins.

    Args:
        thetas: Decay rates of the squared distances.
        kernels: One or more.
        noises: Variances added to the diagonal.
        most: Most samples that the choice is made on; its time grows with their third power.
        loss: Judges each choice.
        lower: See `Factor`.
    """

    thetas: Sequence[float]
    kernels: Sequence[Kernel]
    noises: Sequence[float]
    most: int
    loss: Loss
    lower: bool = True


class GaussianProcess:
    """A kernel with its parameters, and the factored covariance of the known inputs.

    Args:
        kernel: Computes the parts of a covariance.
        known: (n, D) inputs.
        theta: Decay rate of the squared distances.
        noise: Variance on the diagonal.
        lower: See `Factor`.

    Example:
        >>> import numpy as np
        >>> known = np.array([[0.0], [1.0], [2.0]])
        >>> def kernel(one, other):
        ...     return Pairs((one - other.T) ** 2, np.zeros((len(one), len(other))))
        >>> process = GaussianProcess(kernel, known, theta=0.5, noise=1e-9)
        >>> process.weights(known[:1]).round(3) + 0.0
        array([[1., 0., 0.]])
    """

    def __init__(
        self, kernel: Kernel, known: Array, theta: float, noise: float, *, lower: bool = True
    ) -> None:
        self.kernel, self.known, self.theta, self.noise = kernel, known, theta, noise
        self.factor = Factor(kernel(known, known).covariance(theta), noise, lower=lower)

    @classmethod
    def fit(cls, known: Array, targets: Array, grid: Grid) -> Self:
        """Choose parameters by targets (n, T) of known inputs (n, D).

        Above `grid.most` samples, that many are used, spread evenly over their order.
        """
        few = np.unique(np.linspace(0, len(known) - 1, min(len(known), grid.most)).astype(np.int64))
        inputs, outputs = known[few], targets[few]
        pairs = {kernel: kernel(inputs, inputs) for kernel in grid.kernels}

        def loss(choice: tuple[float, Kernel, float]) -> float:
            theta, kernel, noise = choice
            return grid.loss(Factor(pairs[kernel].covariance(theta), noise, lower=grid.lower), outputs)

        theta, kernel, noise = min(itertools.product(grid.thetas, grid.kernels, grid.noises), key=loss)
        return cls(kernel, known, theta, noise, lower=grid.lower)

    def covariance(self, inputs: Array) -> Array:
        """Return the covariance of inputs (m, D) with the known ones, (m, n)."""
        return self.kernel(inputs, self.known).covariance(self.theta)

    def weights(self, inputs: Array) -> Array:
        """Return the weight of each known input for each of (m, D), (m, n), for a mean of 0."""
        return self.factor.solve(self.covariance(inputs).T).T
