"""A network predicts in the labels that the data had, and other commands take its data in any form."""

import numpy as np
import pytest
import torch

import edanas
from edanas.core.types import LABELS
from edanas.testing.evaluations import toy_network


@pytest.mark.parametrize("labels", [[-3, 20, 21, 99], ["a", "b", "c", "d"], [False, True, 2, 3]])
def test_predictions_speak_in_the_labels_of_the_data(labels):
    network = toy_network()
    network.description[LABELS] = labels
    images = torch.rand(12, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    prediction = network.predict(images)
    label, _, _ = prediction
    assert [labels[each] for each in label.tolist()] == list(prediction.classes)
    assert torch.equal(network(images).label, label)
    assert list(network(images).classes) == list(prediction.classes)


def test_names_are_labels_where_the_data_has_no_others():
    network = toy_network()
    prediction = network.predict(torch.zeros(2, 1, 12, 12))
    assert list(prediction.classes) == [network.classes[each] for each in prediction.label]
    assert network.predict([]).classes.shape == (0,)


def test_tune_takes_arrays_with_the_labels_of_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path))
    network = toy_network()
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (80, 12, 12), dtype=np.uint8)
    y = np.array(network.classes)[rng.integers(0, 4, 80)]
    assert edanas.tune(network, data=(X, y), max_macs="30k").network.classes == network.classes
