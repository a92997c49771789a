"""One try at evaluating a candidate, made where the executor says, that always comes back with an answer."""

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
"""Characters kept of a reason to fail."""


class Attempt:
    """What an executor runs: candidate -> metrics, or the reason why there are none.

    Picklable where the evaluator is. Raises nothing that an evaluation can cause, `MemoryError` and the
    device's out-of-memory included.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def __call__(self, candidate: Candidate) -> "Tried":
        """Evaluate once; metrics come back as plain finite numbers."""
        start = perf_counter()
        try:
            metrics = plain(self.evaluator.evaluate(candidate))
            profile = self.evaluator.profile(candidate)
        except (Exception, SystemExit) as error:
            return Tried(reason(error), perf_counter() - start, None)
        return Tried(metrics, perf_counter() - start, profile)


class Tried(NamedTuple):
    """What came of an attempt: metrics or a reason, how long it took, and the exit profile if one is kept."""

    found: Metrics | str
    seconds: float
    profile: ExitProfile | None


def reason(error: BaseException) -> str:
    """`TypeName: text`, in one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}"[:_LONGEST] if text else name


def plain(metrics: Metrics) -> Metrics:
    """`metrics` as they will come back from the archive: numbers of Python's own types, sequences as tuples.

    Raises:
        CandidateError: A number is not finite.
        TypeError: These are no metrics.
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
    """A number of NumPy or torch as Python's own."""
    try:
        return value.item()
    except AttributeError:
        raise TypeError(f"metrics hold {type(value).__name__}; expected numbers") from None


def _numbers(value: Any) -> Iterator[float]:
    """All of a field, whatever holds them."""
    if isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _numbers(each)
    elif value is not None:
        yield value
