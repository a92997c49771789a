"""Indicator features of backbones, and a smoother over the features; see `edanas.numerics.smoother`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.space import Genomes, SearchSpace
from edanas.numerics.gaussian_process import Pairs, ParameterGrid, separate_likelihoods
from edanas.numerics.smoother import Smoother
from edanas.surrogates.arrays import Array, Indices

DECAYS = (1.5, 6.0, 24.0)
"""Values to choose from for `decay`: how fast the covariance falls with the relevance of differing genes."""

LINEAR = (0.0, 1.0)
"""Values to choose from for `linear`: the prior variance of additive effects of the genes.

The prior variance of interactions between genes is 1.
"""

NOISES = (1e-3, 3e-2)
"""Values to choose from for the variance of the noise."""

_LEAST_RELEVANCE = 2e-3
_RIDGE = 1e-2
_MOST = 100
"""Largest number of backbones on which decay, linear part and noise are chosen.

The time of the choice grows with the third power of this number.
"""


def indicators(
    space: SearchSpace, genomes: Genomes, flags: npt.NDArray[np.bool_]
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the features of backbones, which are zeros and ones, and the gene of each feature.

    Args:
        space: The search space of the genomes.
        genomes: Genomes of n candidates, (n, D); genes of thresholds are ignored.
        flags: F further genes with two choices, (n, F) booleans.

    Returns:
        The features, (n, L), and the number of the gene to which each of the L columns belongs, (L,). A gene
        has a column for each choice and a column for "unexpressed"; a flag has two columns.
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


def fit_gene_smoother(rows: Array, owners: Indices, outputs: Array) -> Smoother:
    """Return a fitted smoother: Kriging with an unknown mean, over genes of different relevance.

    The relevance of a gene is its share of the outputs' variance in a ridge regression; the relevances sum to
    1. Let m be the sum of the relevances of all genes in which two backbones agree. The covariance of the two
    backbones is exp(-decay (1 - m)) + linear m, plus the noise if they are equal. Decay, linear part and
    noise are chosen from a grid, by the largest likelihood of all outputs.

    Args:
        rows: Features of n >= 1 backbones, (n, L); see `indicators`.
        owners: Number of the gene of each feature, (L,); see `indicators`.
        outputs: T known quantities of each backbone, (n, T).
    """
    Y = _standardised(outputs)
    grid = ParameterGrid(
        thetas=[decay / 2 for decay in DECAYS],
        kernels=[_Kernel(linear) for linear in LINEAR],
        noises=NOISES,
        most=_MOST,
        loss=separate_likelihoods,
    )
    return Smoother.fit(rows, np.sqrt(gene_relevance(rows, owners, Y)), Y, grid, unknown_mean=True)


@dataclass(frozen=True)
class _Kernel:
    """A kernel of scaled indicator features.

    Scaled features are vectors of length 1. If m is the inner product of two vectors, their squared distance
    is 2 (1 - m).

    Args:
        linear: Prior variance of additive effects, the factor of m.
    """

    linear: float

    def __call__(self, one: Array, other: Array) -> Pairs:
        match = one @ other.T
        return Pairs(2.0 * (1.0 - match), self.linear * match)


def _standardised(outputs: Array) -> Array:
    """Return the columns of `outputs` that vary, with mean 0 and variance 1.

    If no column varies, the result is one column of zeros.
    """
    spread = outputs.std(axis=0)
    varying = outputs[:, spread > 1e-9]
    if not varying.shape[1]:
        return np.zeros((len(outputs), 1))
    return np.asarray((varying - varying.mean(axis=0)) / varying.std(axis=0))


def gene_relevance(rows: Array, owners: Indices, Y: Array) -> Array:
    """Return the relevance of each feature, (L,): the share of the variance that its gene explains.

    The shares are those of additive effects in a ridge regression. A minimum is added to each share.

    Args:
        rows: Features of n backbones, (n, L).
        owners: Number of the gene of each feature, (L,).
        Y: Standardised outputs, (n, T).
    """
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
