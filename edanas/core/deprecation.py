"""What is to go: it works as before for a while, and says since when, until when, and what to use instead."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class EdanasDeprecationWarning(FutureWarning):
    """Something of edanas that still works, and will be removed; Python shows it to users by default."""


@dataclass(frozen=True)
class Deprecation:
    """One thing that is to go.

    Args:
        since: The version that says so first.
        removed_in: The first version without it: at least the next minor one but one.
        instead: What to use, as a name, call or path.
    """

    since: str
    removed_in: str
    instead: str

    def warn(self, what: str, stacklevel: int = 3) -> None:
        """Say it of `what`, as a warning of whoever called the caller."""
        warnings.warn(
            f"{what} is deprecated since edanas {self.since} and will be removed in {self.removed_in}; "
            f"use {self.instead} instead",
            EdanasDeprecationWarning,
            stacklevel=stacklevel,
        )

    def function(self, function: Function) -> Function:
        """Decorate a function that is to go; it works as before."""

        @functools.wraps(function)
        def warning(*arguments: Any, **named: Any) -> Any:
            self.warn(f"{function.__name__}()")
            return function(*arguments, **named)

        return warning  # type: ignore[return-value]

    def argument(self, old: str) -> Callable[[Function], Function]:
        """Decorate a function whose argument `old` is now called `instead`.

        Raises:
            TypeError: When it is called with both.
        """

        def decorate(function: Function) -> Function:
            @functools.wraps(function)
            def renaming(*arguments: Any, **named: Any) -> Any:
                if old in named:
                    self.warn(f"{function.__name__}({old}=)")
                    if self.instead in named:
                        raise TypeError(f"{function.__name__}: '{old}' is '{self.instead}'; give one of them")
                    named[self.instead] = named.pop(old)
                return function(*arguments, **named)

            return renaming  # type: ignore[return-value]

        return decorate


RENAMED_SETTINGS: dict[str, Deprecation] = {}
"""By old dotted path, of a setting or of a whole table of them; `instead` is the new path."""
