"""Kriging of many outputs at once, with standard deviations."""

import numpy as np

from edanas.numerics.gaussian_process import Array, GaussianProcess, Grid, Pairs, pooled_likelihood

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Candidates for the correlation length, in median distances between inputs."""

NOISES = (1e-4, 1e-2, 1e-1)
"""Candidates for the noise, as shares of the outputs' variance."""

MOST = 400
"""Most inputs on which length and noise are chosen: the time of each trial grows with their cube."""

SLOPES = 1.0
"""Prior variance of all linear slopes together, as a share of the outputs' variance."""


class Kriging:
    """A Gaussian process with linear trend and an isotropic Gaussian kernel, maximum likelihood on a grid.

    Outputs are centred; each has a variance of its own, and all have one correlation (the separable model of
    Conti and O'Hagan, 2010). Many outputs that form one curve inform the kernel together. Above 400 inputs,
    400 of them, spread evenly over their order, decide on length and noise; all are then fitted once.

    Args:
        inputs: (n, D), n >= 2; columns are standardised.
        outputs: (n, T).

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
        self._process = GaussianProcess.fit(X, Z, Grid(thetas, [_kernel], NOISES, MOST, pooled_likelihood))
        self._weights = self._process.factor.solve(Z)
        self._variance = np.maximum((Z * self._weights).mean(axis=0), 0.0)

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Return means and standard deviations (m, T), without the noise, for inputs (m, D)."""
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
