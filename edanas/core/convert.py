"""Conversion of values from TOML, flags and bundles to annotated types; errors name the setting.

One converter serves the settings themselves and the options of every plugin's factory.
"""

import collections.abc
import re
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

from edanas.core.errors import ConfigError, near_miss


@dataclass(frozen=True)
class Limits:
    """Restrictions of a value beyond its type; `None`, 0 and empty mean no restriction.

    For a list, the arguments from `minimum` to `form` restrict each item.

    Args:
        minimum: Smallest allowed number.
        above: Exclusive lower bound of a number.
        maximum: Largest allowed number.
        below: Exclusive upper bound of a number.
        choices: The allowed texts.
        form: A regular expression that the whole text must match, and its description for error messages.
        length: Minimum number of items in a list, or of characters in a text.
        distinct: True if the items of a list must differ; default False.
        apart: Items of which a list may have only one.

    Example:
        >>> Limits(minimum=0, below=1).range
        ' >= 0 and < 1'
    """

    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    form: tuple[str, str] | None = None
    length: int = 0
    distinct: bool = False
    apart: tuple[str, ...] = ()

    def hold(self, number: float) -> bool:
        """Return whether `number` is within the bounds."""
        return (
            (self.minimum is None or number >= self.minimum)
            and (self.above is None or number > self.above)
            and (self.maximum is None or number <= self.maximum)
            and (self.below is None or number < self.below)
        )

    @property
    def range(self) -> str:
        """The bounds as text after a space, e.g. ` >= 0 and < 1`; empty if there are no bounds."""
        bounds = ((">=", self.minimum), (">", self.above), ("<=", self.maximum), ("<", self.below))
        text = " and ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
        return f" {text}" if text else ""


ANYTHING = Limits()
"""Limits without any restriction."""


@dataclass(frozen=True)
class Place:
    """The setting and the layer of a value, for messages.

    Args:
        path: Dotted path of the setting, e.g. `training.epochs`.
        origin: Name of the layer, e.g. `--set`; empty if there is only one layer.

    Example:
        >>> print(Place("training.epochs", "--set").error("ten", "a whole number"))
        training.epochs: 'ten' from --set: expected a whole number
    """

    path: str
    origin: str = ""

    def error(self, value: Any, expected: str) -> ConfigError:
        """Return the error for a wrong value; `expected` describes the allowed values."""
        return ConfigError(f"{self._quote(value)}: expected {expected}")

    def no_choice(self, text: str, choices: Sequence[str]) -> ConfigError:
        """Return the error for a text that is not in `choices`; it suggests the most similar choice."""
        return ConfigError(f"{self._quote(text)} is not allowed.{near_miss(text, choices)}")

    def item(self, index: int) -> "Place":
        """Return the place of the list item at `index`, from 0; messages count items from 1."""
        return Place(f"{self.path}[{index + 1}]", self.origin)

    def option(self, name: object) -> "Place":
        """Return the place of the entry `name` in a table."""
        return Place(f"{self.path}.{name}", self.origin)

    def _quote(self, value: Any) -> str:
        return f"{self.path}: {shown(value)}" + (f" from {self.origin}" if self.origin else "")


class Written(ABC):
    """Base class of types with a special notation in settings; errors describe the notation by `words`."""

    words: ClassVar[str]

    @classmethod
    @abstractmethod
    def read(cls, value: Any, place: Place) -> Self:
        """Make an object from a value of a TOML type, or from another object of this class.

        Args:
            value: The value in the notation of the class.
            place: The setting that holds the value, for messages.

        Raises:
            ConfigError: The value does not follow the notation; the message names the place and the notation.
        """

    @abstractmethod
    def written(self) -> Any:
        """Return the object in TOML's types; `read` turns the result into an equal object."""


