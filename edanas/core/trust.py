"""Code that a finished network's description names: run only for whoever says that they trust it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from edanas.core.errors import WeightsError

VARIABLE = "EDANAS_TRUST_CODE"
"""Set to `1` in the environment, it says so for all commands."""

_allowed: ContextVar[bool] = ContextVar("edanas_code_allowed", default=True)


@contextmanager
def from_a_file(*, trust: bool) -> Iterator[None]:
    """While objects are made from a file that somebody else may have written.

    Args:
        trust: Whether code that the file names may be run, as if `EDANAS_TRUST_CODE` were set.
    """
    before = _allowed.set(trust or os.environ.get(VARIABLE) == "1")
    try:
        yield
    finally:
        _allowed.reset(before)


def require_trust(code: str) -> None:
    """To be called before code that settings or a file name is run.

    Raises:
        WeightsError: A file names it, and nobody said that it is trusted.
    """
    if not _allowed.get():
        raise WeightsError(
            f"the network names code of its own, {code}, which loading it would run. If you trust whoever "
            f"made it, load it with trust_code=True, or set {VARIABLE}=1"
        )
