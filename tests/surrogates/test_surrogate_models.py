"""The contract of every surrogate model, and each model against an oracle."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeRegressor
from smooth_functions import smooth

from edanas.core.contracts import SurrogateModel
from edanas.core.errors import ConfigError
from edanas.surrogates.adaptive import kendall_tau, split_folds
from edanas.surrogates.arrays import Array, Standardiser, training_set
from edanas.surrogates.builtin import edanas_surrogate_models
from edanas.surrogates.cart import CART, _best_splits, _Splits
from edanas.surrogates.gp import GP
from edanas.surrogates.mlp import MLP
from edanas.surrogates.rbf import RBF
from edanas.surrogates.xgb import XGBoost

MODELS = edanas_surrogate_models()
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
Make = Callable[..., SurrogateModel]


LOWEST_TAU = {"rbf": 0.85, "mlp": 0.8, "cart": 0.6, "gp": 0.85, "xgboost": 0.8}
LOWEST_TAU |= {"exit-curves": 0.85, "exit-profiles": 0.85, "one-hot-gp": 0.85}


@pytest.mark.parametrize("name", MODELS)
def test_orders_unseen_genomes_of_a_smooth_function(name: str) -> None:
    genomes, values = smooth(120, seed=0)
    unseen, truth = smooth(200, seed=1)
    predicted = MODELS[name](seed=0).fit(genomes, values).predict(unseen)
    assert predicted.shape == (200,)
    assert kendall_tau(predicted, truth) > LOWEST_TAU[name]
    assert np.abs(predicted - truth).mean() < 0.6 * values.std()


@every_model
def test_same_seed_same_answer_whatever_was_fitted_before(make: Make) -> None:
    genomes, values = smooth(40, seed=2)
    other = smooth(30, seed=3)
    first = make(seed=5).fit(genomes, values).predict(genomes)
    model = make(seed=5).fit(*other).fit(genomes, values)
    np.testing.assert_array_equal(first, model.predict(genomes))
    np.testing.assert_array_equal(first, copy.deepcopy(model).predict(genomes))
    folds = split_folds(40, 4, 0)
    again = [make(seed=5).cross_validate(genomes, values, folds) for _ in range(2)]
    np.testing.assert_array_equal(*again)


@pytest.mark.parametrize("make", [MLP, CART, XGBoost])
def test_another_seed_draws_anew(make: Make) -> None:
    genomes, values = smooth(40, seed=2)
    one, two = (make(seed=seed).fit(genomes, values).predict(genomes[:20] * 0.5) for seed in (0, 1))
    assert not np.array_equal(one, two)


@every_model
def test_leaves_global_random_state_threads_and_inputs_alone(make: Make) -> None:
    genomes, values = smooth(30, seed=4)
    before = genomes.copy(), values.copy()
    torch_state, threads = torch.get_rng_state(), torch.get_num_threads()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002 - the legacy state is what must not move
    make(seed=1).fit(genomes, values).predict(genomes)
    make(seed=1).cross_validate(genomes, values, split_folds(30, 3, 0))
    assert torch.equal(torch_state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(before[0], genomes)
    np.testing.assert_array_equal(before[1], values)


@every_model
@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_does_not_depend_on_the_callers_gradient_mode(make: Make, mode: Callable[[], torch.no_grad]) -> None:
    genomes, values = smooth(20, seed=4)
    expected = make(seed=1).fit(genomes, values).predict(genomes)
    with mode():
        np.testing.assert_array_equal(make(seed=1).fit(genomes, values).predict(genomes), expected)


def degenerate() -> dict[str, tuple[Array, Array]]:
    genomes, values = smooth(24, seed=6)
    wide, wide_values = smooth(20, seed=7, genes=50)
    twice = np.concatenate([genomes, genomes])
    constant_columns = genomes.copy()
    constant_columns[:, [0, 3]] = (0.1, 7.0)
    collinear = np.column_stack([genomes, genomes[:, 0] + genomes[:, 1], genomes[:, 2]])
    return {
        "two samples": (genomes[:2], values[:2]),
        "two equal samples": (genomes[[0, 0]], values[:2]),
        "three samples": (genomes[:3], values[:3]),
        "constant values": (genomes, np.full(24, 0.3)),
        "constant large values": (genomes, np.full(24, 12_345_678.9)),
        "duplicated rows": (twice, np.concatenate([values, values])),
        "duplicates that disagree": (twice, np.concatenate([values, values[::-1]])),
        "constant columns": (constant_columns, values),
        "all columns constant": (np.ones((24, 5)), values),
        "collinear columns": (collinear, values),
        "fewer samples than genes": (wide, wide_values),
        "one gene": (genomes[:, :1], values),
        "a far outlier": (genomes, np.where(np.arange(24) == 3, 1e15, values)),
        "tiny spread": (genomes, 1e-12 * values / values.max()),
    }


@every_model
@pytest.mark.parametrize("case", degenerate())
def test_predictions_are_finite_on_degenerate_data_and_unseen_genes(make: Make, case: str) -> None:
    genomes, values = degenerate()[case]
    model = make(seed=0).fit(genomes, values)
    unseen = np.random.default_rng(8).integers(-2, 9, (15, genomes.shape[1])).astype(float)
    for rows in (genomes, unseen, unseen.astype(np.int64), unseen[:1], unseen[:0]):
        predicted = model.predict(rows)
        assert predicted.shape == (len(rows),)
        assert predicted.dtype == np.float64
        assert np.isfinite(predicted).all()
    if np.ptp(values) == 0:
        np.testing.assert_allclose(model.predict(genomes), values, rtol=1e-6)


@every_model
def test_cross_validation_is_as_good_as_the_looped_default(make: Make) -> None:
    genomes, values = smooth(83, seed=9)
    folds = split_folds(83, 5, 0)
    own = make(seed=0).cross_validate(genomes, values, folds)
    looped = SurrogateModel.cross_validate(make(seed=0), genomes, values, folds)
    assert abs(kendall_tau(own, values) - kendall_tau(looped, values)) < 0.06
    assert np.corrcoef(own, looped)[0, 1] > 0.93


@every_model
def test_cross_validation_never_sees_the_fold_it_predicts(make: Make) -> None:
    genomes, values = smooth(40, seed=10)
    folds = split_folds(40, 4, 0)
    spoilt = values.copy()
    spoilt[folds[0]] = np.random.default_rng(0).normal(size=len(folds[0])) * 1e9
    clean, dirty = (make(seed=0).cross_validate(genomes, v, folds)[folds[0]] for v in (values, spoilt))
    # The other folds' networks share the perceptron's matrix products, whose last bits may differ.
    np.testing.assert_allclose(clean, dirty, rtol=1e-5)


@every_model
@pytest.mark.parametrize(
    ("genomes", "values"),
    [
        (np.zeros((1, 3)), np.zeros(1)),
        (np.zeros(3), np.zeros(3)),
        (np.zeros((3, 2)), np.zeros(4)),
        (np.zeros((3, 2)), np.array([0.0, np.nan, 1.0])),
        (np.full((3, 2), np.inf), np.zeros(3)),
    ],
)
def test_refuses_what_cannot_be_fitted(make: Make, genomes: Array, values: Array) -> None:
    with pytest.raises(ValueError, match=r"expected|finite"):
        make().fit(genomes, values)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (RBF, {"smoothing": -1.0}, "'rbf': smoothing is -1.0; allowed: 0.0 or more"),
        (MLP, {"steps": 0}, "'mlp': steps is 0"),
        (MLP, {"dropout": 1.0}, "'mlp': 1 - dropout is 0.0; allowed: 0.01 or more"),
        (CART, {"trees": 0}, "'cart': trees is 0"),
        (GP, {"nugget": float("nan")}, "'gp': nugget is nan"),
        (XGBoost, {"depth": 0}, "'xgboost': depth is 0"),
    ],
)
def test_options_out_of_range_are_named(make: Make, options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**options)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(3, 40))
def test_one_tree_on_one_gene_equals_scikit_learns(seed: int, choices: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    genomes = rng.integers(0, choices, (count, 1)).astype(float)
    values = rng.normal(size=count)
    unseen = np.arange(-1.0, choices + 1)[:, None]
    for least in (2, 6):
        expected = DecisionTreeRegressor(min_samples_split=least).fit(genomes, values).predict(unseen)
        predicted = CART(trees=1, least=least).fit(genomes, values).predict(unseen)
        # CART omits splits whose gain may be a rounding error, since the means are close.
        np.testing.assert_allclose(predicted, expected, atol=1e-3)


def test_cart_is_as_good_as_a_loop_over_scikit_learns_trees() -> None:
    genomes, values = smooth(150, seed=12)
    unseen, truth = smooth(200, seed=13)
    rng = np.random.default_rng(0)
    looped = np.zeros(200)
    for number in range(200):
        genes = rng.choice(8, rng.integers(1, 9), replace=False)
        tree = DecisionTreeRegressor(random_state=number, min_samples_split=6)
        tree.fit(genomes[:, genes], values)
        looped += tree.predict(unseen[:, genes]) / 200
    ours = CART(trees=200).fit(genomes, values).predict(unseen)
    assert np.corrcoef(ours, looped)[0, 1] > 0.99
    assert abs(kendall_tau(ours, truth) - kendall_tau(looped, truth)) < 0.03


def test_cart_keeps_to_its_cuts() -> None:
    genomes = np.linspace(0, 1, 200)[:, None]
    fine = CART(trees=1, cuts=500, least=2).fit(genomes, genomes[:, 0]).predict(genomes)
    coarse = CART(trees=1, cuts=7, least=2).fit(genomes, genomes[:, 0]).predict(genomes)
    np.testing.assert_allclose(fine, genomes[:, 0], atol=1e-6)
    assert len(np.unique(coarse)) == 8


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(-1e6, 1e6))
def test_standardiser_round_trip(seed: int, spread: float, shift: float) -> None:
    data = np.random.default_rng(seed).normal(size=(7, 3)) * spread + shift
    data[:, 1] = shift
    scaled = Standardiser.of(data)(data)
    assert (scaled[:, 1] == 0).all()
    np.testing.assert_allclose(Standardiser.of(data).back(scaled), data, atol=1e-9 * (abs(shift) + spread))


def test_training_set_takes_lists_and_integers() -> None:
    X, y = training_set([[1, 2], [3, 4]], [5, 6])
    assert X.dtype == y.dtype == np.float64


def test_cart_does_not_split_on_rounding_errors():
    """Every sample goes left, and the centred values sum to almost 0: that split would make an empty leaf."""
    everything_left = _Splits(np.zeros(1, dtype=int), np.full(1, 0.5), np.ones((4, 1), dtype=np.float32))
    centred = np.array([0.1, 0.2, -0.1, -0.1], dtype=np.float32)
    priority = np.ones((1, 1), dtype=np.float32)
    everything = np.arange(4), np.array([0, 4])
    _, gain = _best_splits(everything_left, centred, *everything, priority, np.zeros(1, dtype=int), 2)
    assert gain == [0.0]
