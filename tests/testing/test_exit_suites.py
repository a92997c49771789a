"""The shipped suites must refuse what breaks the contract, and say where."""

import pytest
import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, ExitClassifier, InferenceRule
from edanas.testing import ConformanceError, check_classifier, check_criterion, check_inference


def softmax(logits: torch.Tensor) -> torch.Tensor:
    return torch.nan_to_num(logits).softmax(dim=1)


def criterion(function, name="Mine") -> ConfidenceCriterion:
    return type(name, (ConfidenceCriterion,), {"__call__": lambda self, logits: function(logits)})()


def largest(logits: torch.Tensor) -> torch.Tensor:
    return softmax(logits).amax(dim=1)


def at_home(values: torch.Tensor) -> torch.Tensor:
    """The same on the CPU, whatever device they are on."""
    return torch.zeros(values.shape) if values.is_meta else values.cpu()


def test_a_sound_criterion_passes():
    check_criterion(criterion(largest))
    check_criterion(criterion(lambda logits: largest(logits).square()))


def _second_needed(logits):
    best = softmax(logits).topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def _in_place(logits):
    logits.nan_to_num_()
    return largest(logits)


def _normalised_over_the_batch(logits):
    values = largest(logits)
    return values / values.max() if len(values) > 1 else values


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_second_needed, r"raises RuntimeError on .*shape \(64, 1\)"),
        (lambda logits: softmax(logits), r"returns shape \(64, 1\) for logits \(64, 1\)"),
        (lambda logits: softmax(logits).argmax(dim=1), r"returns torch\.int64; expected floats"),
        (lambda logits: largest(logits).tolist(), "returns a list"),
        (lambda logits: logits.amax(dim=1), r"leaves \[0, 1\] on normal logits"),
        (lambda logits: logits.softmax(dim=1).amax(dim=1), r"leaves \[0, 1\] on .*inf.*found \[nan\]"),
        (lambda logits: 1 - 0.5 * largest(logits), "does not rise with the margin of class 0 of 2"),
        (lambda logits: torch.full((len(logits),), 0.5), "is as high for 2 equal logits"),
        (_normalised_over_the_batch, "another confidence for a sample alone than in a batch"),
        (lambda logits: largest(logits) * torch.rand(len(logits)), "two confidences for the same logits"),
        (lambda logits: softmax(logits)[:, 0], "does not rise with the margin of class 1 of 2"),
        (_in_place, "changes its input"),
        (lambda logits: largest(at_home(logits)), "for predictions on device .*, confidences are on cpu"),
        (
            lambda logits: largest(logits.view(-1, logits.shape[1])[0:]) if len(logits) else 1 / 0,
            "empty batch",
        ),
    ],
)
def test_a_criterion_that_breaks_its_contract_is_refused_by_name(function, message):
    with pytest.raises(ConformanceError, match="Mine: .*" + message):
        check_criterion(criterion(function))


class AtHome(InferenceRule):
    def __call__(self, logits, points):
        return at_home(logits[-1])


def test_a_rule_that_leaves_the_device_is_refused():
    with pytest.raises(ConformanceError, match=r"AtHome: for logits on device .*, the prediction is on cpu"):
        check_inference(AtHome())


class Head(nn.Module):
    """Pools and classifies; subclasses break one thing."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(features.mean(dim=(2, 3)))
        return out


class Mine(ExitClassifier):
    def __init__(self, make=Head) -> None:
        self.make = make

    def build(self, point, num_classes):
        return self.make(point.channels, num_classes)


class Flat(Head):
    def __init__(self, channels, classes):
        super().__init__(channels * 64, classes)

    def forward(self, features):
        return self.linear(features.flatten(1))


class Detached(Head):
    def forward(self, features):
        return super().forward(features.detach() + 0 * features)


class Cut(Head):
    def forward(self, features):
        return super().forward(features.detach())


class Unused(Head):
    def __init__(self, channels, classes):
        super().__init__(channels, classes)
        self.spare = nn.Parameter(torch.ones(3))


class Noisy(Head):
    def forward(self, features):
        return super().forward(features + torch.randn_like(features))


class Batchwise(Head):
    def forward(self, features):
        return super().forward(features - features.mean(dim=0))


class InPlace(Head):
    def forward(self, features):
        return super().forward(features.data.mul_(2.0) + 0 * features)


class Squeezed(Head):
    def forward(self, features):
        return super().forward(features).squeeze()


class Unstable(Head):
    def forward(self, features):
        return super().forward(features) + (features - features).abs().sqrt().sum(dim=(1, 2, 3))[:, None]


class AtHomeHead(Head):
    def forward(self, features):
        return at_home(super().forward(features))


class Strided(Head):
    def forward(self, features):
        flat = features.as_strided(features.shape, torch.empty(features.shape).stride())
        return super().forward(torch.roll(flat, 1, dims=1))


class Sharing(Head):
    shared: dict = {}  # noqa: RUF012

    def __init__(self, channels, classes):
        super().__init__(channels, classes)
        self.linear = self.shared.setdefault((channels, classes), self.linear)


def test_a_sound_classifier_passes_and_the_random_state_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check_classifier(Mine())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Flat, r"raises RuntimeError on features \(1, 3, 1, 1\)"),
        (Squeezed, r"into \(2,\); allowed: \(1, 2\)"),
        (lambda channels, classes: Head(channels, classes + 1), r"into \(1, 3\); allowed: \(1, 2\)"),
        (lambda channels, classes: Head(channels, classes).forward, "builds a method, not an nn.Module"),
        (Noisy, "two results for the same features"),
        (Batchwise, "other logits for a sample alone than in a batch"),
        (InPlace, "changes its input"),
        (Strided, "channels-last"),
        (AtHomeHead, r"the head on device \w+ gives logits on cpu"),
        (Cut, "no gradient reaches the features"),
        (Detached, "the gradient of the features is zero"),
        (Unused, "no gradient reaches parameter 'spare'"),
        (Unstable, "gradient of the features is not finite"),
        (Sharing, "two heads share parameters"),
    ],
)
def test_a_classifier_that_breaks_its_contract_is_refused_by_name(make, message):
    with pytest.raises(ConformanceError, match="Mine: .*" + message):
        check_classifier(Mine(make))
