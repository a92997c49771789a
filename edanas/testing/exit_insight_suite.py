"""Checks of surrogate models that read exit profiles, for the suite of surrogate models."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.errors import EdanasError
from edanas.core.space import Genomes
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.toy_exit_insight import toy_archive, toy_insight, toy_values, with_random_profiles

_Array = npt.NDArray[np.float64]

_SEED = 7
_FITTED, _UNSEEN, _FOLDS = 40, 30, 4


def check_informed(make: Callable[[int], SurrogateModel]) -> None:
    """Check a surrogate model that reads exit profiles.

    The model must predict well, and must read only the profiles of the candidates that `fit` gets. It is
    tried with profiles of all exits, with profiles of each candidate's placed exits, with networks that end
    at exit points, and without profiles. A model without `reads_profiles` passes.

    Args:
        make: A function from a seed to a new model.

    Raises:
        ConformanceError: The surrogate model breaks its contract.
    """
    if not make(_SEED).reads_profiles:
        return
    for cut in (False, True):
        space, genomes = toy_archive(_FITTED + _UNSEEN, cut=cut)
        for own_exits in (False, True):
            insight = toy_insight(space, genomes, own_exits=own_exits)
            _check_held_out(make, insight, genomes)
    space, genomes = toy_archive(_FITTED + _UNSEEN)
    _check_folds(make, toy_insight(space, genomes), genomes[:_FITTED])
    _check_without_profiles(make, ExitInsight(space, {}, toy_insight(space, genomes[:1]).value), genomes)


def _check_held_out(make: Callable[[int], SurrogateModel], insight: ExitInsight, genomes: Genomes) -> None:
    """Check that predictions correlate with values, and do not depend on profiles of unseen candidates."""
    fitted, unseen = genomes[:_FITTED], genomes[_FITTED:]
    values = toy_values(insight, genomes)
    predictions = _predicted(make(_SEED), insight, fitted, values[:_FITTED], unseen)
    again = _predicted(make(_SEED), insight, fitted, values[:_FITTED], unseen)
    scrambled = with_random_profiles(insight, list(unseen))
    without = _predicted(make(_SEED), scrambled, fitted, values[:_FITTED], unseen)
    owner = make(_SEED)
    require(
        owner,
        np.array_equal(predictions, again),
        "with exit profiles, two models of the same seed give different predictions",
    )
    worst = float(np.abs(predictions - without).max())
    require(
        owner,
        worst <= 1e-9 * np.ptp(values),
        f"predictions change by up to {worst:g} with the exit profiles of candidates that are not in `fit`",
    )
    tau = rank_correlation(predictions, values[_FITTED:])
    require(
        owner,
        tau >= 0.2,
        f"with exit profiles, Kendall's tau on unseen candidates is {tau:.2f}; expected 0.2 or more",
    )


def _check_folds(make: Callable[[int], SurrogateModel], insight: ExitInsight, genomes: Genomes) -> None:
    """Check that cross-validation uses neither values nor exit profiles of the fold that it predicts."""
    values = toy_values(insight, genomes)
    folds = [np.arange(start, len(genomes), _FOLDS, dtype=np.int64) for start in range(_FOLDS)]
    changed = values.copy()
    changed[folds[0]] = values[folds[0]][::-1] * 3.0
    predictions = []
    scrambled = with_random_profiles(insight, list(genomes[folds[0]]))
    for source, targets in ((insight, values), (scrambled, changed)):
        model = make(_SEED)
        with reported_call(model, "cross_validate with exit profiles"):
            model.inform(source)
            predictions.append(model.cross_validate(genomes.astype(np.float64), targets, folds)[folds[0]])
    worst = float(np.abs(predictions[0] - predictions[1]).max())
    require(
        make(_SEED),
        worst <= 1e-3 * np.ptp(values),
        f"cross_validate: predictions of a fold change by up to {worst:g} with the fold's own exit profiles",
    )


def _check_without_profiles(
    make: Callable[[int], SurrogateModel], insight: ExitInsight, genomes: Genomes
) -> None:
    """Check that a model without profiles learns from genes and values, or raises an `EdanasError`."""
    values = toy_values(insight, genomes)
    try:
        _predicted(make(_SEED), insight, genomes, values, genomes)
    except ConformanceError as error:
        if not isinstance(error.__cause__, EdanasError):
            raise


def _predicted(
    model: SurrogateModel, insight: ExitInsight, fitted: Genomes, values: _Array, unseen: Genomes
) -> _Array:
    with reported_call(model, "fit and predict with exit profiles"):
        model.inform(insight)
        predictions = model.fit(fitted.astype(np.float64), values).predict(unseen.astype(np.float64))
    require(
        model,
        predictions.shape == (len(unseen),) and np.isfinite(predictions).all(),
        f"with exit profiles, predicts {predictions[:4]} of shape {predictions.shape}; "
        f"expected {len(unseen)} finite numbers",
    )
    return predictions


def rank_correlation(predicted: _Array, actual: _Array) -> float:
    """Return Kendall's tau-a: the share of concordant pairs minus the share of discordant pairs."""
    upper = np.triu_indices(len(actual), k=1)
    signs = [np.sign(np.subtract.outer(each, each))[upper] for each in (predicted, actual)]
    return float((signs[0] * signs[1]).mean())
