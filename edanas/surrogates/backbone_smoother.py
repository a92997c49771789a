"""Backbones as indicator features, and a smoother over them; see `edanas.numerics.smoother`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.space import Genomes, SearchSpace
from edanas.numerics.gaussian_process import Grid, Pairs, separate_likelihoods
from edanas.numerics.smoother import Smoother
from edanas.surrogates.arrays import Array

DECAYS = (1.5, 6.0, 24.0)
"""Candidates for the decay of the covariance with the share of relevant genes that differ."""

LINEAR = (0.0, 1.0)
"""Candidates for the prior variance of the genes' additive effects, against 1 of their interactions."""

NOISES = (1e-3, 3e-2)
"""Candidates for the variance of the noise."""

_LEAST_RELEVANCE = 2e-3
_RIDGE = 1e-2
_MOST = 100
"""Most backbones on which decay, linear part and noise are chosen: the time grows with their cube."""


def indicators(space: SearchSpace, genomes: Genomes, flags: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Encode backbones in zeros and ones.

    Args:
        space: The genomes' search space.
        genomes: (n, D); genes of thresholds are ignored.
        flags: (n, F) further genes with two choices.

    Returns:
        (n, L) with a column for each choice of a gene and one for "unexpressed", and (L,) the index of each
        column's gene.
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


def fit_smoother(rows: Array, owners: Array, outputs: Array) -> Smoother:
    """Fit Kriging with an unknown mean, over genes of different relevance.

    The relevance of a gene is its share of the outputs' variance in a ridge regression; shares sum to 1. With
    m the relevance of all genes in which two backbones agree, their covariance is
    exp(-decay (1 - m)) + linear m, plus the noise for equal backbones. Decay, linear part and noise are those
    on a grid with the largest likelihood of all outputs.

    Args:
        rows: (n, L) indicators, n >= 1.
        owners: (L,) see `indicators`.
        outputs: (n, T).
    """
    Y = _standardised(outputs)
    grid = Grid(
        thetas=[decay / 2 for decay in DECAYS],
        kernels=[_Kernel(linear) for linear in LINEAR],
        noises=NOISES,
        most=_MOST,
        loss=separate_likelihoods,
    )
    return Smoother.fit(rows, np.sqrt(_relevance(rows, owners, Y)), Y, grid, unknown_mean=True)


@dataclass(frozen=True)
class _Kernel:
    """Inner products m of scaled indicators, which have length 1: the squared distance is 2 (1 - m)."""

    linear: float

    def __call__(self, one: Array, other: Array) -> Pairs:
        match = one @ other.T
        return Pairs(2.0 * (1.0 - match), self.linear * match)


def _standardised(outputs: Array) -> Array:
    """Return the outputs that vary, with mean 0 and variance 1; a single column of 0 where none varies."""
    spread = outputs.std(axis=0)
    varying = outputs[:, spread > 1e-9]
    if not varying.shape[1]:
        return np.zeros((len(outputs), 1))
    return np.asarray((varying - varying.mean(axis=0)) / varying.std(axis=0))


def _relevance(rows: Array, owners: Array, Y: Array) -> Array:
    """Return each indicator's relevance, (L,): its gene's additive share of the variance, plus a minimum."""
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
