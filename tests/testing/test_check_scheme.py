"""The suite finds what is wrong with a training scheme."""

from itertools import count
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.testing import ConformanceError, check_scheme
from edanas.testing.toy_networks import ToyScheme


def scheme(loss: Any = None, **methods: Any) -> TrainingScheme:
    """A scheme of functions, by default with a sound loss."""
    functions = {"loss": loss or sound, **methods}
    instance: TrainingScheme = type(
        "Mine", (TrainingScheme,), {name: _method(function) for name, function in functions.items()}
    )()
    return instance


def _method(function: Any) -> Any:
    return lambda self, argument: function(argument)


def sound(batch: ExitBatch) -> torch.Tensor:
    return batch.cross_entropies().sum()


def hard(batch: ExitBatch) -> torch.Tensor:
    return torch.stack([F.nll_loss(each.log_softmax(1), batch.targets) for each in batch.logits]).sum()


def naive(batch: ExitBatch) -> torch.Tensor:
    soft = batch.targets if batch.targets.is_floating_point() else F.one_hot(batch.targets, 4).float()
    soft = (1 - batch.label_smoothing) * soft + batch.label_smoothing / 4
    return sum(
        -(soft * (each.exp() / each.exp().sum(1, keepdim=True)).log()).sum(1).mean() for each in batch.logits
    )  # type: ignore[return-value]


def in_place(batch: ExitBatch) -> torch.Tensor:
    for each in batch.logits:
        each.data.clamp_(-1, 1)
    return sound(batch)


def unsmoothed(batch: ExitBatch) -> torch.Tensor:
    return torch.stack([F.cross_entropy(each, batch.targets) for each in batch.logits]).sum()


def first_alone(batch: ExitBatch) -> torch.Tensor:
    return F.cross_entropy(batch.logits[0], batch.targets, label_smoothing=batch.label_smoothing)


def elsewhere(batch: ExitBatch) -> torch.Tensor:
    return (batch.cross_entropies() * torch.ones(len(batch.logits), 1)[:, 0]).sum()


ticks = count()


def test_a_sound_scheme_passes() -> None:
    check_scheme(ToyScheme())
    check_scheme(scheme(lambda batch: batch.cross_entropies()[0]), exits=(1,))


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (
            lambda batch: batch.cross_entropies()[:1],
            r"the loss is \[.*\], torch.float32 of shape \(1,\); expected one finite number",
        ),
        (lambda batch: float(sound(batch).detach()), "a float, not a tensor"),
        (lambda batch: batch.cross_entropies()[-1], r"\(0, 1\).* the gradient of exit 1 is zero"),
        (first_alone, "the gradient of exit 2 is missing"),
        (hard, "a teacher's probabilities: the loss raises"),
        (
            unsmoothed,
            "the loss is .* with label smoothing 0.2 and .* without; expected more with label smoothing",
        ),
        (
            lambda batch: -sound(batch),
            "the loss is .* for right predictions and .* for wrong predictions; expected a lower loss",
        ),
        (lambda batch: sound(batch).detach(), "the gradient raises RuntimeError"),
        (naive, "logits around 1e4: .*nan"),
        (in_place, "changes the logits"),
        (lambda batch: sound(batch) + next(ticks), "on labels: .*, then .* for the same logits"),
        (elsewhere, "on device .*: the loss raises"),
    ],
)
def test_a_fault_of_the_loss_is_found(loss: Any, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_scheme(scheme(loss))


def first(points: tuple[int, ...]) -> Phase:
    return Phase("first", (0,), (0,), (0,))


@pytest.mark.parametrize(
    ("phases", "text"),
    [
        (lambda points: (), "no phase"),
        (lambda points: (first(points),), r"exits at \(0, 1\): no phase trains segments \[1\]"),
        (
            lambda points: (Phase("heads", (0,), (), (0,)),),
            r"exits at \(0,\): no phase trains segments \[0\]",
        ),
        (lambda points: (Phase.whole(len(points), 0.0),), "a share of 0"),
        (lambda points: (Phase.whole(len(points), float("inf")),), "a share of inf"),
        (lambda points: (Phase.whole(len(points) + 1),), r"exits \(0, 1\); allowed: some of 0 to 0"),
        (lambda points: (Phase("", (), (0,), (0,)),), r"exits \(\); allowed"),
        (lambda points: (Phase("", (0,), (), ()),), "trains no segment and no head"),
        (lambda points: (Phase("", (0,), (0, 1), (0,)),), r"trains parts \[1\], which do not run"),
        (
            lambda points: (Phase.whole(len(points), 1.0 + next(ticks)),),
            "`phases` gives two plans at two calls",
        ),
        (lambda points: [3], "3 is not a Phase"),
    ],
)
def test_a_fault_of_the_plan_is_found(phases: Any, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_scheme(scheme(phases=phases))


ALWAYS = nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("learned", "text"),
    [
        (lambda points: ALWAYS, "two trainings share weights of `learned`"),
        (lambda points: nn.Linear(1, 1, bias=False), "no phase trains weight of `learned`"),
        (lambda points: [], "`learned` gives a list"),
    ],
)
def test_a_fault_of_what_is_learned_besides_is_found(learned: Any, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_scheme(scheme(learned=learned))
