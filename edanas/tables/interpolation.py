"""Numeric features of backbones, and a smoother over the features; see `edanas.numerics.smoother`."""

import numpy as np

from edanas.core.space import Genomes, SearchSpace
from edanas.numerics.gaussian_process import Array, GaussianProcess, Pairs, ParameterGrid, leave_one_out
from edanas.numerics.smoother import Smoother

_CONSTANT = 10.0
"""Prior variance of the mean, as a multiple of the prior variance of deviations from the mean."""

_SCALES = (0.5, 1.0, 2.0)
_NOISES = (1e-3, 1e-1)
_MOST = 150
"""Largest number of rows on which scale and noise are chosen; the time grows with its third power."""


def features(space: SearchSpace, genomes: Genomes) -> Array:
    """Return the features of genomes, (n, D): a number from -1/2 to 1/2 for each gene.

    An unexpressed gene has the feature 0. A choice is represented by its logarithm, because costs are roughly
    products of powers of the choices. If not all choices of a variable are positive, a choice is represented
    by its position.

    Args:
        space: The space of backbones.
        genomes: Genomes of n backbones, (n, D).
    """
    columns = []
    expressed = space.expressed(genomes)
    for at, variable in enumerate(space.variables):
        choices = np.array(variable.choices, dtype=np.float64)
        values = np.log(choices) if (choices > 0).all() else np.arange(len(choices), dtype=np.float64)
        low, high = values.min(), values.max()
        scaled = (values - low) / (high - low) - 0.5 if high > low else np.zeros_like(values)
        columns.append(np.where(expressed[:, at], scaled[genomes[:, at]], 0.0))
    return np.stack(columns, axis=1)


def fit_smoother(rows: Array, examples: Array) -> Smoother:
    """Return a fitted smoother: Kriging with a constant, a linear and a squared-exponential covariance.

    The method is described by Rasmussen and Williams (Gaussian Processes for Machine Learning, 2006). The
    relevance of a variable is its slope in a linear model of the examples. The scale of the distances and the
    noise are chosen from a grid, by the smallest leave-one-out error.

    Args:
        rows: Features of n backbones, (n, D).
        examples: T known quantities of each backbone, (n, T), similar to the quantities to be predicted.
    """
    deviation = examples.std(axis=0)
    varying = examples[:, deviation > 1e-12 * (1 + np.abs(examples).max(axis=0))]
    if not varying.shape[1]:
        process = GaussianProcess(_kernel, rows * 0, 0.5, 1.0, lower=False)
        return Smoother(process, np.zeros(rows.shape[1]), unknown_mean=False)
    targets = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    centred = rows - rows.mean(axis=0)
    ridge = centred.T @ centred + 1e-3 * len(rows) * np.eye(rows.shape[1])
    relevance = np.sqrt(np.mean(np.linalg.solve(ridge, centred.T @ targets) ** 2, axis=1))
    thetas = [0.5 / scale**2 for scale in _SCALES]
    grid = ParameterGrid(thetas, [_kernel], _NOISES, _MOST, leave_one_out, lower=False)
    return Smoother.fit(rows, relevance, targets, grid, unknown_mean=False)


def _kernel(one: Array, other: Array) -> Pairs:
    inner = (other @ one.T).T
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * inner
    return Pairs(np.maximum(squares, 0.0), _CONSTANT + inner)
