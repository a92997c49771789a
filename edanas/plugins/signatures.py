"""What options a factory takes: its keyword arguments with their annotations and defaults."""

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from edanas.core.errors import PluginError

REST = "**"
"""The name under which a factory that takes any keyword is listed."""


@dataclass(frozen=True)
class Parameter:
    """One option of a factory; `default` is `inspect.Parameter.empty` where it must be given."""

    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


def parameters(factory: Callable[..., Any], taken: int = 0) -> dict[str, Parameter]:
    """The options of `factory` by name.

    Args:
        factory: A class or function, or a `functools.partial` of one.
        taken: How many leading arguments the caller gives itself.

    Raises:
        PluginError: An annotation names what its module does not have.
    """
    found: dict[str, Parameter] = {}
    positional = 0
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            found[REST] = Parameter(Any, None)
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY and positional < taken:
            positional += 1
            continue
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            found[name] = Parameter(_evaluated(factory, name, parameter.annotation), parameter.default)
    return found


def _evaluated(factory: Callable[..., Any], name: str, annotation: Any) -> Any:
    """The annotation itself, where the module keeps its annotations as text."""
    if annotation is inspect.Parameter.empty:
        return annotation
    function: Any = factory.func if isinstance(factory, functools.partial) else factory
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]  # this very class's, not a subclass's
    holder = SimpleNamespace(__annotations__={name: annotation})
    try:
        hints = typing.get_type_hints(holder, globalns=getattr(function, "__globals__", {}))
    except NameError as error:
        raise PluginError(f"option '{name}' has the annotation {annotation!r}, which is unknown") from error
    return hints[name]
