"""Gaussian-process regression over backbones as a linear smoother: weights first, quantities later.

The weights of the known backbones for a new one do not depend on what is predicted. So a quantity that is
known only when it is asked for, such as who leaves where under a new scheme, takes one product.
"""

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dpotrs

from edanas.core.space import Genomes, SearchSpace
from edanas.surrogates.arrays import Array

DECAYS = (1.5, 6.0, 24.0)
"""How fast likeness fades as relevant genes differ."""

LINEAR = (0.0, 1.0)
"""Prior variance of what genes add one by one, against 1 of what they do together."""

NOISES = (1e-3, 3e-2)
"""Prior variance of what is each backbone's own."""

_LEAST_RELEVANCE = 2e-3
_RIDGE = 1e-2
_TRIED_ON = 100
"""Known backbones on which decay, linear part and noise are chosen: the cost grows with their cube."""


def indicators(space: SearchSpace, genomes: Genomes, flags: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """What a backbone is, in zeros and ones, and the gene that each column is of.

    Args:
        space: What genomes mean.
        genomes: (n, D); genes of thresholds are not looked at.
        flags: (n, F) further genes of two choices.

    Returns:
        (n, L) with a column for each choice of a gene and one for "unexpressed", and (L,) integers.
    """
    expressed = space.expressed(genomes)
    blocks, owners = [], []
    for at in range(space.backbone_dimensions):
        count = int(space.counts[at])
        codes = np.where(expressed[:, at], genomes[:, at], count)
        blocks.append(codes[:, None] == np.arange(count + 1))
        owners += [at] * (count + 1)
    for at in range(flags.shape[1]):
        blocks.append(np.stack([flags[:, at], ~flags[:, at]], axis=1))
        owners += [space.backbone_dimensions + at] * 2
    return np.hstack(blocks).astype(np.float64), np.array(owners)


@dataclass(frozen=True)
class Smoother:
    """Kriging with an unknown mean, over genes that matter more or less.

    The share of the outputs' variance that a ridge regression puts on a gene is the gene's relevance (shares
    sum to 1). With m the relevance of all genes in which two backbones agree, their covariance is
    exp(-decay (1 - m)) + linear m, and noise more where they are the same. Decay, linear part and noise are
    those on a grid with the largest likelihood (Rasmussen and Williams, 2006, equation 2.30) of all outputs.

    Args:
        known: (n, L) indicators of the known backbones, each times the root of its gene's relevance.
        scale: (L,) those roots.
        decay: See above.
        linear: See above.
        factor: Of the known backbones' covariance.
        ones: (n,) its inverse times ones.
    """

    known: Array
    scale: Array
    decay: float
    linear: float
    factor: Array
    ones: Array

    @classmethod
    def fit(cls, rows: Array, owners: Array, outputs: Array) -> Self:
        """From (n, L) indicators with the genes (L,) that they are of, and (n, T) outputs; n >= 1."""
        Y = _standardised(outputs)
        scale = np.sqrt(_relevance(rows, owners, Y))
        known = rows * scale
        few = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _TRIED_ON)).astype(np.int64))
        match = known[few] @ known[few].T
        trials = [
            (_loss(_covariance(match, decay, linear), noise, Y[few]), decay, linear, noise)
            for decay, linear, noise in itertools.product(DECAYS, LINEAR, NOISES)
        ]
        _, decay, linear, noise = min(trials)
        K = _covariance(known @ known.T, decay, linear)
        K.flat[:: len(K) + 1] += noise
        factor = _factor(K)
        return cls(known, scale, decay, linear, factor, _solve(factor, np.ones((len(rows), 1)))[:, 0])

    def weights(self, rows: Array) -> Array:
        """(m, n): how much each known backbone counts for each of (m, L) indicators; a row sums to 1."""
        cross = _covariance((rows * self.scale) @ self.known.T, self.decay, self.linear)
        found = _solve(self.factor, cross.T).T
        missing = 1.0 - found.sum(axis=1)
        return np.asarray(found + np.outer(missing, self.ones / self.ones.sum()))


def _standardised(outputs: Array) -> Array:
    """The outputs that vary, with mean 0 and variance 1; a single 0 where none does."""
    spread = outputs.std(axis=0)
    varying = outputs[:, spread > 1e-9]
    if not varying.shape[1]:
        return np.zeros((len(outputs), 1))
    return np.asarray((varying - varying.mean(axis=0)) / varying.std(axis=0))


def _relevance(rows: Array, owners: Array, Y: Array) -> Array:
    """(L,) For each indicator its gene's share of what genes explain one by one, and a little for all."""
    centred = rows - rows.mean(axis=0)
    if len(rows) < rows.shape[1]:
        inner = centred @ centred.T
        inner.flat[:: len(inner) + 1] += _RIDGE * len(rows)
        slopes = centred.T @ np.linalg.solve(inner, Y)
    else:
        inner = centred.T @ centred
        inner.flat[:: len(inner) + 1] += _RIDGE * len(rows)
        slopes = np.linalg.solve(inner, centred.T @ Y)
    effects = (centred.var(axis=0)[:, None] * slopes**2).mean(axis=1)
    by_gene = np.bincount(owners, weights=effects) + _LEAST_RELEVANCE
    return np.asarray((by_gene / by_gene.sum())[owners])


def _covariance(match: Array, decay: float, linear: float) -> Array:
    return np.asarray(np.exp(decay * (match - 1.0)) + linear * match)


def _loss(covariance: Array, noise: float, Y: Array) -> float:
    """-2 log likelihood of all outputs, shifted, each with a mean and a variance of its own."""
    K = covariance.copy()
    K.flat[:: len(K) + 1] += noise
    factor = _factor(K)
    solved = _solve(factor, np.column_stack([np.ones(len(Y)), Y]))
    ones, weighted = solved[:, :1], solved[:, 1:]
    mean = (ones * Y).sum(axis=0) / ones.sum()
    variance = ((Y - mean) * (weighted - ones * mean)).mean(axis=0)
    determinant = 2.0 * float(np.log(np.diag(factor)).sum())
    return float(Y.shape[1] * determinant) + len(Y) * float(np.log(np.maximum(variance, 1e-12)).sum())


def _factor(K: Array) -> Array:
    """Cholesky's factor of a positive definite matrix; LAPACK without the checks that cost as much as it."""
    factor, failed = dpotrf(K, lower=1)
    if failed:
        raise np.linalg.LinAlgError("the covariance of backbones is not positive definite")
    return np.asarray(factor)


def _solve(factor: Array, right: Array) -> Array:
    return np.asarray(dpotrs(factor, right, lower=1)[0])
