"""The conformance suite for surrogate models."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SurrogateModel
from edanas.core.errors import type_of
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.exit_insight_suite import check_informed, rank_correlation
from edanas.testing.random_generators import generator_states, generators_restored, seed_global_generators

_Array = npt.NDArray[np.float64]

_SEED = 7
_SAMPLES, _GENES = 40, 6
_FOLDS = 4
_LEAST_TAU = 0.2
"""The lowest allowed Kendall's tau on unseen genomes; random values have 0, and a good model has 0.8."""


def check_surrogate(make: Callable[[int], SurrogateModel]) -> None:
    """Check a surrogate model against its contract: shapes, seed, degenerate data, and cross-validation.

    Args:
        make: A function from a seed to a new model, e.g. the class.

    Raises:
        ConformanceError: The surrogate model breaks its contract.

    Example:
        >>> class LeastSquares(SurrogateModel):
        ...     def __init__(self, seed):
        ...         pass
        ...     def fit(self, genomes, values):
        ...         design = np.column_stack([genomes, np.ones(len(genomes))])
        ...         self.weights = np.linalg.lstsq(design, values, rcond=None)[0]
        ...         return self
        ...     def predict(self, genomes):
        ...         return np.column_stack([genomes, np.ones(len(genomes))]) @ self.weights
        >>> check_surrogate(LeastSquares)
    """
    with generators_restored():
        _check_shapes(make)
        _check_seed(make)
        _check_degenerate(make)
        _check_cross_validation(make)
        check_informed(make)


def _data(count: int = _SAMPLES, genes: int = _GENES, seed: int = 0) -> tuple[_Array, _Array]:
    """Return genomes (count, genes) with three choices for each gene, and values (count,).

    A value is a cost in MACs: a weighted sum of the genes plus noise.
    """
    rng = np.random.default_rng(seed)
    genomes = rng.integers(0, 3, size=(count, genes)).astype(np.float64)
    values = 1e6 * (5.0 + genomes @ np.linspace(0.5, 2.0, genes)) + rng.normal(0, 1e4, count)
    return genomes, values


def _check_shapes(make: Callable[[int], SurrogateModel]) -> None:
    genomes, values = _data()
    unseen, truth = _data(seed=1)
    model = make(_SEED)
    before = genomes.copy(), values.copy()
    with reported_call(model, f"fit on genomes {genomes.shape}"):
        fitted = model.fit(genomes, values)
    require(model, fitted is model, f"fit returns {fitted!r}; expected the model itself")
    predictions = _predict(model, unseen, "unseen genomes")
    require(
        model,
        np.array_equal(before[0], genomes) and np.array_equal(before[1], values),
        "fit changes its arguments",
    )
    one = _predict(model, unseen[:1], "a single genome")
    require(
        model,
        np.allclose(one, predictions[:1], rtol=1e-4, atol=1.0),
        f"predicts {predictions[0]:g} for a genome in a batch and {one[0]:g} for it alone",
    )
    tau = rank_correlation(predictions, truth)
    require(
        model,
        tau >= _LEAST_TAU,
        f"Kendall's tau on unseen genomes of an additive function is {tau:.2f}; expected "
        f"{_LEAST_TAU} or more",
    )


def _check_seed(make: Callable[[int], SurrogateModel]) -> None:
    """Check that a model draws random numbers from its seed alone, and not from the global generators."""
    genomes, values = _data()
    predictions = []
    for state in (1, 2):
        seed_global_generators(state)
        before = generator_states()
        model = make(_SEED).fit(genomes, values)
        predictions.append(_predict(model, genomes, "the training samples"))
        touched = [name for name, after in generator_states().items() if after != before[name]]
        require(model, not touched, f"fit or predict draws from the global generator of {', '.join(touched)}")
    require(
        model,
        np.array_equal(predictions[0], predictions[1]),
        f"two models of one seed, fitted to equal data, differ by {_largest_gap(*predictions):g}",
    )


