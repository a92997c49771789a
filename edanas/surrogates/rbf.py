"""The surrogate model `rbf`: radial basis functions with a polynomial tail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import (
    Array,
    Indices,
    at_least,
    newest_and_spread,
    squared_distances,
    training_set,
)

LARGEST = 2000
"""Most samples that a fit uses; its time grows with their third power."""


class RBF(SurrogateModel):
    """Cubic radial basis functions with a linear tail; with few samples, linear ones with a constant tail.

    f(x) = sum_i w_i k(|x - x_i|) + p(x), with unscaled inputs and weights orthogonal to every polynomial of
    the tail's degree. A basis of the tail's complement, in which the kernel is positive definite, ensures the
    orthogonality. Columns that are constant or depend on others drop out of the tail, so the system stays
    solvable.

    A linear tail with fewer than two samples per coefficient mostly fits noise. Then k(r) = -r with a
    constant tail replaces k(r) = r^3; `benchmarks/surrogates.py` measures the effect.

    A cross-validation factors the system once: predictions of left-out samples have a closed form (Rippa,
    1999, for one sample; the same algebra holds for a fold). Above 2,000 samples, the newest 1,000 are used
    and 1,000 spread evenly over the rest. With 4,000 random candidates that costs 0.03 of tau (0.869 against
    0.903 on the accuracy of `benchmarks/surrogates.py`).

    Args:
        seed: Unused; the model is deterministic.
        smoothing: Added to the kernel's diagonal; 0 = interpolation.

    Example:
        >>> genomes = np.arange(10.0)[:, None]
        >>> model = RBF().fit(genomes, genomes[:, 0] ** 2)
        >>> model.predict(np.array([[4.5]])).round(1)
        array([20.3])
    """

    def __init__(self, seed: int = 0, smoothing: float = 1e-6) -> None:
        at_least("rbf", "smoothing", smoothing, 0.0)
        self.seed = seed
        self.smoothing = smoothing

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        used = newest_and_spread(len(y), LARGEST)
        self._system = _System.of(X[used], self.smoothing)
        self._solution = self._system.solve(y[used])
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        return self._system.predict(np.asarray(genomes, dtype=np.float64), *self._solution)

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[Indices]) -> Array:
        """See `SurrogateModel.cross_validate`; one factorisation for all folds.

        With P the matrix that maps values to weights w, the errors on a left-out fold F are P_FF^-1 w_F. If
        the tail would differ without a fold, that fold's model is fitted separately.
        """
        from scipy.linalg import solve

        X, y = training_set(genomes, values)
        used = newest_and_spread(len(y), LARGEST)
        system = _System.of(X[used], self.smoothing)
        if system.factor is None:
            return super().cross_validate(X, y, folds)
        root, weights = system.root(), system.solve(y[used])[0]
        held_out = np.empty(len(y))
        for fold in folds:
            at = np.flatnonzero(np.isin(used, fold))
            if not system.has_same_tail_without(at):
                held_out[fold] = super().cross_validate(X, y, [fold])[fold]
                continue
            errors = solve(root[:, at].T @ root[:, at], weights[at], assume_a="pos", check_finite=False)
            held_out[used[at]] = y[used[at]] - errors
            others = np.setdiff1d(fold, used[at])
            if len(others):
                # Targets that equal the fold model's predictions leave its weights unchanged.
                targets = y[used]
                targets[at] -= errors
                held_out[others] = system.predict(X[others], *system.solve(targets))
        return held_out


@dataclass(frozen=True)
class _System:
    """The factored linear system of some centres, for any targets.

    Args:
        centres: (n, D).
        shift: (D,) subtracted from genomes in the tail.
        cubic: k(r) = r^3 with a linear tail, else k(r) = -r with a constant one.
        reflectors: (n, r) and (r,): the tail's orthonormal basis Q as Householder reflectors; r is its rank.
        upper: (r, r) R of the tail's QR decomposition.
        columns: (r,) the tail's columns in it.
        mixed: (r, n - r) Q'K Z: K the kernel with its smoothing, Z a basis of the tail's complement.
        factor: (n - r, n - r) lower Cholesky factor of Z'K Z; None where it is singular.
        inverse: (n - r, n - r) pseudo-inverse of Z'K Z where it is singular: duplicates without smoothing.
    """

    centres: Array
    shift: Array
    cubic: bool
    reflectors: tuple[Array, Array]
    upper: Array
    columns: Indices
    mixed: Array
    factor: Array | None
    inverse: Array | None

    @classmethod
    def of(cls, X: Array, smoothing: float) -> "_System":
        from scipy.linalg import cholesky, pinvh

        shift = X.mean(axis=0)
        tail = _tail(X, shift)
        reflectors, R, columns = _pivoted_qr(tail)
        cubic = len(X) >= 2 * len(columns)
        if not cubic:
            reflectors, R, columns = _pivoted_qr(tail[:, :1])
        K = _kernel(X, X, cubic=cubic)
        K[np.diag_indices_from(K)] += smoothing
        rank = len(columns)
        rotated = _apply(reflectors, "R", "N", _apply(reflectors, "L", "T", K.T))
        factor, inverse = None, None
        try:
            factor = cholesky(rotated[rank:, rank:], lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            inverse = pinvh(rotated[rank:, rank:], check_finite=False)
        return cls(X, shift, cubic, reflectors, R, columns, rotated[:rank, rank:].copy(), factor, inverse)

    def solve(self, y: Array) -> tuple[Array, Array]:
        """Return the kernel's weights (n,) and the tail's coefficients (r,) for targets (n,)."""
        from scipy.linalg import cho_solve, solve_triangular

        rank = len(self.columns)
        rotated = _apply(self.reflectors, "L", "T", y[:, None].copy())
        inner = rotated[rank:]
        if self.factor is not None:
            inner = cho_solve((self.factor, True), inner, check_finite=False)
        elif self.inverse is not None:
            inner = self.inverse @ inner
        coefficients = solve_triangular(self.upper, rotated[:rank] - self.mixed @ inner, check_finite=False)
        rotated[:rank], rotated[rank:] = 0.0, inner
        return _apply(self.reflectors, "L", "N", rotated)[:, 0], coefficients[:, 0]

    def predict(self, X: Array, weights: Array, coefficients: Array) -> Array:
        """Return the function's values (m,) at genes (m, D)."""
        tail = _tail(X, self.shift)[:, self.columns]
        return np.asarray(_kernel(X, self.centres, cubic=self.cubic) @ weights + tail @ coefficients)

    def root(self) -> Array:
        """Return V = L^-1 Z', (n - r, n); P = V'V maps targets to weights."""
        from scipy.linalg.lapack import dtrtri

        rank, count = len(self.columns), len(self.centres)
        embedded = np.zeros((count - rank, count), order="F")
        embedded[:, rank:] = dtrtri(self.factor, lower=1)[0]
        return _apply(self.reflectors, "R", "T", embedded)

    def has_same_tail_without(self, left_out: Indices) -> bool:
        """Return whether the remaining centres alone give a system with the same kernel and tail."""
        rest = np.delete(self.centres, left_out, axis=0)
        if len(rest) < 2:
            return False
        rank = len(_pivoted_qr(_tail(rest, self.shift))[2])
        return rank == len(self.columns) if len(rest) >= 2 * rank else not self.cubic


