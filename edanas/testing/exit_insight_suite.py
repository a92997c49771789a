"""The part of the surrogate models' suite that is about exit profiles."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.errors import EdanasError
from edanas.core.space import Genomes
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.toy_exit_insight import scrambled, toy_archive, toy_insight, toy_values

_Array = npt.NDArray[np.float64]

_SEED = 7
_GIVEN, _ASKED, _FOLDS = 40, 30, 4


def check_informed(make: Callable[[int], SurrogateModel]) -> None:
    """A model that is told of exit profiles still works, and looks at none that it was not given.

    Where candidates were trained with all exits, with their own ones only, and where nobody kept a profile.

    A model that does not listen is not asked.

    Raises:
        ConformanceError: Something does not hold.
    """
    if not make(_SEED).reads_profiles:
        return
    space, genomes = toy_archive(_GIVEN + _ASKED)
    for own_exits in (False, True):
        insight = toy_insight(space, genomes, own_exits=own_exits)
        _check_held_out(make, insight, genomes)
    _check_folds(make, toy_insight(space, genomes), genomes[:_GIVEN])
    _check_without_profiles(make, ExitInsight(space, {}, toy_insight(space, genomes[:1]).value), genomes)


def _check_held_out(make: Callable[[int], SurrogateModel], insight: ExitInsight, genomes: Genomes) -> None:
    """Profiles of candidates that are asked for do not count; and informed predictions are good ones."""
    given, unseen = genomes[:_GIVEN], genomes[_GIVEN:]
    values = toy_values(insight, genomes)
    found = _predicted(make(_SEED), insight, given, values[:_GIVEN], unseen)
    again = _predicted(make(_SEED), insight, given, values[:_GIVEN], unseen)
    blind = _predicted(make(_SEED), scrambled(insight, list(unseen)), given, values[:_GIVEN], unseen)
    owner = make(_SEED)
    require(owner, np.array_equal(found, again), "told of exit profiles, two models of one seed differ")
    worst = float(np.abs(found - blind).max())
    require(
        owner,
        worst <= 1e-9 * np.ptp(values),
        f"predictions change by up to {worst:g} with exit profiles of candidates that `fit` was not given",
    )
    tau = _rank_correlation(found, values[_GIVEN:])
    require(
        owner,
        tau >= 0.2,
        f"told of exit profiles, Kendall's tau on unseen candidates is {tau:.2f}; expected 0.2",
    )


def _check_folds(make: Callable[[int], SurrogateModel], insight: ExitInsight, genomes: Genomes) -> None:
    """Cross-validation uses neither the values nor the exit profiles of what it predicts."""
    values = toy_values(insight, genomes)
    folds = [np.arange(start, len(genomes), _FOLDS, dtype=np.int64) for start in range(_FOLDS)]
    changed = values.copy()
    changed[folds[0]] = values[folds[0]][::-1] * 3.0
    answers = []
    for told, known in ((insight, values), (scrambled(insight, list(genomes[folds[0]])), changed)):
        model = make(_SEED)
        with reported_call(model, "cross_validate, told of exit profiles,"):
            model.inform(told)
            answers.append(model.cross_validate(genomes.astype(np.float64), known, folds)[folds[0]])
    worst = float(np.abs(answers[0] - answers[1]).max())
    require(
        make(_SEED),
        worst <= 1e-3 * np.ptp(values),
        f"cross_validate: predictions of a fold change by up to {worst:g} with the fold's own exit profiles",
    )


def _check_without_profiles(
    make: Callable[[int], SurrogateModel], insight: ExitInsight, genomes: Genomes
) -> None:
    """With no profile at all, a model learns from genes and values, or says clearly that it cannot."""
    values = toy_values(insight, genomes)
    try:
        _predicted(make(_SEED), insight, genomes, values, genomes)
    except ConformanceError as error:
        if not isinstance(error.__cause__, EdanasError):
            raise


def _predicted(
    model: SurrogateModel, insight: ExitInsight, given: Genomes, values: _Array, unseen: Genomes
) -> _Array:
    with reported_call(model, "fit and predict, told of exit profiles,"):
        model.inform(insight)
        found = model.fit(given.astype(np.float64), values).predict(unseen.astype(np.float64))
    require(
        model,
        found.shape == (len(unseen),) and np.isfinite(found).all(),
        f"told of exit profiles, predicts {found[:4]} of shape {found.shape}; "
        f"expected {len(unseen)} finite numbers",
    )
    return found


def _rank_correlation(predicted: _Array, actual: _Array) -> float:
    upper = np.triu_indices(len(actual), k=1)
    signs = [np.sign(np.subtract.outer(each, each))[upper] for each in (predicted, actual)]
    return float((signs[0] * signs[1]).mean())
