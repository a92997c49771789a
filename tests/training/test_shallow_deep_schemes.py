"""The trainings of Shallow-Deep networks: weights against the source's schedule, phases, head and rule."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edanas.core.contracts import Answers, ExitBatch, Phase
from edanas.core.types import ExitPoint
from edanas.evaluation.disagreement import disagreement_scores, summarise
from edanas.exits.criteria import MaxProbability
from edanas.exits.inference import MostConfident
from edanas.exits.mixed_pooling import MixedPool
from edanas.training.shallow_deep import InternalClassifiers, ShallowDeepTraining


@pytest.mark.parametrize("epoch", [0, 1, 50, 99])
def test_the_weights_rise_as_in_the_source(epoch):
    """The source: weights of 0.01 + epoch (c / epochs), at most c, with c = 0.15, 0.3, ..., 0.9."""
    torch.manual_seed(0)
    logits, labels = [torch.randn(8, 5) for _ in range(7)], torch.arange(8) % 5
    shares = [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]
    losses = [F.cross_entropy(each, labels) for each in logits]
    weights = [min(share, 0.01 + epoch * share / 100) for share in shares]
    expected = sum(w * loss for w, loss in zip(weights, losses, strict=False)) + losses[-1]
    batch = ExitBatch(logits, labels, Phase.whole(7), tuple(range(7)), MaxProbability(), progress=epoch / 100)
    assert torch.allclose(ShallowDeepTraining().loss(batch), expected)


def test_internal_classifiers_are_trained_on_a_frozen_network():
    backbone, exits = InternalClassifiers().phases((0, 1, 2))
    assert (backbone.exits, backbone.heads, backbone.segments) == ((2,), (2,), (0, 1, 2))
    assert (exits.exits, exits.heads, exits.segments) == ((0, 1), (0, 1), ())
    assert backbone.share / exits.share == pytest.approx(100 / 25)


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_the_head_pools_as_in_the_source(side):
    """The source pools with windows of a quarter of the side, and mixes both poolings by a learned share."""
    torch.manual_seed(side)
    head = MixedPool().build(ExitPoint(0, 3, side, side), 5)
    features = torch.randn(2, 3, side, side)
    window = side // 4
    mixed = head.share * F.max_pool2d(features, window) + (1 - head.share) * F.avg_pool2d(features, window)
    assert torch.allclose(head(features), F.linear(mixed.flatten(1), head.linear.weight, head.linear.bias))


def test_the_most_confident_exit_answers_if_no_early_exit_fires():
    rule = MostConfident().build(classes=3, exit_points=2)
    torch.manual_seed(1)
    logits = [3 * torch.randn(20, 3) for _ in range(3)]
    answer = rule(logits, (0, 1, 2))
    for sample in range(20):
        rows = [each[sample] for each in logits]
        best = max(rows, key=lambda row: float(row.softmax(0).max()))
        assert torch.equal(answer[sample], best)
    assert rule(logits[:2], (0, 1)) is logits[1]


def test_disagreement_is_the_sum_of_the_distances_to_the_last_exit():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(10, 3, 4)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    for sample, score in enumerate(disagreement_scores(logits)):
        *early, last = probabilities[sample]
        assert score == pytest.approx(sum(np.abs(each - last).sum() for each in early), rel=1e-5)


def test_overthinking_is_the_share_that_an_early_exit_gets_right_and_the_last_exit_wrong():
    one, two = [9.0, 0.0], [0.0, 9.0]
    logits = np.array([[one, one], [one, two], [two, two], [two, one]], dtype=np.float32)
    figures = summarise(Answers(logits, np.zeros(4, np.int64)), mean=1.0, deviation=0.5)
    assert figures["overthinking"] == 0.25
    assert figures["correct"] == pytest.approx((0 + 2 - 2) / 2 / 0.5, abs=0.01)
    assert figures["wrong"] == pytest.approx((2 + 0 - 2) / 2 / 0.5, abs=0.01)
