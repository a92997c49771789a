"""Kriging of many outputs at once, which also predicts standard deviations."""

import numpy as np

from edanas.numerics.gaussian_process import Array, GaussianProcess, Pairs, ParameterGrid, pooled_likelihood

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Correlation lengths to choose from, as multiples of the median distance between inputs."""

NOISES = (1e-4, 1e-2, 1e-1)
"""Variances of the noise to choose from, as shares of the outputs' variance."""

MOST = 400
"""Largest number of inputs on which length and noise are chosen; the time grows with its third power."""

SLOPES = 1.0
"""Prior variance of all linear slopes together, as a share of the outputs' variance."""


class Kriging:
    """A Gaussian process with a linear trend and an isotropic Gaussian kernel.

    Outputs are centred. Each output has a separate variance, and all outputs share one kernel (the separable
    model of Conti and O'Hagan, 2010). Correlation length and noise have the maximum likelihood on a grid.
    With more than 400 inputs, they are chosen on 400 inputs at even distances in the given order. The process
    is then fitted once to all inputs.

    Args:
        inputs: Array (n, D) of n >= 2 inputs with D features each; the features are standardised here.
        outputs: Array (n, T) of T outputs for each input.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(0, 3, 20)[:, None]
        >>> mean, deviation = Kriging(x, np.sin(x)).predict(np.array([[1.5]]))
        >>> bool(abs(mean[0, 0] - np.sin(1.5)) < 0.01), mean.shape, deviation.shape
        (True, (1, 1), (1, 1))
    """

    def __init__(self, inputs: Array, outputs: Array) -> None:
        self._centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
        self._scale = np.where(scale > 1e-12, scale, np.inf)
        X = self._scaled(inputs)
        self._mean = outputs.mean(axis=0)
        Z = outputs - self._mean
        squares = _kernel(X, X).squares
        typical = max(float(np.median(squares[np.triu_indices(len(Z), 1)])), 1e-12)
        thetas = [0.5 / (length**2 * typical) for length in LENGTHS]
        self._process = GaussianProcess.fit(
            X, Z, ParameterGrid(thetas, [_kernel], NOISES, MOST, pooled_likelihood)
        )
        self._weights = self._process.factor.solve(Z)
        self._variance = np.maximum((Z * self._weights).mean(axis=0), 0.0)

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Return the predicted means (m, T) and standard deviations (m, T) for m inputs (m, D).

        The standard deviations do not include the noise.
        """
        X = self._scaled(inputs)
        cross = self._process.covariance(X)
        prior = 1.0 + SLOPES * (X**2).mean(axis=1)
        posterior = np.maximum(prior - (self._process.factor.solve_root(cross.T) ** 2).sum(axis=0), 0.0)
        return self._mean + cross @ self._weights, np.sqrt(posterior[:, None] * self._variance)

    def _scaled(self, inputs: Array) -> Array:
        return np.asarray((inputs - self._centre) / self._scale)


def _kernel(one: Array, other: Array) -> Pairs:
    from scipy.spatial.distance import cdist

    return Pairs(cdist(one, other, "sqeuclidean"), SLOPES * (one @ other.T) / one.shape[1])
