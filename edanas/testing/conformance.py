"""Errors of the conformance suites."""

from collections.abc import Iterator
from contextlib import contextmanager


class ConformanceError(AssertionError):
    """An implementation breaks its contract; the message names the place and the input.

    Example:
        >>> require("MyCriterion", 2.0 <= 1.0, "confidence is 2.0; allowed: at most 1")
        Traceback (most recent call last):
        edanas.testing.conformance.ConformanceError: MyCriterion: confidence is 2.0; allowed: at most 1
    """


def require(owner: object, condition: object, text: str) -> None:
    """Raise a `ConformanceError` about `owner`, an object or its name, unless `condition` holds."""
    if not condition:
        raise ConformanceError(f"{_name(owner)}: {text}")


@contextmanager
def reported_call(owner: object, call: str) -> Iterator[None]:
    """Turn an exception inside into a `ConformanceError` that names the implementation and the call."""
    try:
        yield
    except ConformanceError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise ConformanceError(f"{_name(owner)}: {call} raises {type(error).__name__}: {text}") from error


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__
