"""`EarlyExitClassifier` with labels of several kinds, series and images, pipelines and cross-validation."""

import pickle
import re
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import classifier, waves
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tiny_runs import SETTINGS

import edanas
from edanas.core.errors import EdanasError
from edanas.model.probabilities import exit_probabilities

LABELS = ("9", "10", "2")
"""NumPy sorts these texts otherwise than edanas, which compares digits as numbers."""


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDANAS_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def fitted():
    return classifier(epochs=25, settings={"finetune.epochs": 10}).fit(*waves(LABELS))


def test_predictions_are_labels_of_the_data(fitted):
    X, y = waves(LABELS)
    assert fitted.classes_.tolist() == ["10", "2", "9"]
    assert fitted.network_.labels == ("2", "9", "10")
    assert fitted.predict(X).dtype == y.dtype
    assert fitted.score(X, y) > 0.9
    assert fitted.predict(X).tolist() == fitted.network_.predict(X).classes.tolist()


def test_probabilities_are_those_of_the_exit_where_a_sample_exits(fitted):
    X, _ = waves(LABELS)
    labels, exits = fitted.predict(X, return_exits=True)
    probabilities = fitted.predict_proba(X)
    assert labels.tolist() == fitted.classes_[probabilities.argmax(1)].tolist()
    assert np.allclose(probabilities.sum(1), 1.0)
    assert (exits - 1).tolist() == fitted.network_.predict(X).exit.tolist()
    network = fitted.network_
    answers, _ = network.decide(network.answering_logits(X.astype(np.float32)))
    points = [*network.answering, network.exit_points]
    order = [network.labels.index(label) for label in fitted.classes_]
    expected = [
        answers[points.index(exit_ - 1)][row].double().softmax(0)[order].tolist()
        for row, exit_ in enumerate(exits)
    ]
    assert np.allclose(probabilities, expected, atol=1e-5)


def test_a_pickled_estimator_has_the_same_probabilities(fitted):
    X, _ = waves(LABELS)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.result_.best() == fitted.result_.best()


def test_a_clone_has_the_parameters_and_no_network(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "network_")


def test_a_pipeline_is_cross_validated():
    X, y = waves((True, False), count=30)
    scores = cross_val_score(make_pipeline(StandardScaler(), classifier(epochs=20)), X, y, cv=2)
    assert len(scores) == 2
    assert min(scores) > 0.8


@pytest.mark.parametrize("labels", [(-3, 20), (1.0, 2.0), (True, False)])
def test_labels_have_the_type_of_the_data(labels):
    X, y = waves(labels, count=20)
    estimator = classifier().fit(X, y)
    assert estimator.classes_.tolist() == sorted(labels)
    assert estimator.predict(X).dtype == y.dtype
    assert set(estimator.predict(X)) <= set(labels)


def test_series_of_unequal_length_and_several_channels():
    X, y = waves(("a", "b"), count=20)
    series = [np.stack([row, -row])[:, : 12 + number % 12] for number, row in enumerate(X)]
    estimator = classifier().fit(series, y)
    assert not hasattr(estimator, "n_features_in_")
    assert estimator.predict_proba(series).shape == (40, 2)
    assert estimator.predict(series).tolist() == estimator.network_.predict(series).classes.tolist()
    table = pd.DataFrame({channel: [pd.Series(each[channel]) for each in series] for channel in (0, 1)})
    assert np.array_equal(estimator.predict_proba(table), estimator.predict_proba(series))


def test_images_have_the_default_bundle(tmp_path):
    random = np.random.default_rng(0)
    y = np.repeat(["dark", "light"], 30)
    X = random.integers(0, 120, (60, 8, 8)).astype(np.uint8) + np.uint8(120) * (y == "light")[:, None, None]
    settings = {**tomllib.loads(SETTINGS), "baseline": {"epochs": 0}}
    estimator = edanas.EarlyExitClassifier(settings=settings, max_macs="100M", out=tmp_path / "run")
    assert estimator.fit(X, y).score(X, y) > 0.8
    assert (tmp_path / "run" / "report.html").exists()
    assert estimator.predict(torch.from_numpy(X)).tolist() == estimator.predict(X).tolist()
    with pytest.raises(ValueError, match=r"allowed: \(N, H, W\)"):
        estimator.predict(X[:, None])


def test_pixels_have_the_range_of_the_fit():
    """Images of 0 to 16, as in the digits of scikit-learn; one image alone would not show its range."""
    random = np.random.default_rng(0)
    y = np.repeat([0, 1], 30)
    X = (random.integers(0, 8, (60, 8, 8)) + 8 * y[:, None, None]).astype(float)
    options = {"data.range": [0, 16], "data.layout": "NHW"}
    settings = {**tomllib.loads(SETTINGS), "baseline": {"epochs": 0}, **options}
    estimator = edanas.EarlyExitClassifier(settings=settings).fit(X, y)
    whole = estimator.predict_proba(X)
    assert np.allclose(estimator.predict_proba(X[:1]), whole[:1], atol=1e-5)
    assert np.array_equal(whole, estimator.predict_proba(np.float32(X)))
    with pytest.raises(ValueError, match="pixels are from 9 to 17"):
        estimator.predict(np.full((1, 8, 8), 9.0) + 8 * np.eye(8))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((8, 6)), ["a"] * 8, "found 1 class"),
        (np.ones((8, 6)), ["a", "b"] * 3, "inconsistent numbers of samples"),
        (np.ones((8, 6)), ["a", "b"] * 4, "channel 0 (from 0) is 1 everywhere"),
        (np.ones((8, 6, 2, 2, 2)), ["a", "b"] * 4, "dim 5"),
        (np.ones((8, 1)), ["a", "b"] * 4, "1 feature"),
    ],
)
def test_wrong_data_is_a_value_error(X, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        classifier().fit(X, y)


def test_a_wrong_bound_is_an_error_before_the_search():
    with pytest.raises(ValueError, match="Did you mean '1M'"):
        classifier(max_macs="1m").fit(*waves(("a", "b"), count=10))


def test_a_bundle_for_images_refuses_a_table_by_its_shape():
    X, y = waves(("a", "b"), count=10)
    with pytest.raises(ValueError, match=r"the data has series \(N, L\)") as caught:
        edanas.EarlyExitClassifier("mbv3-sm", preset="quick").fit(X, y)
    with pytest.raises(ValueError, match=r"the data has series \(N, L\)"):
        edanas.EarlyExitClassifier("mbv3-sm", preset="auto").fit(X, y)
    assert isinstance(caught.value, EdanasError)
    assert "images (N, C, H, W)" in str(caught.value)


def test_probabilities_of_no_samples(fitted):
    assert exit_probabilities(fitted.network_, []).shape == (0, 3)
