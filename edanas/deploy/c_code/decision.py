"""The decision at an exit in whole numbers: logits -> label and confidence, as the C code computes them.

A logit has 8 bits after the binary point. Each class gets a *weight*, a number proportional to its
probability: 2**30 times the exponential function of the logit minus the largest logit, from two tables. A
confidence has 24 bits after the binary point, so float32 holds it exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.contracts.deciding import Formula
from edanas.core.errors import ExportError
from edanas.deploy.c_code.fixed_point import Integers

ONE = 1 << 24
"""The confidence 1."""

_BITS = 30
_WHOLE = 22

EXP_WHOLE = np.round(np.exp(-np.arange(_WHOLE)) * (1 << _BITS)).astype(np.int64)
"""(22,) 2**30 * exp(-n) for whole numbers n."""

EXP_FRACTION = np.round(np.exp(-np.arange(256) / 256) * (1 << _BITS)).astype(np.int64)
"""(256,) 2**30 * exp(-n / 256)."""

CRITERIA = ("score-margin", "max-probability", "entropy", "patience")
"""Formulas of confidence criteria that the C code computes."""

RULES = ("early-stop", "mean-probability", "mean-logit")
"""Formulas of inference rules that the C code computes."""


@dataclass(frozen=True)
class Decisions:
    """Inference rule and confidence criterion of a network as formulas.

    Args:
        rule: Formula of the inference rule, one of `RULES`.
        criterion: Formula of the confidence criterion, one of `CRITERIA`.
        shares: Weight of each exit that runs in `mean-probability`, 16 bits after the binary point.

    Example:
        >>> decisions = Decisions(Formula("early-stop"), Formula("score-margin"), (65536,))
        >>> (decisions.confidence([np.array([[512, 0]])])[1] / ONE).round(5)
        array([0.76159])
    """

    rule: Formula
    criterion: Formula
    shares: tuple[int, ...]

    def confidence(self, logits: Sequence[Integers]) -> tuple[Integers, Integers]:
        """Return the predicted classes (B,) and the confidences (B,) of the last exit of a sequence.

        Args:
            logits: (B, K) numbers of each exit that has run, in order.
        """
        labels = []
        weights = self._weights(logits)
        if self.criterion.name == "patience":
            labels = [self._weights(logits[: at + 1]).argmax(axis=1) for at in range(len(logits))]
            return labels[-1], _agreement(labels, int(self.criterion.numbers[0]))
        return weights.argmax(axis=1), {
            "score-margin": _margin,
            "max-probability": _largest,
            "entropy": _certainty,
        }[self.criterion.name](weights)

    def _weights(self, logits: Sequence[Integers]) -> Integers:
        """Return the weights (B, K) of the classes after the inference rule."""
        if self.rule.name == "mean-logit":
            total = np.sum([each.astype(np.int64) for each in logits], axis=0)
            return _exponentials((total.max(axis=1, keepdims=True) - total) // len(logits))
        each = [_exponentials(one.max(axis=1, keepdims=True).astype(np.int64) - one) for one in logits]
        if self.rule.name == "early-stop":
            return each[-1]
        terms = [
            ((weights << _BITS) // weights.sum(axis=1, keepdims=True) * share) >> 16
            for weights, share in zip(each, self.shares, strict=False)
        ]
        return np.asarray(np.sum(terms, axis=0))

    def state(self, classes: int) -> int:
        """Return the number of bytes that the rule and the criterion keep between exits."""
        bytes_by_rule = {"early-stop": 0, "mean-probability": 8 * classes, "mean-logit": 4 * classes}
        return bytes_by_rule[self.rule.name] + (8 if self.criterion.name == "patience" else 0)


def decisions_of(network: ExitNetwork) -> Decisions:
    """Return the rule and the criterion of a network as formulas.

    Raises:
        ExportError: C cannot compute the inference rule or the confidence criterion.
    """
    rule, criterion = network.inference.formula(), network.criterion.formula()
    for kind, key, formula, allowed in (
        ("inference", "inference", rule, RULES),
        ("criterion", "criterion", criterion, CRITERIA),
    ):
        if formula is None or formula.name not in allowed:
            owner = network.inference if kind == "inference" else network.criterion
            component = network.description.get(key) or {}
            name = component.get("name") or type(owner).__name__
            raise ExportError(
                f"{kind}: found '{name}', which the C code cannot compute; allowed: "
                + ", ".join(_NAMES.get(each, each) for each in allowed)
            )
    assert rule is not None and criterion is not None  # noqa: S101 - for the type checker
    points = [*network.scheme.placed, network.last_point]
    shares = [rule.numbers[point] if rule.numbers else 1.0 for point in points]
    decisions = Decisions(
        rule, criterion, tuple(max(1, round(share / max(shares) * 65536)) for share in shares)
    )
    _check(network, decisions)
    return decisions


def _check(network: ExitNetwork, decisions: Decisions) -> None:
    """Check that formulas compute as the rule and the criterion do; a subclass may compute something else.

    Raises:
        ExportError: The confidences of random logits differ.
    """
    exits = (*network.answering, network.last_point)
    generator = np.random.default_rng(0)
    numbers = [generator.integers(-2000, 2000, (32, len(network.classes))) for _ in exits]
    logits = [torch.from_numpy(each / 256).float().to(network.device) for each in numbers]
    with torch.no_grad():
        exact = network.decide(logits)[1]
    for at, confidence in enumerate(exact):
        own = decisions.confidence(numbers[: at + 1])[1] / ONE
        if not np.allclose(own, confidence.cpu().double().numpy(), atol=2e-3):
            readers = f"{type(network.inference).__name__} with {type(network.criterion).__name__}"
            raise ExportError(
                f"criterion: {readers} states the formulas {decisions.rule.name} and "
                f"{decisions.criterion.name}, and computes other confidences; allowed: `formula` returns "
                "None where a subclass computes something else"
            )


_NAMES = {"mean-probability": "aggregate (mean, learned)", "mean-logit": "aggregate (geometric)"}


def _exponentials(below: Integers) -> Integers:
    """Return 2**30 * exp(-n / 256) for numbers n from 0."""
    whole = np.minimum(below >> 8, _WHOLE - 1)
    weights = (EXP_WHOLE[whole] * EXP_FRACTION[below & 255]) >> _BITS
    return np.where(below >> 8 < _WHOLE, weights, 0)


def _margin(weights: Integers) -> Integers:
    if weights.shape[1] == 1:
        return np.full(len(weights), ONE, dtype=np.int64)
    ordered = np.sort(weights, axis=1)
    return np.asarray(((ordered[:, -1] - ordered[:, -2]) << 24) // weights.sum(axis=1))


def _largest(weights: Integers) -> Integers:
    return np.asarray((weights.max(axis=1) << 24) // weights.sum(axis=1))


def _certainty(weights: Integers) -> Integers:
    """Return 1 minus the entropy divided by the logarithm of the number of classes."""
    classes = weights.shape[1]
    if classes == 1:
        return np.full(len(weights), ONE, dtype=np.int64)
    total = weights.sum(axis=1)
    spread = (weights * log2(weights)).sum(axis=1)
    entropy = np.maximum(log2(total) - spread // total, 0)
    return np.asarray(np.maximum(ONE - (entropy << 24) // log2(np.array([classes])), 0))


def log2(numbers: npt.NDArray[np.int64]) -> Integers:
    """Return binary logarithms with 16 bits after the binary point; 0 for 0.

    Args:
        numbers: Whole numbers from 0 to 2**62.

    Example:
        >>> log2(np.array([1, 2, 3])) / 65536
        array([0.        , 1.        , 1.58496094])
    """
    positive = np.maximum(numbers, 1)
    whole = np.floor(np.log2(positive.astype(np.float64))).astype(np.int64)
    whole -= (np.int64(1) << whole) > positive  # float64 may round up to a power of 2
    fraction = np.where(
        whole > 30, positive >> np.maximum(whole - 30, 0), positive << np.maximum(30 - whole, 0)
    )
    result = whole << 16
    for bit in range(15, -1, -1):
        fraction = (fraction * fraction) >> 30
        above = fraction >> 31
        fraction >>= above
        result += above << bit
    return np.where(numbers > 0, result, 0)


def _agreement(labels: Sequence[Integers], agreeing: int) -> Integers:
    """Return the share of `agreeing` consecutive exits with the label of the last exit, at most 1."""
    run = np.ones(len(labels[-1]), dtype=np.int64)
    alike = np.ones(len(labels[-1]), dtype=bool)
    for earlier in reversed(labels[:-1]):
        alike &= earlier == labels[-1]
        run += alike
    return np.asarray(np.minimum((run << 24) // agreeing, ONE))
