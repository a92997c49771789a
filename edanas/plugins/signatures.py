"""Options of a factory: its keyword arguments with annotations and defaults."""

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from edanas.core.errors import PluginError

REST = "**"
"""The name that stands for all further options if a factory takes any keyword argument."""


@dataclass(frozen=True)
class Parameter:
    """One option of a factory.

    Args:
        annotation: The option's type, or `inspect.Parameter.empty`.
        default: Default value; `inspect.Parameter.empty` if the option is required.
    """

    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """True if the option has no default."""
        return self.default is inspect.Parameter.empty


def parameters(factory: Callable[..., Any], leading: int = 0) -> dict[str, Parameter]:
    """Return the options of `factory` by name.

    Args:
        factory: A class or function, or a `functools.partial` of one.
        leading: Number of leading arguments that the caller passes and that are therefore no options;
            default 0.

    Raises:
        PluginError: An annotation contains an unknown name.

    Example:
        >>> def make(workbench, epochs: int = 3): ...
        >>> parameters(make, leading=1)
        {'epochs': Parameter(annotation=<class 'int'>, default=3)}
    """
    options: dict[str, Parameter] = {}
    positional = 0
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            options[REST] = Parameter(Any, None)
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY and positional < leading:
            positional += 1
            continue
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            options[name] = Parameter(_evaluated(factory, name, parameter.annotation), parameter.default)
    return options


def _evaluated(factory: Callable[..., Any], name: str, annotation: Any) -> Any:
    """Return the annotation as a type, also if the module stores its annotations as text.

    Raises:
        PluginError: The annotation contains an unknown name.
    """
    if annotation is inspect.Parameter.empty:
        return annotation
    function: Any = factory.func if isinstance(factory, functools.partial) else factory
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]  # of this class, not of a subclass
    holder = SimpleNamespace(__annotations__={name: annotation})
    try:
        hints = typing.get_type_hints(holder, globalns=getattr(function, "__globals__", {}))
    except NameError as error:
        raise PluginError(f"option '{name}' has the annotation {annotation!r}, which is unknown") from error
    return hints[name]
