"""Trust in the code that a finished network's description names: it runs only with consent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from edanas.core.errors import WeightsError

VARIABLE = "EDANAS_TRUST_CODE"
"""The environment variable that gives consent for all commands, with the value `1`."""

_allowed: ContextVar[bool] = ContextVar("edanas_code_allowed", default=True)


@contextmanager
def from_a_file(*, trust: bool) -> Iterator[None]:
    """Mark the time in which objects are made from a file of unknown origin.

    Args:
        trust: Whether code that the file names may run, as if `EDANAS_TRUST_CODE` were set.

    Example:
        >>> with from_a_file(trust=True):
        ...     require_trust("model.py:build")
    """
    before = _allowed.set(trust or os.environ.get(VARIABLE) == "1")
    try:
        yield
    finally:
        _allowed.reset(before)


def require_trust(code: str) -> None:
    """Check, before code that settings or a file name is run, that it may run.

    Raises:
        WeightsError: A file names the code, and the user has not given consent.
    """
    if not _allowed.get():
        raise WeightsError(
            f"the network names code of its own, {code}, which loading it would run. If you trust whoever "
            f"made it, load it with trust_code=True, or set {VARIABLE}=1"
        )
