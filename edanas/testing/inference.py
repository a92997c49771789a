"""The conformance suite for inference rules."""

from collections.abc import Sequence

import torch

from edanas.core.contracts import InferenceRule
from edanas.exits.criteria import MaxProbability
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.devices import moved, other_device
from edanas.testing.exit_decisions import EXIT_POINTS, built, check_costs, check_network

_TOLERANCE = 1e-5


def check_inference(inference: InferenceRule) -> None:
    """Check an inference rule against its contract: shapes, device, single samples and extreme inputs.

    If all exits have the same logits, the prediction of a rule that is not fitted yet must be that of each
    exit. Corrected logits must be finite, and depend on the sample alone.

    Raises:
        ConformanceError: The inference rule breaks its contract.

    Example:
        >>> class LastExit(InferenceRule):
        ...     def __call__(self, logits, points):
        ...         return logits[-1]
        >>> check_inference(LastExit())
    """
    for classes in (1, 2, 10):
        rule = built(inference, classes)
        for exits in range(1, EXIT_POINTS + 2):
            _check_predictions(rule, classes, exits)
            _check_equal_exits(inference.build(classes, EXIT_POINTS), classes, exits)
    _check_batch(built(inference, 5))
    _check_device(built(inference, 5))
    _check_hard_inputs(built(inference, 3))
    if inference.corrects:
        _check_corrections(built(inference, 5))
    check_network(inference, inference, MaxProbability())
    check_costs(inference, inference, MaxProbability())


def _predict(rule: InferenceRule, logits: Sequence[torch.Tensor], description: str) -> torch.Tensor:
    """Return a prediction (B, K) for B samples and K classes, and check it and that the inputs are unchanged.

    Args:
        rule: The result of `built`.
        logits: The logits (B, K) of each exit, in order.
        description: Description of the logits in errors.
    """
    shape, before = tuple(logits[-1].shape), [each.clone() for each in logits]
    read = logits if rule.memory else logits[-1:]
    points = tuple(range(len(logits)))[-len(read) :]
    try:
        with torch.no_grad():
            prediction = rule(read, points)
    except Exception as error:
        raise ConformanceError(
            f"{type(rule).__name__}: raises {type(error).__name__} on {description}, {len(read)} exits "
            f"of shape {shape}: {error}"
        ) from error
    right = isinstance(prediction, torch.Tensor)
    right = right and prediction.shape == shape and prediction.is_floating_point()
    require(rule, right, f"the prediction for {description} is not a tensor of floats of shape {shape}")
    require(rule, not prediction.isnan().any(), f"the prediction for {description} has NaN")
    require(rule, all(map(torch.equal, before, logits)), f"changes its input, {description}")
    return prediction


def _check_predictions(rule: InferenceRule, classes: int, exits: int) -> None:
    """Check that predictions are deterministic."""
    generator = torch.Generator().manual_seed(classes)
    for scale in (0.1, 1.0, 10.0):
        logits = [scale * torch.randn(32, classes, generator=generator) for _ in range(exits)]
        prediction = _predict(rule, logits, f"normal logits times {scale:g}")
        again = _predict(rule, logits, f"normal logits times {scale:g}")
        require(rule, torch.equal(prediction, again), "gives two predictions for the same logits")


def _check_equal_exits(rule: InferenceRule, classes: int, exits: int) -> None:
    """Check that a rule that is not fitted keeps the prediction of exits whose logits are equal."""
    logits = torch.randn(32, classes, generator=torch.Generator().manual_seed(classes))
    united = _predict(rule, [logits] * exits, "exits of equal logits")
    require(
        rule,
        torch.allclose(united.softmax(1), logits.softmax(1), atol=_TOLERANCE),
        f"the prediction for {exits} exits of equal logits differs from the prediction of each exit",
    )


@torch.no_grad()
def _check_corrections(rule: InferenceRule) -> None:
    """Check the corrected logits of each exit point, with and without an exit before it."""
    require(rule, rule.memory, "corrects logits without a memory; expected `memory` to be true")
    generator = torch.Generator().manual_seed(3)
    logits, earlier = (3 * torch.randn(7, 5, generator=generator) for _ in range(2))
    huge = torch.tensor([[float("inf"), 0.0, -float("inf"), 1e38, 0.0]])
    for point in range(EXIT_POINTS + 1):
        for before in (None, earlier) if point else (None,):
            text = f"exit {point + 1}: the corrected logits"
            result = rule.corrected(logits, before, point)
            good = result.shape == logits.shape and result.isfinite().all()
            require(rule, good, f"{text} are not finite or not of shape {tuple(logits.shape)}")
            rows = [
                rule.corrected(logits[i : i + 1], None if before is None else before[i : i + 1], point)
                for i in range(7)
            ]
            require(rule, torch.allclose(result, torch.cat(rows), atol=1e-4), f"{text} depend on the batch")
        text = f"exit {point + 1} after infinite logits: the corrected logits have NaN"
        require(rule, not rule.corrected(logits[:1], huge, point).isnan().any(), text)


def _check_batch(rule: InferenceRule) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = [3 * torch.randn(17, 5, generator=generator) for _ in range(EXIT_POINTS + 1)]
    together = _predict(rule, logits, "17 samples")
    alone = torch.cat([_predict(rule, [each[i : i + 1] for each in logits], "a sample") for i in range(17)])
    require(
        rule,
        torch.allclose(together.softmax(1), alone.softmax(1), atol=_TOLERANCE),
        "gives another prediction for a sample alone than in a batch",
    )
    _predict(rule, [each[:0] for each in logits], "an empty batch")
    _predict(rule, [each.double() for each in logits], "float64 logits")
    _predict(rule, [each.half() for each in logits], "float16 logits")
    _predict(rule, [each.t().contiguous().t() for each in logits], "logits with transposed strides")


def _check_device(rule: InferenceRule) -> None:
    """Check that predictions are on the device of the logits."""
    device = other_device()
    logits = [torch.zeros(2, 5, device=device) for _ in range(EXIT_POINTS + 1 if rule.memory else 1)]
    description = f"for logits on device {device.type}"
    with reported_call(rule, description):
        result = moved(rule, device)(logits, tuple(range(len(logits)))).device
    require(rule, result.type == device.type, f"{description}, the prediction is on {result.type}")


def _check_hard_inputs(rule: InferenceRule) -> None:
    inf, large = float("inf"), torch.finfo(torch.float32).max
    rows = torch.tensor(
        [[inf, 0.0, 0.0], [-inf, 0.0, 0.0], [inf, inf, 0.0], [-inf, -inf, -inf], [large, -large, 0.0]]
    )
    certain = MaxProbability()
    for row in rows:
        for other in rows:
            prediction = _predict(rule, [other[None], row[None]], f"logits {other.tolist()}, {row.tolist()}")
            confidence = certain(prediction)
            inside = bool((confidence >= 0) & (confidence <= 1))
            require(rule, inside, f"the prediction {prediction.tolist()} has a probability outside of [0, 1]")
