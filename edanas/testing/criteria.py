"""The conformance suite for confidence criteria."""

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
    """Check a confidence criterion against its contract at every exit, with and without earlier exits.

    The suite covers shapes, range, device, single samples, extreme inputs and costs. A network with the
    criterion must make the same predictions whether it computes all exits or only those that a sample needs.
    For a criterion without learned weights, confidence must rise with the margin of the most probable class.

    Raises:
        ConformanceError: The criterion breaks its contract.

    Example:
        >>> class LargestProbability(ConfidenceCriterion):
        ...     def __call__(self, logits):
        ...         return torch.nan_to_num(logits.float()).softmax(dim=1).amax(dim=1)
        >>> check_criterion(LargestProbability())
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
    criterion: ConfidenceCriterion,
    answers: torch.Tensor | Sequence[torch.Tensor],
    description: str,
    point: int = 0,
) -> torch.Tensor:
    """Return the confidences (B,) of B samples, and check them and that the criterion's inputs are unchanged.

    Args:
        criterion: The result of `built`.
        answers: The predictions (B, K) for K classes: those of one exit, or one tensor for each exit up to
            the exit whose confidence is computed.
        description: Description of the predictions in errors.
        point: The exit point of the predictions if they are of one exit; by default the first.
    """
    several = [answers] if isinstance(answers, torch.Tensor) else list(answers)
    points = (point,) if len(several) == 1 else tuple(range(len(several)))
    read = len(several) if criterion.memory else 1
    before = [each.clone() for each in several]
    shape = tuple(several[-1].shape)
    try:
        with torch.no_grad():
            confidence = criterion.after(several[-read:], points[-read:])
    except Exception as error:
        raise ConformanceError(
            f"{type(criterion).__name__}: raises {type(error).__name__} on {description}, "
            f"shape {shape}: {error}"
        ) from error
    returned = type(confidence).__name__
    require(criterion, isinstance(confidence, torch.Tensor), f"returns a {returned}, not a tensor")
    require(
        criterion,
        confidence.shape == shape[:1],
        f"returns shape {tuple(confidence.shape)} for logits {shape}; expected {shape[:1]}",
    )
    require(criterion, confidence.is_floating_point(), f"returns {confidence.dtype}; expected floats")
    inside = (confidence >= 0.0) & (confidence <= 1.0)
    require(
        criterion,
        inside.all(),
        f"leaves [0, 1] on {description}, shape {shape}: found {confidence[~inside].flatten()[:3].tolist()}",
    )
    require(criterion, all(map(torch.equal, before, several)), f"changes its input, {description}")
    return confidence


def _check_shape_and_range(criterion: ConfidenceCriterion, classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    for scale in (0.1, 1.0, 10.0, 1000.0):
        description = f"normal logits times {scale:g}"
        answers = [scale * torch.randn(64, classes, generator=generator) for _ in range(EXIT_POINTS + 1)]
        for point, answer in enumerate(answers):
            confidence = _confidence(criterion, answer, description, point)
            again = _confidence(criterion, answer, description, point)
            require(criterion, torch.equal(confidence, again), "gives two confidences for the same logits")
            _confidence(criterion, answers[: point + 1], f"{description}, at exit {point + 1}")


def _check_order(criterion: ConfidenceCriterion, classes: int) -> None:
    """Check that confidence rises with the margin of one class.

    Without memory, confidence for a large margin must be higher than for equal logits. With memory, it must
    be higher for an exit that agrees with earlier exits than for an exit that contradicts them.
    """
    heights = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
    for winner in (0, classes - 1):
        logits = torch.zeros(len(heights), classes)
        logits[:, winner] = heights
        confidence = _confidence(criterion, logits, "logits of a growing margin")
        require(
            criterion,
            (confidence.diff() >= -_TOLERANCE).all(),
            f"does not rise with the margin of class {winner} of {classes}, {heights.tolist()}: "
            f"{confidence.tolist()}",
        )
        last = logits[-1:]
        if criterion.memory:
            united = _confidence(criterion, [last] * 3, "three exits that agree")
            alone = _confidence(criterion, [-last, -last, last], "an exit against two others")
            low, high, description = alone, united, "an exit that two others contradict"
        else:
            low, high, description = confidence[:1], confidence[-1:], f"{classes} equal logits"
        require(
            criterion,
            (high > low + _TOLERANCE).all(),
            f"is as high for {description} ({float(low):.4f}) as for a margin of 8 ({float(high):.4f})",
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
            "gives another confidence for a sample alone than in a batch",
        )
    for description, changed in (
        ("an empty batch", [each[:0] for each in several]),
        ("float64 logits", [each.double() for each in several]),
        ("float16 logits", [each.half() for each in several]),
        ("logits with transposed strides", [each.t().contiguous().t() for each in several]),
    ):
        _confidence(criterion, changed, description)
        _confidence(criterion, changed[0], description)


def _check_device(criterion: ConfidenceCriterion) -> None:
    """Check that confidences are on the device of the predictions."""
    device = other_device()
    answers = [torch.zeros(2, 5, device=device) for _ in range(EXIT_POINTS + 1 if criterion.memory else 1)]
    description = f"for predictions on device {device.type}"
    with reported_call(criterion, description):
        result = moved(criterion, device).after(answers, tuple(range(len(answers)))).device
    require(criterion, result.type == device.type, f"{description}, confidences are on {result.type}")


def _check_hard_inputs(criterion: ConfidenceCriterion, single: ConfidenceCriterion) -> None:
    """Check confidences for infinite and huge logits, also for a network of a single class."""
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
        _confidence(
            criterion, [row.flip(0)[None], row[None]], f"logits {row.tolist()} after those of an earlier exit"
        )
        _confidence(single, row[None, :1], f"the single logit {row[0]:g}")
