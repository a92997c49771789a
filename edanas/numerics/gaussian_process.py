"""Gaussian-process regression (Kriging): a covariance matrix is factored once, for any number of outputs.

Every kernel is exp(-theta |x - x'|^2) plus a trend; see `Pairs`. `GaussianProcess.fit` chooses theta, kernel
and noise from a grid. The choice minimises one of the losses `separate_likelihoods`, `pooled_likelihood` and
`leave_one_out`. `OrdinaryKriging` holds the formulas for an unknown mean.

Symbols of shapes: n known inputs, m new inputs, D features of an input, T targets of an input.
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
    """The covariance matrix between `a` inputs and `b` other inputs, in two parts.

    Args:
        squares: Squared distances |x - x'|^2, (a, b).
        trend: The part that does not depend on theta, (a, b): constant and linear terms, and a nugget, a
            variance that is added where x = x'.
    """

    squares: Array
    trend: Array

    def covariance(self, theta: float) -> Array:
        """Return the covariance matrix exp(-theta * squares) + trend, (a, b), as a new array."""
        covariance = self.squares * -theta
        np.exp(covariance, out=covariance)
        covariance += self.trend
        return covariance


Kernel = Callable[[Array, Array], Pairs]
"""A function from inputs (a, D) and other inputs (b, D) to the parts of their covariance matrix."""


class Factor:
    """Cholesky factor of a covariance matrix C: lower L with C = LL', or upper U with C = U'U.

    The two factors give the same solutions up to rounding.

    Args:
        covariance: C without noise, (n, n). Only its upper triangle is read; the array may be overwritten.
        noise: Variance that is added to the diagonal; default 0.
        lower: True computes L, false computes U. `solve_root` and `inverse_root` need L.

    Raises:
        LinAlgError: C is not positive definite, after rounding.
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
        """Return C^-1 times `right`, an array (n,) or (n, T)."""
        from scipy.linalg.lapack import dpotrs

        return np.asarray(dpotrs(self._triangle, right, lower=self._lower)[0])

    def solve_root(self, right: Array) -> Array:
        """Return L^-1 times `right`, an array (n, T)."""
        from scipy.linalg.lapack import dtrtrs

        return np.asarray(dtrtrs(self._triangle, right, lower=1)[0])

    def inverse_root(self) -> Array:
        """Return V = L^-1, (n, n), so that V'V = C^-1."""
        from scipy.linalg.lapack import dtrtri

        return np.asarray(dtrtri(self._triangle, lower=1)[0])


class OrdinaryKriging:
    """A Gaussian process with an unknown constant mean, for given targets.

    C is the covariance matrix of the inputs, z holds the targets, and u = C^-1 1. The estimated mean b is
    z'u / (1'u), the attribute `mean`. The attribute `weights` is C^-1 (z - b). With T targets, both
    attributes have T columns.

    Args:
        factor: Cholesky factor of C.
        ones: The vector u, (n,).
        targets: The array z, (n,) or (n, T).
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
        """Return the process for `targets`, (n,) or (n, T), where u is computed from `factor`."""
        return cls(factor, factor.solve(np.ones(len(targets))), targets)

    def with_targets(self, targets: Array) -> "OrdinaryKriging":
        """Return a process with the same covariance matrix for other targets, (n,) or (n, T)."""
        return OrdinaryKriging(self.factor, self._ones, targets)

    def loss(self, least_variance: float = float(np.finfo(float).tiny)) -> float:
        """Return -2 log likelihood plus a constant, summed over the targets.

        Each target has a separate mean and a separate variance.

        Args:
            least_variance: Smaller estimates of a variance are replaced by this number.
        """
        return _loss(len(self.weights), self._squares, self.factor.log_determinant, least_variance)

    def without(self, root: Array, fold: Indices) -> tuple[Array, float]:
        """Return the errors at the left-out samples, (f,), and the loss of the remaining samples.

        The process must have one target, (n,). An error is target minus prediction. The errors are
        P_FF^-1 w_F, where P = C^-1 - u u' / (1'u), w is `weights`, and F are the left-out samples (Dubrule,
        1983). Without F, the determinant of C is multiplied by the determinant of (C^-1)_FF, and the square
        z'P z decreases by w_F'P_FF^-1 w_F.

        Args:
            root: The result of `Factor.inverse_root`, (n, n).
            fold: Positions of the f left-out samples, (f,).
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
"""A function from the factor of a covariance matrix and targets (n, T) to a number; smaller = better."""


def separate_likelihoods(factor: Factor, targets: Array) -> float:
    """Return -2 log likelihood plus a constant, summed over the targets.

    Each target has a separate unknown mean and a separate variance. The likelihood of one target is equation
    2.30 of Rasmussen and Williams (Gaussian Processes for Machine Learning, 2006).
    """
    return OrdinaryKriging.of(factor, targets).loss(1e-12)


def pooled_likelihood(factor: Factor, targets: Array) -> float:
    """Return -2 log likelihood of targets with mean 0 and one common variance.

    The value is divided by the number of target values, and a constant is left out.
    """
    variance = float((factor.solve_root(targets) ** 2).mean())
    return float(np.log(max(variance, 1e-300)) + factor.log_determinant / len(targets))


def leave_one_out(factor: Factor, targets: Array) -> float:
    """Return the mean squared error of predictions for each sample from all other samples.

    The formula is equation 5.12 of Rasmussen and Williams (Gaussian Processes for Machine Learning, 2006).
    """
    inverse = factor.solve(np.eye(len(targets)))
    return float(np.mean((inverse @ targets / np.diag(inverse)[:, None]) ** 2))


@dataclass(frozen=True)
class ParameterGrid:
    """The parameters among which `GaussianProcess.fit` chooses; of equal losses, the first choice wins.

    Args:
        thetas: Values of theta, the decay rate of the squared distances.
        kernels: One or more kernels.
        noises: Variances to add to the diagonal of the covariance matrix.
        most: Largest number of samples for the choice; its time grows with the third power of this number.
        loss: Computes the loss of each combination of theta, kernel and noise.
        lower: True for a lower Cholesky factor, the default; see `Factor`.
    """

    thetas: Sequence[float]
    kernels: Sequence[Kernel]
    noises: Sequence[float]
    most: int
    loss: Loss
    lower: bool = True


class GaussianProcess:
    """A kernel with its parameters, and the factored covariance matrix of the known inputs.

    Args:
        kernel: Computes the parts of a covariance matrix.
        known: Known inputs, (n, D).
        theta: Decay rate of the squared distances.
        noise: Variance that is added to the diagonal of the covariance matrix.
        lower: True for a lower Cholesky factor, the default; see `Factor`.

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
    def fit(cls, known: Array, targets: Array, grid: ParameterGrid) -> Self:
        """Return a process with the parameters of `grid` that have the smallest loss.

        If there are more than `grid.most` samples, the loss is computed on `grid.most` samples at even
        distances in their order. The returned process holds all samples.

        Args:
            known: Known inputs, (n, D).
            targets: Targets of the known inputs, (n, T).
            grid: The parameters to choose from.
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
        """Return the covariance matrix (m, n) between new inputs (m, D) and the known inputs."""
        return self.kernel(inputs, self.known).covariance(self.theta)

    def weights(self, inputs: Array) -> Array:
        """Return the weight of each known input for each new input: (m, D) -> (m, n).

        With a prior mean of 0, the predictions are the weights times the targets.
        """
        return self.factor.solve(self.covariance(inputs).T).T
