"""How a conformance suite says that something does not conform."""


class ConformanceError(AssertionError):
    """An implementation breaks its contract; the text says where, and with which input."""


def require(owner: object, kept: object, text: str) -> None:
    """Raise unless `kept`, naming the implementation."""
    if not kept:
        raise ConformanceError(f"{type(owner).__name__}: {text}")
