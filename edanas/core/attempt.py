"""One attempt to evaluate a candidate, in the executor's process; it always returns a result."""

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from time import perf_counter
from typing import Any, NamedTuple

from edanas.core.contracts import Evaluator
from edanas.core.errors import CandidateError
from edanas.core.types import Candidate, ExitProfile, Metrics

_LONGEST = 500
"""Characters at most of a reason for a failure."""


class Attempt:
    """The function that an executor runs: candidate -> metrics, or the reason for the failure.

    It is picklable if the evaluator is. It catches all errors of an evaluation, `MemoryError` and the
    device's out-of-memory included.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def __call__(self, candidate: Candidate) -> "AttemptResult":
        """Evaluate once; metrics hold finite numbers of Python's own types."""
        start = perf_counter()
        try:
            metrics = as_archived(self.evaluator.evaluate(candidate))
            profile = self.evaluator.profile(candidate)
        except (Exception, SystemExit) as error:
            return AttemptResult(reason(error), perf_counter() - start, None)
        return AttemptResult(metrics, perf_counter() - start, profile)


class AttemptResult(NamedTuple):
    """Result of an attempt.

    Args:
        outcome: Metrics, or the reason for the failure.
        seconds: Duration.
        profile: The exit profile, if the evaluation keeps one.
    """

    outcome: Metrics | str
    seconds: float
    profile: ExitProfile | None


def reason(error: BaseException) -> str:
    """Return an error as `TypeName: text`, on one line.

    Example:
        >>> reason(ValueError("no weights"))
        'ValueError: no weights'
    """
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}"[:_LONGEST] if text else name


def as_archived(metrics: Metrics) -> Metrics:
    """Return metrics as the archive returns them: numbers of Python's own types, sequences as tuples.

    Raises:
        CandidateError: A number is not finite.
        TypeError: The argument is no `Metrics`, or holds other values than numbers.

    Example:
        >>> metrics = Metrics(0.9, [0.5, 0.5], [1.0, 0.8], 1.0, 1.0, 0.9, 2, 1, 1)
        >>> as_archived(metrics).utilization
        (0.5, 0.5)
    """
    if not isinstance(metrics, Metrics):
        raise TypeError(f"the evaluation gave {type(metrics).__name__}; expected Metrics")
    values = json.loads(json.dumps(metrics.to_dict(), default=_python))
    for field in fields(Metrics):
        for number in _numbers(values[field.name]):
            if not math.isfinite(number):
                raise CandidateError(f"{field.name} is {number}")
    return Metrics.from_dict(values)


def _python(value: Any) -> Any:
    """Return a number of NumPy or torch as Python's own."""
    try:
        return value.item()
    except AttributeError:
        raise TypeError(f"metrics hold {type(value).__name__}; expected numbers") from None


def _numbers(value: Any) -> Iterator[float]:
    """Yield all numbers of a field."""
    if isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _numbers(each)
    elif value is not None:
        yield value
