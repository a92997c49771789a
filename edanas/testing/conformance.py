"""The error of the conformance suites, and functions that raise it."""

from collections.abc import Iterator
from contextlib import contextmanager


class ConformanceError(AssertionError):
    """The error for an implementation that breaks its contract; the message names the call and its input.

    Example:
        >>> require("MyCriterion", 2.0 <= 1.0, "confidence is 2.0; allowed: at most 1")
        Traceback (most recent call last):
        edanas.testing.conformance.ConformanceError: MyCriterion: confidence is 2.0; allowed: at most 1
    """


def require(owner: object, condition: object, text: str) -> None:
    """Raise a `ConformanceError` unless a condition holds.

    Args:
        owner: The implementation that the message names: an object, or a name as text.
        condition: A value that is true if the implementation keeps its contract.
        text: The rest of the message.

    Raises:
        ConformanceError: `condition` is false.
    """
    if not condition:
        raise ConformanceError(f"{_name(owner)}: {text}")


@contextmanager
def reported_call(owner: object, call: str) -> Iterator[None]:
    """Turn an exception in the block into a `ConformanceError` that names the implementation and the call.

    Args:
        owner: The implementation that the message names: an object, or a name as text.
        call: The description of the call in the message, before "raises".
    """
    try:
        yield
    except ConformanceError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise ConformanceError(f"{_name(owner)}: {call} raises {type(error).__name__}: {text}") from error


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__
