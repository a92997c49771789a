from dataclasses import replace

import pytest
import torch
from small_runs import CPU, PLAIN
from torch.nn import functional as F

from edanas.core.contracts import ExitBatch, Phase
from edanas.core.types import ImageSet
from edanas.exits.criteria import ScoreMargin
from edanas.training.class_weights import class_weights
from edanas.training.schemes import Joint, JointCombined

LABELS = torch.tensor([0, 0, 0, 0, 0, 1, 3, 3])
TRAIN = ImageSet(torch.zeros(8, 1, 2, 2, dtype=torch.uint8), LABELS, ("a", "b", "c", "d"))
BALANCED = replace(PLAIN, class_weights="balanced")


def test_every_class_has_the_same_total_weight():
    weights = class_weights(TRAIN, BALANCED, CPU)
    totals = weights * LABELS.bincount(minlength=4)
    assert totals.tolist() == pytest.approx([8 / 3, 8 / 3, 0, 8 / 3])
    assert class_weights(TRAIN, PLAIN, CPU) is None


@pytest.mark.parametrize("scheme", [Joint(), JointCombined()])
@pytest.mark.parametrize("targets", [LABELS, F.one_hot(LABELS, 4).float()])
def test_the_loss_weighs_samples_by_their_class(scheme, targets):
    logits = [torch.randn(8, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]

    def loss(weights):
        phase, points = Phase.whole(2), (0, 1)
        batch = ExitBatch(logits, targets, phase, points, ScoreMargin(), class_weights=weights)
        return float(scheme.loss(batch))

    weights = class_weights(TRAIN, BALANCED, CPU)
    assert loss(weights) != pytest.approx(loss(None))
    assert loss(torch.ones(4)) == pytest.approx(loss(None))
    only_rare = loss(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    assert only_rare > 0
