"""Adaptive switching: the score, the choice, and models that fail."""

import functools
from collections.abc import Mapping
from typing import Self

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from edanas.core.contracts import SurrogateModel
from edanas.core.errors import ConfigError, EdanasError
from edanas.surrogates.adaptive import AdaptiveSwitching, kendall_tau, split_folds
from edanas.surrogates.arrays import Array
from edanas.surrogates.builtin import edanas_surrogate_models
from edanas.surrogates.cart import CART
from edanas.surrogates.gp import GP
from edanas.surrogates.rbf import RBF
from edanas.surrogates.xgb import XGBoost


class Linear(SurrogateModel):
    """A least-squares model."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, genomes: Array, values: Array) -> Self:
        self._slopes = np.linalg.lstsq(np.c_[genomes, np.ones(len(genomes))], values, rcond=None)[0]
        return self

    def predict(self, genomes: Array) -> Array:
        return np.asarray(np.c_[genomes, np.ones(len(genomes))] @ self._slopes)


class Mean(Linear):
    """A constant model."""

    def predict(self, genomes: Array) -> Array:
        return np.full(len(genomes), 3.0)


class Broken(Linear):
    def fit(self, genomes: Array, values: Array) -> Self:
        raise RuntimeError("no such luck")


class NotFinite(Linear):
    def predict(self, genomes: Array) -> Array:
        return np.full(len(genomes), np.nan)


class BrokenOnEverything(Linear):
    """A model that fails on all 60 samples, but not in cross-validation."""

    def fit(self, genomes: Array, values: Array) -> Self:
        if len(values) == 60:
            raise MemoryError("too much")
        return super().fit(genomes, values)


def linear_target(rng: np.random.Generator, count: int = 60) -> tuple[Array, Array]:
    genomes = rng.integers(0, 3, (count, 6)).astype(float)
    return genomes, genomes @ np.arange(1.0, 7.0) + rng.normal(0, 0.5, count)


def parity_target(rng: np.random.Generator, count: int = 60) -> tuple[Array, Array]:
    """A target without linear trend: it depends on the equality of two genes."""
    genomes = rng.integers(0, 3, (count, 3)).astype(float)
    return genomes, (genomes[:, 0] == genomes[:, 1]) + 0.01 * rng.normal(size=count)


@pytest.mark.parametrize("order", [("linear", "cart"), ("cart", "linear")])
def test_the_better_model_is_chosen(order: tuple[str, str]) -> None:
    models = {name: {"linear": Linear, "cart": CART}[name] for name in order}
    rng = np.random.default_rng(0)
    assert AdaptiveSwitching(models).fit(*linear_target(rng)).chosen == "linear"
    assert AdaptiveSwitching(models).fit(*parity_target(rng, 150)).chosen == "cart"


@pytest.mark.parametrize(("count", "folds"), [(105, 10), (60, 4), (23, 10), (7, 3), (5, 10)])
def test_score_equals_a_plain_loop(count: int, folds: int) -> None:
    genomes, values = linear_target(np.random.default_rng(1), 2 * count)
    # Of equal genomes a fold's predictions are equal or nearly so, which tau tells apart.
    distinct = np.sort(np.unique(genomes, axis=0, return_index=True)[1])[:count]
    genomes, values = genomes[distinct], values[distinct]
    models = {"rbf": RBF, "linear": Linear, "xgboost": functools.partial(XGBoost, trees=9), "mean": Mean}
    fitted = AdaptiveSwitching(models, seed=4, folds=folds).fit(genomes, values)
    parts = split_folds(count, folds, 4)
    for name, make in models.items():
        held_out, taus = np.full(count, np.nan), []
        for part in parts:
            rest = [i for i in range(count) if i not in part]
            held_out[part] = make(4).fit(genomes[rest], values[rest]).predict(genomes[part])
            tau = kendalltau(held_out[part], values[part]).statistic
            taus.append(0.0 if np.isnan(tau) else tau)
        mean = sum(taus) / len(taus)
        deviation = (sum((tau - mean) ** 2 for tau in taus) / len(taus)) ** 0.5
        assert fitted.scores[name] == pytest.approx(mean - deviation, abs=1e-12)
        if name == fitted.chosen:
            assert fitted.tau == pytest.approx(np.nan_to_num(kendalltau(held_out, values).statistic))
    assert fitted.scores["mean"] == 0.0
    assert fitted.scores[fitted.chosen] == max(fitted.scores.values())


def test_the_chosen_model_is_fitted_on_all_rows_and_predicts() -> None:
    genomes, values = linear_target(np.random.default_rng(2))
    fitted = AdaptiveSwitching({"mean": Mean, "linear": Linear}).fit(genomes, values)
    np.testing.assert_array_equal(fitted.predict(genomes), Linear().fit(genomes, values).predict(genomes))


def test_failing_models_are_skipped_and_recorded() -> None:
    data = linear_target(np.random.default_rng(3))
    models: Mapping[str, type[SurrogateModel]] = {
        "broken": Broken,
        "nan": NotFinite,
        "late": BrokenOnEverything,
        "linear": Linear,
    }
    fitted = AdaptiveSwitching(models).fit(*data)
    assert fitted.chosen == "linear"
    assert fitted.failures == {
        "broken": "RuntimeError: no such luck",
        "nan": "ValueError: predictions are not finite",
        "late": "MemoryError: too much",
    }
    assert set(fitted.scores) == {"linear"}
    assert np.isfinite(fitted.predict(data[0])).all()


def test_error_only_when_no_model_works_and_it_names_each() -> None:
    data = linear_target(np.random.default_rng(3))
    with pytest.raises(EdanasError, match=r"60 candidates.*one: RuntimeError: no such luck; two: ValueError"):
        AdaptiveSwitching({"one": Broken, "two": NotFinite}).fit(*data)


def test_an_interrupt_is_not_a_failure() -> None:
    class Interrupted(Linear):
        def fit(self, genomes: Array, values: Array) -> Self:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        AdaptiveSwitching({"one": Interrupted}).fit(*linear_target(np.random.default_rng(0)))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_very_small_archives_are_fitted(count: int) -> None:
    genomes, values = linear_target(np.random.default_rng(5), count)
    fitted = AdaptiveSwitching({"broken": Broken, "rbf": RBF, "gp": GP}).fit(genomes, values)
    assert fitted.chosen in {"rbf", "gp"}
    assert -1 <= fitted.tau <= 1
    assert np.isfinite(fitted.predict(genomes)).all()
    if count < 4:
        assert fitted.chosen == "rbf"
        assert fitted.scores == {"rbf": 0.0, "gp": 0.0}


def test_same_seed_same_answer_and_random_state_and_threads_untouched() -> None:
    data = parity_target(np.random.default_rng(6))
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    one, two = (AdaptiveSwitching({"rbf": RBF, "cart": CART}, seed=9).fit(*data) for _ in range(2))
    assert one.scores == two.scores
    assert (one.chosen, one.tau) == (two.chosen, two.tau)
    np.testing.assert_array_equal(one.predict(data[0]), two.predict(data[0]))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_limits_threads_while_it_works_and_puts_them_back() -> None:
    threads = []

    class Watching(Linear):
        def fit(self, genomes: Array, values: Array) -> Self:
            threads.append(torch.get_num_threads())
            return super().fit(genomes, values)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        AdaptiveSwitching({"one": Watching}).fit(*linear_target(np.random.default_rng(0)))
        assert set(threads) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_parallel_cross_validation_equals_a_serial_one() -> None:
    """Scores do not depend on the other models, nor on the order in which they end."""
    data = linear_target(np.random.default_rng(8))
    pool = edanas_surrogate_models()
    together = AdaptiveSwitching(pool, seed=3).fit(*data).scores
    assert together == AdaptiveSwitching(dict(reversed(pool.items())), seed=3).fit(*data).scores
    for name, make in pool.items():
        assert AdaptiveSwitching({name: make}, seed=3).fit(*data).scores == {name: together[name]}


def test_constant_values_choose_the_first() -> None:
    genomes, _ = linear_target(np.random.default_rng(7))
    fitted = AdaptiveSwitching({"gp": GP, "rbf": RBF}).fit(genomes, np.full(60, 2.5))
    assert (fitted.chosen, fitted.tau) == ("gp", 0.0)
    np.testing.assert_allclose(fitted.predict(genomes), 2.5)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2, 0),
        (3, 0),
        (4, 2),
        (5, 2),
        (6, 3),
        (39, 3),
        (40, 4),
        (54, 5),
        (99, 9),
        (100, 5),
        (2000, 5),
    ],
)
def test_folds_are_a_partition(count: int, expected: int) -> None:
    parts = split_folds(count, 10, seed=count)
    assert len(parts) == expected
    if parts:
        assert sorted(np.concatenate(parts)) == list(range(count))
        assert min(map(len, parts)) >= 2
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_tau_is_zero_where_undefined() -> None:
    rising = np.arange(5.0)
    assert kendall_tau(np.ones(5), rising) == kendall_tau(rising, np.ones(5)) == 0.0
    assert kendall_tau(rising[:1], rising[:1]) == 0.0
    assert kendall_tau(rising, -rising) == pytest.approx(-1.0)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="number of models is 0"):
        AdaptiveSwitching({})
    with pytest.raises(ConfigError, match="folds is 1; allowed: 2 or more"):
        AdaptiveSwitching({"rbf": RBF}, folds=1)
