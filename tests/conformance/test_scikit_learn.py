"""The checks of scikit-learn for estimators, on `EarlyExitClassifier` with real but very short searches."""

import functools

import pytest
from estimators import classifier
from sklearn.utils.estimator_checks import check_classifiers_train, parametrize_with_checks

from edanas.report import writing

EXCEPTIONS = {
    check_classifiers_train: (
        "demands 83% accuracy, for which one epoch is too short; the next test makes it with more epochs. "
        "Its variants with read-only memory and float32 are covered by checks of inputs."
    ),
}
"""Checks that the shortest search cannot pass, with the reason."""


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Plots and pages take half of the time of such a search, and no check reads them."""
    monkeypatch.setattr(writing, "write_views", lambda result: None)
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path))


@parametrize_with_checks([classifier()])
def test_a_check_of_scikit_learn_passes(estimator, check):
    function = check
    while isinstance(function, functools.partial):
        function = function.func
    if function in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[function])
    check(estimator)


def test_the_check_of_training_passes_with_more_epochs():
    bundles_own = {"strategy": "nested", "thresholds": "continuous"}
    check_classifiers_train("EarlyExitClassifier", classifier(epochs=20, settings=bundles_own))