def _check_degenerate(make: Callable[[int], SurrogateModel]) -> None:
    """Check that a model accepts two samples, ties, constants, values of any size, and long genomes."""
    genomes, values = _data(count=12)
    fine = np.linspace(0.90, 0.91, 12)
    cases = {
        "two samples": (genomes[:2], values[:2]),
        "three samples": (genomes[:3], values[:3]),
        "equal values": (genomes, np.full(12, 0.1)),
        "values of 0": (genomes, np.zeros(12)),
        "12 samples of one genome with different values": (np.repeat(genomes[:1], 12, axis=0), values),
        "every sample twice": (np.repeat(genomes[:6], 2, axis=0), np.repeat(values[:6], 2)),
        "a constant gene": (np.hstack([genomes, np.ones((12, 1))]), values),
        "a single gene": (genomes[:, :1], values),
        "more genes than samples": (np.tile(genomes, (1, 9)), values),
        "accuracies that differ by little": (genomes, fine),
        "costs of 1e12": (genomes, values * 1e6),
        "negative values": (genomes, -values),
    }
    for name, (X, y) in cases.items():
        model = make(_SEED)
        with reported_call(model, f"fit on {name} ({X.shape})"):
            model.fit(X.copy(), y.copy())
        _predict(model, X, f"after {name}, the same genomes")
        _predict(model, 2.0 - X, f"after {name}, other genomes")


def _check_cross_validation(make: Callable[[int], SurrogateModel]) -> None:
    """Check that the prediction of a fold does not depend on the values of the fold."""
    genomes, values = _data()
    folds = [np.arange(start, _SAMPLES, _FOLDS, dtype=np.int64) for start in range(_FOLDS)]
    predictions = _cross_validate(make(_SEED), genomes, values, folds)
    changed = values.copy()
    changed[folds[0]] = values[folds[0]][::-1] * 3.0
    repeated = _cross_validate(make(_SEED), genomes, changed, folds)
    worst = _largest_gap(repeated[folds[0]], predictions[folds[0]])
    model = make(_SEED)
    require(
        model,
        worst <= 1e-3 * np.ptp(values),
        f"cross_validate: the predictions of a fold change by up to {worst:g} with the fold's own values",
    )
    tau = rank_correlation(predictions, values)
    require(
        model, tau >= _LEAST_TAU, f"cross_validate: Kendall's tau is {tau:.2f}; expected {_LEAST_TAU} or more"
    )
    uneven = [np.arange(1, dtype=np.int64), np.arange(1, 5, dtype=np.int64), np.arange(5, 12, dtype=np.int64)]
    _cross_validate(make(_SEED), genomes[:12], values[:12], uneven)


def _cross_validate(
    model: SurrogateModel, genomes: _Array, values: _Array, folds: list[npt.NDArray[np.int64]]
) -> _Array:
    with reported_call(
        model, f"cross_validate on {len(values)} samples in folds of {[len(f) for f in folds]}"
    ):
        predictions = model.cross_validate(genomes, values, folds)
    return _checked(model, predictions, len(values), "cross_validate")


def _predict(model: SurrogateModel, genomes: _Array, context: str) -> _Array:
    with reported_call(model, f"predict, {context} ({genomes.shape})"):
        predictions = model.predict(genomes)
    return _checked(model, predictions, len(genomes), f"predict, {context}")


def _checked(model: SurrogateModel, predictions: object, count: int, context: str) -> _Array:
    if not isinstance(predictions, np.ndarray):
        raise ConformanceError(
            f"{type(model).__name__}: {context}: the result is {type_of(predictions)}, not an array"
        )
    require(
        model, predictions.shape == (count,), f"{context}: shape {predictions.shape}; expected {(count,)}"
    )
    require(
        model,
        np.issubdtype(predictions.dtype, np.floating) and np.isfinite(predictions).all(),
        f"{context}: {predictions.dtype} {predictions[:4]}; expected finite floats",
    )
    return predictions


def _largest_gap(first: _Array, second: _Array) -> float:
    return float(np.abs(first - second).max())
