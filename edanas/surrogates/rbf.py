"""Radial basis functions with a polynomial tail."""

from typing import Self

import numpy as np
from scipy.linalg import qr, solve, solve_triangular
from scipy.spatial.distance import cdist

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import Array, at_least, training_set


class RBF(SurrogateModel):
    """Cubic radial basis functions with a linear tail; with few samples, linear ones with a constant tail.

    f(x) = sum_i w_i k(|x - x_i|) + p(x), inputs unscaled, weights orthogonal to every polynomial of the
    tail's degree. The orthogonality is built in through a basis of the tail's complement, in which the kernel
    is positive definite: columns that are constant or depend on others drop out of the tail and the system
    stays solvable.

    A linear tail with fewer than two samples a coefficient fits mostly noise. There, k(r) = -r with a
    constant tail replaces k(r) = r^3 (`benchmarks/surrogates.py` shows what that brings).

    Args:
        seed: Unused, the model draws nothing.
        smoothing: Added to the kernel's diagonal; 0 = interpolation.
    """

    def __init__(self, seed: int = 0, smoothing: float = 1e-6) -> None:
        at_least("rbf", "smoothing", smoothing, 0.0)
        self.seed = seed
        self.smoothing = smoothing

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        self._centres, self._shift = X, X.mean(axis=0)
        self._cubic = True
        tail = self._tail(X)
        Q, R, order, rank = _pivoted_qr(tail)
        if len(y) < 2 * rank:
            self._cubic = False
            Q, R, order, rank = _pivoted_qr(tail[:, :1])
        K = self._kernel(X)
        K[np.diag_indices_from(K)] += self.smoothing
        Z = Q[:, rank:]
        self._weights = Z @ _solve_definite(Z.T @ K @ Z, Z.T @ y)
        residual = Q[:, :rank].T @ (y - K @ self._weights)
        self._coefficients = np.zeros(tail.shape[1])
        self._coefficients[order[:rank]] = solve_triangular(R[:rank, :rank], residual)
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        X = np.asarray(genomes, dtype=np.float64)
        return np.asarray(self._kernel(X) @ self._weights + self._tail(X) @ self._coefficients)

    def _kernel(self, X: Array) -> Array:
        distance: Array = cdist(X, self._centres)
        return distance**3 if self._cubic else -distance

    def _tail(self, X: Array) -> Array:
        return np.column_stack([np.ones(len(X)), X - self._shift])


def _pivoted_qr(tail: Array) -> tuple[Array, Array, Array, int]:
    """Full Q, R, the order of the columns, and the numerical rank."""
    Q, R, order = qr(tail, pivoting=True)
    diagonal = np.abs(np.diag(R))
    return Q, R, order, int((diagonal > 1e-10 * diagonal[0]).sum())


def _solve_definite(A: Array, b: Array) -> Array:
    """A x = b for A positive (semi)definite: duplicates without smoothing leave it singular."""
    try:
        return np.asarray(solve(A, b, assume_a="pos"))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(A, b, rcond=None)[0])
