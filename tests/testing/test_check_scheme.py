"""The suite finds what is wrong with a training scheme."""

from itertools import count
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from edanas.core.contracts import TrainingScheme
from edanas.testing import ConformanceError, check_scheme
from edanas.testing.toynets import ToyScheme


def scheme(loss: Any) -> TrainingScheme:
    made: TrainingScheme = type("Mine", (TrainingScheme,), {"loss": lambda self, *args: loss(*args)})()
    return made


def losses(logits: Any, targets: Any, smoothing: float) -> torch.Tensor:
    return torch.stack([F.cross_entropy(each, targets, label_smoothing=smoothing) for each in logits])


def hard(logits: Any, targets: Any, smoothing: float) -> torch.Tensor:
    return torch.stack([F.nll_loss(each.log_softmax(1), targets) for each in logits]).sum()


def naive(logits: Any, targets: Any, smoothing: float) -> torch.Tensor:
    soft = targets if targets.is_floating_point() else F.one_hot(targets, 4).float()
    soft = (1 - smoothing) * soft + smoothing / 4
    return sum(
        -(soft * (each.exp() / each.exp().sum(1, keepdim=True)).log()).sum(1).mean() for each in logits
    )  # type: ignore[return-value]


def in_place(logits: Any, targets: Any, smoothing: float) -> torch.Tensor:
    for each in logits:
        each.data.clamp_(-1, 1)
    return losses(logits, targets, smoothing).sum()


ticks = count()


def test_a_sound_scheme_passes() -> None:
    check_scheme(ToyScheme())
    check_scheme(scheme(lambda *args: losses(*args)[0]), exits=(1,))


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (lambda *args: losses(*args), r"torch.float32 of shape \(1,\), .*; expected one finite number"),
        (lambda *args: float(losses(*args).sum().detach()), "a float, not a tensor"),
        (
            lambda logits, *rest: losses(logits[-1:], *rest).sum(),
            "2 exits .*the gradient of exit 1 is missing",
        ),
        (
            lambda *args: losses(*args)[0] + 0 * losses(*args).sum(),
            "2 exits .*the gradient of exit 2 is zero",
        ),
        (hard, "a teacher's probabilities: the loss raises"),
        (
            lambda logits, targets, _: losses(logits, targets, 0.0).sum(),
            "with label smoothing 0.2, .*expected more",
        ),
        (lambda *args: -losses(*args).sum(), "before a step against the gradient|where every exit says"),
        (lambda *args: losses(*args).sum().detach(), "the gradient raises RuntimeError"),
        (naive, "logits around 1e4: .*nan"),
        (in_place, "changes the logits"),
        (lambda *args: losses(*args).sum() + next(ticks), "on labels: .*, then .* for the same logits"),
    ],
)
def test_a_fault_is_found(loss: Any, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_scheme(scheme(loss))
