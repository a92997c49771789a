"""The conformance suite of confidence criteria."""

from collections.abc import Sequence

import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion
from edanas.exits.inference import EarlyStop
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.devices import moved, other_device
from edanas.testing.exit_decisions import EXIT_POINTS, built, check_costs, check_network

_TOLERANCE = 1e-6


def check_criterion(criterion: ConfidenceCriterion) -> None:
    """Hold `criterion` against its contract, at every exit, after others and alone.

    Shapes, range, device, independence of the batch, hard inputs, what it costs, and that a network that
    stops by it says what a plain pass through all exits says. One that learns nothing also keeps an order:
    the further a class is ahead, the surer.

    Raises:
        ConformanceError: Something does not hold.
    """
    for classes in (1, 2, 10):
        _check_shape_and_range(built(criterion, classes), classes)
    if not isinstance(criterion, nn.Module):
        for classes in (2, 10):
            _check_order(built(criterion, classes), classes)
    _check_batch(built(criterion, 5))
    _check_device(built(criterion, 5))
    _check_hard_inputs(built(criterion, 3), built(criterion, 1))
    check_network(criterion, EarlyStop(), criterion)
    check_costs(criterion, EarlyStop(), criterion)


def _confidence(
    criterion: ConfidenceCriterion, answers: torch.Tensor | Sequence[torch.Tensor], what: str, point: int = 0
) -> torch.Tensor:
    """Asked as a network asks: (B,) numbers in [0, 1], and the answers unchanged.

    Args:
        criterion: Built.
        answers: Of one exit, at `point`, or of exits 0 up to the one that is asked.
        what: Of them, for errors.
        point: Of a single answer.
    """
    several = [answers] if isinstance(answers, torch.Tensor) else list(answers)
    points = (point,) if len(several) == 1 else tuple(range(len(several)))
    kept = len(several) if criterion.memory else 1
    before = [each.clone() for each in several]
    shape = tuple(several[-1].shape)
    try:
        with torch.no_grad():
            found = criterion.after(several[-kept:], points[-kept:])
    except Exception as error:
        raise ConformanceError(
            f"{type(criterion).__name__}: raises {type(error).__name__} on {what}, shape {shape}: {error}"
        ) from error
    require(criterion, isinstance(found, torch.Tensor), f"returns a {type(found).__name__}, not a tensor")
    require(
        criterion,
        found.shape == shape[:1],
        f"returns shape {tuple(found.shape)} for logits {shape}; allowed: {shape[:1]}",
    )
    require(criterion, found.is_floating_point(), f"returns {found.dtype}; allowed: floats")
    inside = (found >= 0.0) & (found <= 1.0)
    require(
        criterion,
        inside.all(),
        f"leaves [0, 1] on {what}, shape {shape}: found {found[~inside].flatten()[:3].tolist()}",
    )
    require(criterion, all(map(torch.equal, before, several)), f"changes its input, {what}")
    return found


def _check_shape_and_range(criterion: ConfidenceCriterion, classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    for scale in (0.1, 1.0, 10.0, 1000.0):
        what = f"normal logits times {scale:g}"
        answers = [scale * torch.randn(64, classes, generator=generator) for _ in range(EXIT_POINTS + 1)]
        for point, answer in enumerate(answers):
            found = _confidence(criterion, answer, what, point)
            again = _confidence(criterion, answer, what, point)
            require(criterion, torch.equal(found, again), "gives two answers for the same logits")
            _confidence(criterion, answers[: point + 1], f"{what}, at exit {point + 1}")


def _check_order(criterion: ConfidenceCriterion, classes: int) -> None:
    """The further one class is ahead, the surer; and clearly surer than if none is.

    With a memory: who says what all exits said before is surer than who says it against them.
    """
    heights = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
    for winner in (0, classes - 1):
        logits = torch.zeros(len(heights), classes)
        logits[:, winner] = heights
        found = _confidence(criterion, logits, "one class ever further ahead of the others")
        require(
            criterion,
            (found.diff() >= -_TOLERANCE).all(),
            f"is not surer the further class {winner} of {classes} is ahead by {heights.tolist()}: "
            f"{found.tolist()}",
        )
        last = logits[-1:]
        if criterion.memory:
            united = _confidence(criterion, [last] * 3, "three exits that agree")
            alone = _confidence(criterion, [-last, -last, last], "an exit against two others")
            low, high, what = alone, united, "an exit that two others contradict"
        else:
            low, high, what = found[:1], found[-1:], f"{classes} equal logits"
        require(
            criterion,
            (high > low + _TOLERANCE).all(),
            f"is as sure of {what} ({float(low):.4f}) as of one class ahead by 8 ({float(high):.4f})",
        )


def _check_batch(criterion: ConfidenceCriterion) -> None:
    generator = torch.Generator().manual_seed(5)
    several = [3 * torch.randn(17, 5, generator=generator) for _ in range(3)]
    for answers in ([several[0]], several):
        together = _confidence(criterion, answers, "17 samples")
        rows = [[each[i : i + 1] for each in answers] for i in range(17)]
        alone = torch.cat([_confidence(criterion, row, "a single sample") for row in rows])
        require(
            criterion,
            torch.allclose(together.double(), alone.double(), atol=1e-5),
            "judges a sample differently alone than among others",
        )
    for what, changed in (
        ("an empty batch", [each[:0] for each in several]),
        ("float64 logits", [each.double() for each in several]),
        ("float16 logits", [each.half() for each in several]),
        ("logits with transposed strides", [each.t().contiguous().t() for each in several]),
    ):
        _confidence(criterion, changed, what)
        _confidence(criterion, changed[0], what)


def _check_device(criterion: ConfidenceCriterion) -> None:
    """How sure an exit is stands where its answer does."""
    device = other_device()
    answers = [torch.zeros(2, 5, device=device) for _ in range(EXIT_POINTS + 1 if criterion.memory else 1)]
    what = f"for answers on device {device.type}"
    with reported_call(criterion, what):
        found = moved(criterion, device).after(answers, tuple(range(len(answers)))).device
    require(criterion, found.type == device.type, f"{what}, confidences are on {found.type}")


def _check_hard_inputs(criterion: ConfidenceCriterion, single: ConfidenceCriterion) -> None:
    """Infinities, and the same for a network of a single class."""
    inf = float("inf")
    large = torch.finfo(torch.float32).max
    rows = torch.tensor(
        [
            [inf, 0.0, 0.0],
            [-inf, 0.0, 0.0],
            [inf, inf, 0.0],
            [inf, -inf, 0.0],
            [inf, inf, inf],
            [-inf, -inf, -inf],
            [large, -large, 0.0],
            [0.0, 0.0, 0.0],
        ]
    )
    for row in rows:
        _confidence(criterion, row[None], f"logits {row.tolist()}")
        _confidence(criterion, [row.flip(0)[None], row[None]], f"logits {row.tolist()} after others")
        _confidence(single, row[None, :1], f"the single logit {row[0]:g}")
