"""How a conformance suite says that something does not conform."""

from collections.abc import Iterator
from contextlib import contextmanager


class ConformanceError(AssertionError):
    """An implementation breaks its contract; the text says where, and with which input."""


def require(owner: object, kept: object, text: str) -> None:
    """Raise unless `kept`, naming the implementation."""
    if not kept:
        raise ConformanceError(f"{_name(owner)}: {text}")


@contextmanager
def reported_call(owner: object, what: str) -> Iterator[None]:
    """An exception inside becomes a `ConformanceError` that says `what` was asked of the implementation."""
    try:
        yield
    except ConformanceError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise ConformanceError(f"{_name(owner)}: {what} raises {type(error).__name__}: {text}") from error


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__
