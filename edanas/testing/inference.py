"""The conformance suite of inference rules."""

from collections.abc import Sequence

import torch

from edanas.core.contracts import InferenceRule
from edanas.exits.criteria import MaxProbability
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.devices import moved, other_device
from edanas.testing.exit_decisions import EXIT_POINTS, built, check_costs, check_network

_TOLERANCE = 1e-5


def check_inference(inference: InferenceRule) -> None:
    """Hold `inference` against its contract: shapes, device, single samples, hard inputs, a network.

    Exits that say the same are to be answered as they say.

    Raises:
        ConformanceError: Something does not hold.
    """
    for classes in (1, 2, 10):
        rule = built(inference, classes)
        for exits in range(1, EXIT_POINTS + 2):
            _check_answers(rule, classes, exits)
    _check_batch(built(inference, 5))
    _check_device(built(inference, 5))
    _check_hard_inputs(built(inference, 3))
    check_network(inference, inference, MaxProbability())
    check_costs(inference, inference, MaxProbability())


def _answer(rule: InferenceRule, logits: Sequence[torch.Tensor], what: str) -> torch.Tensor:
    """Asked as a network asks: without memory, of the last exit alone; inputs stay as they were."""
    shape, before = tuple(logits[-1].shape), [each.clone() for each in logits]
    asked = logits if rule.memory else logits[-1:]
    points = tuple(range(len(logits)))[-len(asked) :]
    try:
        with torch.no_grad():
            found = rule(asked, points)
    except Exception as error:
        raise ConformanceError(
            f"{type(rule).__name__}: raises {type(error).__name__} on {what}, {len(asked)} exits of shape "
            f"{shape}: {error}"
        ) from error
    right = isinstance(found, torch.Tensor) and found.shape == shape and found.is_floating_point()
    require(rule, right, f"gives no floats of shape {shape} for {what}")
    require(rule, not found.isnan().any(), f"gives something that is no number for {what}")
    require(rule, all(map(torch.equal, before, logits)), f"changes its input, {what}")
    return found


def _check_answers(rule: InferenceRule, classes: int, exits: int) -> None:
    """Two answers for the same are one; exits that say the same are answered the same, with their label."""
    generator = torch.Generator().manual_seed(classes)
    for scale in (0.1, 1.0, 10.0):
        said = [scale * torch.randn(32, classes, generator=generator) for _ in range(exits)]
        found = _answer(rule, said, f"normal logits times {scale:g}")
        again = _answer(rule, said, f"normal logits times {scale:g}")
        require(rule, torch.equal(found, again), "gives two answers for the same logits")
        united = _answer(rule, said[-1:] * exits, "exits that agree")
        require(
            rule,
            torch.allclose(united.softmax(1), said[-1].softmax(1), atol=_TOLERANCE),
            f"{exits} exits that say the same are answered otherwise than they say",
        )


def _check_batch(rule: InferenceRule) -> None:
    generator = torch.Generator().manual_seed(5)
    said = [3 * torch.randn(17, 5, generator=generator) for _ in range(EXIT_POINTS + 1)]
    together = _answer(rule, said, "17 samples")
    alone = torch.cat([_answer(rule, [each[i : i + 1] for each in said], "a sample") for i in range(17)])
    require(
        rule,
        torch.allclose(together.softmax(1), alone.softmax(1), atol=_TOLERANCE),
        "answers a sample otherwise alone than among others",
    )
    _answer(rule, [each[:0] for each in said], "an empty batch")
    _answer(rule, [each.double() for each in said], "float64 logits")
    _answer(rule, [each.half() for each in said], "float16 logits")
    _answer(rule, [each.t().contiguous().t() for each in said], "logits with transposed strides")


def _check_device(rule: InferenceRule) -> None:
    """The answer stands where the logits do."""
    device = other_device()
    said = [torch.zeros(2, 5, device=device) for _ in range(EXIT_POINTS + 1 if rule.memory else 1)]
    what = f"for logits on device {device.type}"
    with reported_call(rule, what):
        found = moved(rule, device)(said, tuple(range(len(said)))).device
    require(rule, found.type == device.type, f"{what}, the answer is on {found.type}")


def _check_hard_inputs(rule: InferenceRule) -> None:
    inf, large = float("inf"), torch.finfo(torch.float32).max
    rows = torch.tensor(
        [[inf, 0.0, 0.0], [-inf, 0.0, 0.0], [inf, inf, 0.0], [-inf, -inf, -inf], [large, -large, 0.0]]
    )
    certain = MaxProbability()
    for row in rows:
        for other in rows:
            answer = _answer(rule, [other[None], row[None]], f"logits {other.tolist()}, {row.tolist()}")
            sure = certain(answer)
            require(rule, bool((sure >= 0) & (sure <= 1)), f"answers {answer.tolist()}, no distribution")
