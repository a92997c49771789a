"""Kriging over categories."""

import numpy as np
import pytest

from edanas.surrogates.adaptive import kendall_tau
from edanas.surrogates.one_hot_gp import MOST_LEVELS, OneHotGP
from edanas.surrogates.rbf import RBF


def test_relabelled_categories_change_nothing():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (60, 4))
    y = rng.normal(size=(4, 5))[np.arange(4), X].sum(axis=1)
    labels = np.array([rng.permutation(5) for _ in range(4)])
    other = labels[np.arange(4), X]
    one, two = OneHotGP().fit(X[:40], y[:40]), OneHotGP().fit(other[:40], y[:40])
    np.testing.assert_allclose(one.predict(X[40:]), two.predict(other[40:]), rtol=1e-6, atol=1e-8)


def test_additive_effects_and_interactions_of_categories_are_learnt():
    rng = np.random.default_rng(1)
    X = rng.integers(0, 5, (220, 6)).astype(float)
    effects = rng.normal(size=(6, 5))
    pairs = rng.normal(size=(5, 5))
    y = effects[np.arange(6), X.astype(int)].sum(axis=1) + pairs[X[:, 0].astype(int), X[:, 1].astype(int)]
    taus = [
        kendall_tau(model.fit(X[:120], y[:120]).predict(X[120:]), y[120:]) for model in (OneHotGP(), RBF())
    ]
    assert taus[0] > 0.7 > taus[1] + 0.1


def test_a_gene_with_many_choices_is_a_number():
    rng = np.random.default_rng(2)
    X = np.stack([rng.integers(0, 400, 90), rng.integers(0, 3, 90)], axis=1).astype(float)
    y = np.sin(X[:, 0] / 100) + X[:, 1]
    assert len(np.unique(X[:, 0])) > MOST_LEVELS
    predicted = OneHotGP().fit(X[:60], y[:60]).predict(X[60:])
    assert np.abs(predicted - y[60:]).max() < 0.1


@pytest.mark.parametrize("values", [np.ones(5), np.array([1.0, 1.0, 1.0, 1.0, 3.0])])
def test_constant_values_and_repeated_genomes_can_be_fitted(values):
    X = np.array([[0.0, 1.0]] * 3 + [[1.0, 1.0]] * 2)
    predicted = OneHotGP().fit(X, values).predict(np.array([[0.0, 1.0], [7.0, 9.0]]))
    assert predicted[0] == pytest.approx(1.0, abs=0.1) and np.isfinite(predicted).all()
