"""Radial basis functions and Gaussian processes: fits and closed-form cross-validations against oracles."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator
from scipy.spatial.distance import pdist
from smooth_functions import smooth

from edanas.core.contracts import SurrogateModel
from edanas.surrogates import gp, rbf
from edanas.surrogates.adaptive import split_folds
from edanas.surrogates.arrays import Array, newest_and_spread, squared_distances
from edanas.surrogates.gp import GP
from edanas.surrogates.rbf import RBF

Make = Callable[..., SurrogateModel]


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([1e-6, 0.0, 0.5]))
def test_rbf_equals_scipys(seed: int, genes: int, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    genomes, unseen = rng.normal(size=(30, genes)), rng.normal(size=(10, genes))
    assume(pdist(genomes).min() > 1e-2)  # nearer neighbours leave scipy few digits, and us
    values = rng.normal(size=30)
    expected = RBFInterpolator(genomes, values, kernel="cubic", degree=1, smoothing=smoothing)(unseen)
    predicted = RBF(smoothing=smoothing).fit(genomes, values).predict(unseen)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)


def test_rbf_with_few_samples_equals_scipys_linear_kernel() -> None:
    genomes, values = smooth(20, seed=3, genes=50)
    unseen, _ = smooth(10, seed=4, genes=50)
    expected = RBFInterpolator(genomes, values, kernel="linear", degree=0, smoothing=1e-6)(unseen)
    np.testing.assert_allclose(RBF().fit(genomes, values).predict(unseen), expected, rtol=1e-6)


def test_rbf_without_smoothing_interpolates_and_a_linear_function_stays_linear() -> None:
    genomes, values = smooth(40, seed=5)
    genomes = np.unique(genomes, axis=0)
    values = values[: len(genomes)]
    np.testing.assert_allclose(RBF(smoothing=0.0).fit(genomes, values).predict(genomes), values, rtol=1e-6)
    slopes = np.arange(8.0)
    far = genomes * 50 - 7
    np.testing.assert_allclose(
        RBF().fit(genomes, genomes @ slopes + 2).predict(far), far @ slopes + 2, rtol=1e-6
    )


def dense_kriging(
    model: GP, genomes: Array, values: Array, unseen: Array
) -> tuple[Array, Callable[[float], float]]:
    """The posterior mean and the log likelihood of theta, by inverting the covariance."""
    X = (genomes - genomes.mean(0)) / genomes.std(0)
    U = (unseen - genomes.mean(0)) / genomes.std(0)
    n, ones = len(X), np.ones(len(X))

    def covariance(A: Array, B: Array, theta: float) -> Array:
        squares = ((A[:, None, :] - B[None, :, :]) ** 2).sum(2)
        return np.exp(-theta * squares) + model.slope_variance * A @ B.T

    def parts(theta: float) -> tuple[Array, float, float]:
        C = covariance(X, X, theta) + model.nugget * np.eye(n)
        inverse = np.linalg.inv(C)
        mean = float(ones @ inverse @ values) / float(ones @ inverse @ ones)
        variance = float((values - mean) @ inverse @ (values - mean)) / n
        return inverse, mean, -0.5 * (n * np.log(variance) + float(np.linalg.slogdet(C)[1]))

    inverse, mean, _ = parts(model.theta)
    predicted = mean + covariance(U, X, model.theta) @ inverse @ (values - mean)
    return predicted, lambda theta: parts(theta)[2]


@pytest.mark.parametrize("count", [12, 60])
def test_gp_equals_the_dense_formula_and_maximises_the_likelihood(count: int) -> None:
    rng = np.random.default_rng(count)
    genomes, unseen = rng.normal(size=(count, 4)), rng.normal(size=(9, 4))
    values = np.sin(2 * genomes[:, 0]) + genomes[:, 1] * genomes[:, 2] + 3 * genomes[:, 3] - 5
    model = GP(nugget=1e-4).fit(genomes, values)
    expected, likelihood = dense_kriging(model, genomes, values, unseen)
    np.testing.assert_allclose(model.predict(unseen), expected, rtol=1e-6, atol=1e-8)
    grid = [likelihood(theta) for theta in np.logspace(-5, 2, 57)]
    assert likelihood(model.theta) >= max(grid) - 0.3
    assert 1e-5 <= model.theta <= 100


def test_gp_interpolates_and_recovers_a_linear_trend() -> None:
    genomes, values = smooth(60, seed=11)
    model = GP(nugget=1e-8).fit(genomes, values)
    np.testing.assert_allclose(model.predict(genomes), values, rtol=1e-3)
    slopes = np.arange(1.0, 9.0)
    far = genomes[:10] * 3
    error = GP().fit(genomes, genomes @ slopes).predict(far) - far @ slopes
    assert np.abs(error).max() < 0.05 * np.ptp(far @ slopes)


@pytest.mark.parametrize(("count", "genes"), [(12, 3), (30, 8), (90, 8), (70, 50)])
def test_rbf_cross_validates_in_closed_form_as_by_a_loop(count: int, genes: int) -> None:
    """Few samples, many samples, and a gene that varies in one fold only."""
    genomes = np.random.default_rng(count).normal(size=(count, genes))
    genomes[:, 0] = np.arange(count) == 2
    values = np.sin(genomes).sum(axis=1)
    folds = split_folds(count, 7, 1)
    looped = SurrogateModel.cross_validate(RBF(), genomes, values, folds)
    np.testing.assert_allclose(RBF().cross_validate(genomes, values, folds), looped, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("count", [9, 40])
def test_gp_cross_validates_as_the_dense_formula_with_each_folds_likeliest_theta(count: int) -> None:
    genomes, values = smooth(count, seed=14, genes=5)
    folds = split_folds(count, 4, 2)
    X = (genomes - genomes.mean(0)) / genomes.std(0)
    squares = ((X[:, None] - X[None]) ** 2).sum(2)
    for fold, predicted in ((fold, GP().cross_validate(genomes, values, folds)[fold]) for fold in folds):
        rest, lowest = np.setdiff1d(np.arange(count), fold), np.inf
        z, ones = values[rest] / values.std(), np.ones(len(rest))
        for theta in np.logspace(-5, 2, 15):
            C = np.exp(-theta * squares) + 0.1 * X @ X.T + 1e-6 * np.eye(count)
            inverse = np.linalg.inv(C[np.ix_(rest, rest)])
            mean = (ones @ inverse @ z) / (ones @ inverse @ ones)
            variance = (z - mean) @ inverse @ (z - mean) / len(rest)
            loss = len(rest) * np.log(variance) + np.linalg.slogdet(C[np.ix_(rest, rest)])[1]
            if loss < lowest:
                lowest = loss
                expected = mean + C[np.ix_(fold, rest)] @ inverse @ (z - mean)
        np.testing.assert_allclose(predicted, expected * values.std(), rtol=1e-4)


@pytest.mark.parametrize("make", [RBF, GP])
def test_a_large_archive_is_fitted_by_its_newer_half_and_a_spread_of_the_rest(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, names in ((rbf, ["LARGEST"]), (gp, ["MOST", "MOST_FOR_THETA"])):
        for name in names:
            monkeypatch.setattr(module, name, 60)
    genomes, values = smooth(150, seed=15)
    unseen, _ = smooth(20, seed=16)
    used = newest_and_spread(150, 60)
    assert len(set(used)) == 60
    assert set(range(120, 150)) <= set(used)
    assert np.diff(used[:30]).max() <= 5
    fitted = make().fit(genomes, values).predict(unseen)
    np.testing.assert_array_equal(fitted, make().fit(genomes[used], values[used]).predict(unseen))

    folds = split_folds(150, 5, 0)
    predicted = make().cross_validate(genomes, values, folds)
    for fold in folds:
        rest = np.setdiff1d(used, fold)
        looped = make().fit(genomes[rest], values[rest]).predict(genomes[fold])
        assert np.corrcoef(predicted[fold], looped)[0, 1] > (1 - 1e-9 if make is RBF else 0.99)


@pytest.mark.parametrize("integers", [True, False])
def test_squared_distances_equal_a_loop(integers: bool) -> None:
    one, other = (np.random.default_rng(i).normal(3, 4, (9 + i, 5)) for i in (0, 1))
    if integers:
        one, other = np.rint(one), np.rint(other)
    expected = ((one[:, None] - other[None]) ** 2).sum(2)
    np.testing.assert_allclose(squared_distances(one, other), expected, rtol=0 if integers else 1e-12)
    assert (squared_distances(one, one) >= 0).all()