def shown(value: Any) -> str:
    """Return the `repr` of `value` for an error message, cut to 80 characters."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"{float('inf') if value > 0 else -float('inf')} (a number of thousands of digits)"
    return text if len(text) <= 80 else f"{text[:77]}..."


def describe(annotation: Any, limits: Limits = ANYTHING) -> str:
    """Return a description of the allowed values of a setting.

    Args:
        annotation: The type annotation of the setting.
        limits: Restrictions beyond the type.

    Example:
        >>> describe(int, Limits(minimum=1))
        'a whole number >= 1'
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return describe(args[0], limits)
    if origin in (Union, types.UnionType):
        options = [describe(arg, limits) for arg in args if arg is not types.NoneType]
        return " or ".join(options + ['"none"'] * (types.NoneType in args))
    if origin is Literal:
        return "one of " + ", ".join(str(arg) for arg in args)
    if (origin or annotation) in _SEQUENCES:
        return _describe_sequence(origin or annotation, args, limits)
    if (origin or annotation) in _MAPPINGS:
        return "a table"
    if annotation is str:
        return _describe_text(limits)
    if annotation in _WORDS:
        return _WORDS[annotation] + (limits.range if annotation in (int, float) else "")
    if annotation in (Any, Parameter.empty):
        return "anything"
    return str(getattr(annotation, "words", getattr(annotation, "__name__", annotation)))


