"""The conformance suite of confidence criteria."""

import torch

from edanas.core.contracts import ConfidenceCriterion
from edanas.testing.failure import ConformanceError, require

_TOLERANCE = 1e-6


def check_criterion(criterion: ConfidenceCriterion) -> None:
    """Hold `criterion` against its contract: shapes, range, order, independence of the batch, hard inputs.

    Raises:
        ConformanceError: Something does not hold.
    """
    for classes in (1, 2, 10):
        _check_shape_and_range(criterion, classes)
    for classes in (2, 10):
        _check_order(criterion, classes)
    _check_batch(criterion)
    _check_hard_inputs(criterion)


def _confidence(criterion: ConfidenceCriterion, logits: torch.Tensor, what: str) -> torch.Tensor:
    """The confidence of `logits`: (B,) numbers in [0, 1], and `logits` unchanged."""
    before = logits.clone()
    shape = tuple(logits.shape)
    try:
        with torch.no_grad():
            found = criterion(logits)
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
    require(criterion, torch.equal(before, logits), f"changes its input, {what}")
    return found


def _check_shape_and_range(criterion: ConfidenceCriterion, classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    for scale in (0.1, 1.0, 10.0, 1000.0):
        logits = scale * torch.randn(64, classes, generator=generator)
        found = _confidence(criterion, logits, f"normal logits times {scale:g}")
        again = _confidence(criterion, logits, f"normal logits times {scale:g}")
        require(criterion, torch.equal(found, again), "gives two answers for the same logits")


def _check_order(criterion: ConfidenceCriterion, classes: int) -> None:
    """The further one class is ahead, the surer; and clearly surer than if none is."""
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
        require(
            criterion,
            found[-1] > found[0] + _TOLERANCE,
            f"is as sure of {classes} equal logits ({found[0]:.4f}) as of one ahead by 8 ({found[-1]:.4f})",
        )


def _check_batch(criterion: ConfidenceCriterion) -> None:
    logits = 3 * torch.randn(17, 5, generator=torch.Generator().manual_seed(5))
    together = _confidence(criterion, logits, "17 samples")
    alone = torch.cat([_confidence(criterion, row[None], "a single sample") for row in logits])
    require(
        criterion,
        torch.allclose(together.double(), alone.double(), atol=1e-5),
        "judges a sample differently alone than among others",
    )
    _confidence(criterion, logits[:0], "an empty batch")
    _confidence(criterion, logits.double(), "float64 logits")
    _confidence(criterion, logits.t().contiguous().t(), "logits with transposed strides")


def _check_hard_inputs(criterion: ConfidenceCriterion) -> None:
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
        _confidence(criterion, row[None, :1], f"the single logit {row[0]:g}")
