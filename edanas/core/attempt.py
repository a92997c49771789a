"""One attempt to evaluate a candidate, in the executor's process; an error becomes part of the result."""

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from time import perf_counter
from typing import Any, NamedTuple

from edanas.core.contracts import Evaluator
from edanas.core.errors import CandidateError
from edanas.core.packed_profile import PackedProfile
from edanas.core.rungs import Trial
from edanas.core.types import Candidate, Metrics
from edanas.core.visible import visible

_LONGEST = 500
"""Maximum number of characters in the reason for a failure."""


class Attempt:
    """The function that an executor runs: candidate -> metrics, or the reason for the failure.

    An attempt is picklable if its evaluator is. It catches all errors of an evaluation, `MemoryError` and
    out-of-memory errors of the device included.

    Args:
        evaluator: The prepared evaluator.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def __call__(self, item: Candidate | Trial) -> "AttemptResult":
        """Evaluate a candidate once; returned metrics hold finite Python numbers."""
        start = perf_counter()
        candidate = item.candidate if isinstance(item, Trial) else item
        partial, has_stopped = list[Metrics](), False

        def stops(rung: int, metrics: Metrics) -> bool:
            nonlocal has_stopped
            partial.append(as_archived(metrics))
            has_stopped = isinstance(item, Trial) and item.rule(rung, partial[-1])
            return has_stopped

        try:
            if isinstance(item, Trial):
                metrics = as_archived(self.evaluator.evaluate_in_rungs(candidate, stops))
            else:
                metrics = as_archived(self.evaluator.evaluate(candidate))
            profile = self.evaluator.profile(candidate)
            packed = None if profile is None else PackedProfile.of(profile)
        except (Exception, SystemExit) as error:
            return AttemptResult(reason(error), perf_counter() - start, None)
        return AttemptResult(metrics, perf_counter() - start, packed, tuple(partial), has_stopped)


class AttemptResult(NamedTuple):
    """Result of an attempt.

    Args:
        outcome: Metrics of the candidate, or the reason for the failure.
        seconds: Duration of the attempt.
        profile: Packed exit profile of the candidate; `None` if the evaluation failed or keeps no profiles.
        partial: Metrics at the end of each rung of the training but the last.
        stopped: True if the training ended early, at the last rung of `partial`.
    """

    outcome: Metrics | str
    seconds: float
    profile: PackedProfile | None
    partial: tuple[Metrics, ...] = ()
    stopped: bool = False


def reason(error: BaseException) -> str:
    """Return an error as `TypeName: message` on one line, cut to 500 characters; controls are escaped.

    Example:
        >>> reason(ValueError("no weights"))
        'ValueError: no weights'
    """
    text = visible(" ".join(str(error).split()))
    name = type(error).__name__
    return f"{name}: {text}"[:_LONGEST] if text else name


def as_archived(metrics: Metrics) -> Metrics:
    """Return metrics with the types that the archive returns: Python numbers, and tuples for sequences.

    Raises:
        CandidateError: A number is not finite.
        TypeError: `metrics` is not a `Metrics` object, or holds a value that is not a number.

    Example:
        >>> metrics = Metrics(0.9, [0.5, 0.5], [1.0, 0.8], 1.0, 1.0, 0.9, 2, 1, 1)
        >>> as_archived(metrics).utilization
        (0.5, 0.5)
    """
    if not isinstance(metrics, Metrics):
        raise TypeError(f"the evaluation returned {type(metrics).__name__}; expected Metrics")
    values = json.loads(json.dumps(metrics.to_dict(), default=_python))
    for field in fields(Metrics):
        for number in _numbers(values[field.name]):
            if not math.isfinite(number):
                raise CandidateError(f"metrics: {field.name} is {number}; allowed: finite numbers")
    return Metrics.from_dict(values)


def _python(value: Any) -> Any:
    """Convert a number of NumPy or torch to a Python number."""
    try:
        return value.item()
    except AttributeError:
        raise TypeError(f"metrics hold {type(value).__name__}; expected numbers") from None


def _numbers(value: Any) -> Iterator[float]:
    """Yield all numbers in the value of a field; `None` is left out."""
    if isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _numbers(each)
    elif value is not None:
        yield value