def convert(value: Any, annotation: Any, place: Place, limits: Limits = ANYTHING) -> Any:
    """Convert `value` to the type of `annotation`.

    Lists become tuples where the type is a tuple, whole floats become integers, and `"none"` becomes `None`
    where `None` is allowed, since TOML has no null. Text never becomes a number.

    Args:
        value: A value of a TOML or Python type.
        annotation: The type annotation of the setting.
        place: The setting and the layer, for messages.
        limits: Restrictions beyond the type.

    Raises:
        ConfigError: The value has another type or is out of range; the message names the place, the value
            and the allowed values.

    Example:
        >>> convert([1, 2.0], tuple[int, ...], Place("depths"))
        (1, 2)
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in (Any, Parameter.empty):
        return value
    if origin is Annotated:
        return convert(value, args[0], place, limits)
    if origin in (Union, types.UnionType):
        return _union(value, annotation, place, limits)
    if origin is Literal:
        return _literal(value, annotation, place)
    if (origin or annotation) in _SEQUENCES:
        return _sequence(value, annotation, place, limits)
    if (origin or annotation) in _MAPPINGS:
        return _mapping(value, annotation, place)
    if annotation in _SCALARS:
        return _SCALARS[annotation](value, place, limits)
    if isinstance(annotation, type) and issubclass(annotation, Written):
        return annotation.read(value, place)
    if isinstance(annotation, type) and isinstance(value, annotation):
        return value
    raise place.error(value, describe(annotation, limits))


def as_toml(value: Any, place: Place) -> Any:
    """Convert `value` to TOML's types; writing the result to a file and reading it do not change it.

    `None` becomes `"none"`, tuples become lists, and file paths become text.

    Raises:
        ConfigError: `value` is or contains an object that TOML cannot express.

    Example:
        >>> as_toml((0.5, None), Place("thresholds"))
        [0.5, 'none']
    """
    if value is None:
        return "none"
    if isinstance(value, Written):
        return value.written()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [as_toml(item, place.item(i)) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(k): as_toml(v, place.option(k)) for k, v in value.items()}
    if isinstance(value, (bool, int, str)) or (isinstance(value, float) and value == value):
        return value
    raise place.error(value, "text, a number, true or false, a list or a table")


def _literal(value: Any, annotation: Any, place: Place) -> Any:
    choices = get_args(annotation)
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    if isinstance(value, str):
        raise place.no_choice(value, [str(choice) for choice in choices])
    raise place.error(value, describe(annotation))


def _whole(value: Any, place: Place, limits: Limits) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not limits.hold(value):
        raise place.error(value, describe(int, limits))
    if not -_LARGEST <= value <= _LARGEST:
        raise place.error(value, f"{describe(int, limits)}, at most {_LARGEST}")
    return int(value)


def _number(value: Any, place: Place, limits: Limits) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -sys.float_info.max <= value <= sys.float_info.max or not limits.hold(value):
        raise place.error(value, describe(float, limits))
    return float(value)


def _flag(value: Any, place: Place, limits: Limits) -> bool:
    if not isinstance(value, bool):
        raise place.error(value, describe(bool, limits))
    return value


def _text(value: Any, place: Place, limits: Limits) -> str:
    if isinstance(value, str) and limits.choices and value not in limits.choices:
        raise place.no_choice(value, limits.choices)
    if isinstance(value, str) and "\0" in value:
        raise place.error(value, "text without the character NUL")
    wrong = not isinstance(value, str) or len(value) < limits.length
    if wrong or (limits.form and not re.fullmatch(limits.form[0], value)):
        raise place.error(value, describe(str, limits))
    return str(value)


def _path(value: Any, place: Place, limits: Limits) -> Path:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise place.error(value, describe(Path, limits))
    return Path(value)


def _union(value: Any, annotation: Any, place: Place, limits: Limits) -> Any:
    members = get_args(annotation)
    if types.NoneType in members and value in (None, "none"):
        return None
    rest = [member for member in members if member is not types.NoneType]
    if isinstance(value, (list, tuple)):
        # If only one member is a list type, its own error is better: it names the wrong item.
        lists = [member for member in rest if (get_origin(member) or member) in _SEQUENCES]
        rest = lists if len(lists) == 1 else rest
        if len(rest) == 1:
            return convert(value, rest[0], place, limits)
    # The type of the value is tried first, so that 5 stays an integer in `float | int`.
    for member in sorted(rest, key=lambda member: member is not type(value)):
        try:
            return convert(value, member, place, limits)
        except ConfigError:
            if len(rest) == 1 and limits.choices:
                raise
    raise place.error(value, describe(annotation, limits))


def _sequence(value: Any, annotation: Any, place: Place, limits: Limits) -> Any:
    kind, args = get_origin(annotation) or annotation, get_args(annotation)
    if not isinstance(value, (list, tuple)):
        raise place.error(value, describe(annotation, limits))
    if kind is tuple and args and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise place.error(value, describe(annotation, limits))
        return tuple(
            convert(v, a, place.item(i), limits) for i, (v, a) in enumerate(zip(value, args, strict=True))
        )
    item = args[0] if args else Any
    items = [convert(v, item, place.item(i), replace(limits, length=0)) for i, v in enumerate(value)]
    repeats = limits.distinct and any(v in items[:i] for i, v in enumerate(items))
    if len(items) < limits.length or repeats or sum(v in limits.apart for v in items) > 1:
        raise place.error(value, describe(annotation, limits))
    return items if kind is list else tuple(items)


def _mapping(value: Any, annotation: Any, place: Place) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise place.error(value, describe(annotation))
    item = (get_args(annotation) or (str, Any))[1]
    return {str(key): convert(v, item, place.option(key)) for key, v in value.items()}


def _describe_text(limits: Limits) -> str:
    if limits.choices:
        return "one of " + ", ".join(limits.choices)
    return limits.form[1] if limits.form else "text that is not empty" if limits.length else "text"


def _describe_sequence(kind: Any, args: tuple[Any, ...], limits: Limits) -> str:
    if kind is tuple and args and args[-1] is not Ellipsis:
        return f"a list of {len(args)}: " + ", ".join(describe(arg, limits) for arg in args)
    head = "a list" + (f" of {limits.length} or more" if limits.length else "")
    items = f", each {describe(args[0], replace(limits, length=0))}" if args else ""
    apart = f", only one of {' and '.join(limits.apart)}" if limits.apart else ""
    return head + items + (", none twice" if limits.distinct else "") + apart


_LARGEST = 2**53
"""Largest whole number of a setting; larger numbers have no exact floating-point counterpart."""

_SEQUENCES: tuple[Any, ...] = (tuple, list, collections.abc.Sequence, collections.abc.Iterable)
_MAPPINGS: tuple[Any, ...] = (dict, collections.abc.Mapping)
_SCALARS: dict[Any, Callable[[Any, Place, Limits], Any]] = {
    bool: _flag,
    int: _whole,
    float: _number,
    str: _text,
    Path: _path,
}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
