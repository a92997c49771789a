"""Accuracies of finished networks count series as `predict` does, though windows of them are evaluated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from series_networks import LENGTH, series_network, series_parts, series_set

from edanas.core.types import ImageSet
from edanas.data.load_samples import Reading, load_samples
from edanas.data.long_series import cut_long
from edanas.data.sample_set import SampleSet, UnequalSamples
from edanas.evaluation.judging import judge
from edanas.model.anatomy import Anatomy
from edanas.training.augmented_parts import with_copies


def long_series() -> list[np.ndarray]:
    waves = series_set(30, 5).images[:, :, 0].numpy()
    return [np.concatenate([waves[row], *waves[row + 1 : row + 1 + row % 3]], axis=1) for row in range(24)]


@pytest.mark.parametrize("smallest", [False, True])
def test_a_judged_accuracy_is_that_of_predict(tmp_path: Path, smallest: bool) -> None:
    network, series = series_network(tmp_path, smallest=smallest), long_series()
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, len(series))
    short = cut_long(SampleSet.of(UnequalSamples.of(series), labels), longest=LENGTH)
    samples = load_samples(short, 8, Reading()).samples
    # Parts are in another order than the series.
    samples = samples.subset(rng.permutation(len(samples)))
    judged = judge(network, samples, Anatomy.of(network, 3))
    answers = network.predict([torch.from_numpy(each) for each in series])
    assert judged.predictions.tolist() == answers.label.tolist()
    assert judged.labels.tolist() == labels.tolist()
    assert judged.metrics.accuracy == pytest.approx((answers.label.numpy() == labels).mean())
    assert len(judged.profile) == len(samples) > samples.wholes == len(series)


def test_copies_of_windows_are_series_of_their_own(tmp_path: Path) -> None:
    whole = series_set(6, 0)
    windows = replace(whole, window_of=np.array([0, 0, 1, 2, 2, 2]))
    parts = with_copies(replace(series_parts(), validation=windows), 2, ("jitter",), 0)
    assert parts.validation.wholes == 9
    assert isinstance(parts.validation, ImageSet)
