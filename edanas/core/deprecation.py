"""Deprecated names: they work as before, with a warning that states the versions and the replacement."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class EdanasDeprecationWarning(FutureWarning):
    """A deprecated name of edanas is in use; Python shows this warning to users by default."""


@dataclass(frozen=True)
class Deprecation:
    """One deprecated name.

    Args:
        since: The version that deprecates it.
        removed_in: The first version without it: at least two minor versions later.
        instead: The replacement: a name, a call, or the dotted path of a setting.

    Example:
        >>> import warnings
        >>> old = Deprecation("0.2", "0.4", "load()")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     old.warn("read()")
        >>> print(caught[0].message)
        read() is deprecated since edanas 0.2 and will be removed in 0.4; use load() instead
    """

    since: str
    removed_in: str
    instead: str

    def warn(self, name: str, stacklevel: int = 3) -> None:
        """Issue the warning.

        Args:
            name: The deprecated name as the warning shows it, e.g. `read()`.
            stacklevel: The stack frame that the warning reports, as for `warnings.warn`; 3, the default, is
                the caller of the function that calls `warn`.
        """
        warnings.warn(
            f"{name} is deprecated since edanas {self.since} and will be removed in {self.removed_in}; "
            f"use {self.instead} instead",
            EdanasDeprecationWarning,
            stacklevel=stacklevel,
        )

    def function(self, function: Function) -> Function:
        """Decorate a deprecated function; it works as before."""

        @functools.wraps(function)
        def warning(*arguments: Any, **named: Any) -> Any:
            self.warn(f"{function.__name__}()")
            return function(*arguments, **named)

        return warning  # type: ignore[return-value]

    def argument(self, old: str) -> Callable[[Function], Function]:
        """Decorate a function whose argument `old` is now called `instead`.

        Raises:
            TypeError: On a call that passes both `old` and `instead`.
        """

        def decorate(function: Function) -> Function:
            @functools.wraps(function)
            def renaming(*arguments: Any, **named: Any) -> Any:
                if old in named:
                    self.warn(f"{function.__name__}({old}=)")
                    if self.instead in named:
                        raise TypeError(
                            f"{function.__name__}: '{old}' is the old name of '{self.instead}'; pass only one"
                        )
                    named[self.instead] = named.pop(old)
                return function(*arguments, **named)

            return renaming  # type: ignore[return-value]

        return decorate


RENAMED_SETTINGS: dict[str, Deprecation] = {}
"""Renamed settings, and renamed tables of settings, by old dotted path; `instead` is the new path."""
