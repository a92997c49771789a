"""Trust in code that the description of a finished network names: it runs only with the user's consent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from edanas.core.errors import WeightsError

VARIABLE = "EDANAS_TRUST_CODE"
"""Name of the environment variable that gives consent for all commands if its value is `1`."""

_allowed: ContextVar[bool] = ContextVar("edanas_code_allowed", default=True)


@contextmanager
def from_a_file(*, trust: bool) -> Iterator[None]:
    """Forbid code to which a file of unknown origin refers, inside the context, unless the user consents.

    The environment variable `EDANAS_TRUST_CODE=1` gives consent, too.

    Args:
        trust: True if the user consents.

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
    """Raise an error unless the code may run.

    Callers check in this way all code to which the settings or a file refer, before they run it.

    Args:
        code: Name of the code for the message, e.g. `model.py:build`.

    Raises:
        WeightsError: A file refers to the code, and the user has not given consent.
    """
    if not _allowed.get():
        raise WeightsError(
            f"the network's file names code, {code}, which loading the network would run. If you trust the "
            f"author of the network, load it with trust_code=True, or set {VARIABLE}=1"
        )