def _tail(X: Array, shift: Array) -> Array:
    return np.column_stack([np.ones(len(X)), X - shift])


def _kernel(X: Array, centres: Array, *, cubic: bool) -> Array:
    from scipy.spatial.distance import cdist

    # Unless genes are integers, the matrix product's rounding distorts the distances of near neighbours.
    whole = all(np.array_equal(genes, np.rint(genes)) for genes in (X, centres))
    kernel: Array = squared_distances(X, centres) if whole else cdist(X, centres, "sqeuclidean")
    for rows in kernel:  # row by row, to avoid the allocation of a second large array
        distances = np.sqrt(rows)
        np.multiply(rows, distances, out=rows) if cubic else np.negative(distances, out=rows)
    return kernel


def _pivoted_qr(tail: Array) -> tuple[tuple[Array, Array], Array, Indices]:
    """Return Householder reflectors (n, r) and (r,), R (r, r) and the columns (r,), r the rank."""
    from scipy.linalg import qr

    (reflectors, scales), R, order = qr(tail, mode="raw", pivoting=True, check_finite=False)
    diagonal = np.abs(np.diag(R))
    rank = int((diagonal > 1e-10 * diagonal[0]).sum())
    return (reflectors[:, :rank], scales[:rank]), R[:rank, :rank], order[:rank]


def _apply(reflectors: tuple[Array, Array], side: str, trans: str, matrix: Array) -> Array:
    """Return Q or Q' times the matrix (side L), or the matrix times Q or Q' (side R), in place."""
    from scipy.linalg.lapack import dormqr

    work = dormqr(side, trans, *reflectors, matrix, -1, overwrite_c=True)[1]
    return np.asarray(dormqr(side, trans, *reflectors, matrix, int(work[0]), overwrite_c=True)[0])
