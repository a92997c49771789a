"""Values of settings beyond numbers and texts, and the dataclass field of one setting."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from edanas.core.amounts import SCALES
from edanas.core.convert import Limits, Place, Written, as_toml


def setting(doc: str, default: Any, **limits: Any) -> Any:
    """Return the dataclass field of one setting.

    Args:
        doc: Description of the setting in the settings reference.
        default: Default value.
        limits: Arguments of `Limits`, which restrict the allowed values.
    """
    metadata = {"doc": doc, "limits": Limits(**limits)}
    if isinstance(default, (dict, list)) or hasattr(default, "__dataclass_fields__"):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Component(Written):
    """A named implementation with its options: `"name"`, or a table `{name = "...", option = value}`.

    Example:
        >>> Component.read({"name": "mlp", "hidden": 64}, Place("classifier")).options
        {'hidden': 64}
    """

    words: ClassVar[str] = "a name, or a table with `name` and options"

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, value: Any, place: Place) -> Self:
        """See `Written.read`."""
        if isinstance(value, cls):
            return value
        table = value if isinstance(value, Mapping) else {"name": value}
        name = table.get("name")
        if not isinstance(name, str) or not name:
            raise place.error(value, cls.words)
        return cls(name, {str(k): as_toml(v, place.option(k)) for k, v in table.items() if k != "name"})

    def written(self) -> str | dict[str, Any]:
        """See `Written.written`."""
        return {"name": self.name, **self.options} if self.options else self.name


_BOUND = re.compile(r"(?P<of>[^<>=\s]+)\s*(?P<sign><=|>=)\s*(?P<limit>[^<>=]+)")
_CHOICES = re.compile(r"(?P<of>\S+)\s+in\s+(?P<allowed>.+)")
_UNITS = {**SCALES, "%": 0.01}


@dataclass(frozen=True)
class Condition(Component):
    """A constraint: a component, or a text such as `params <= 1M` or `kernel in 3, 5`.

    The first text is a bound on an objective, the second text lists the allowed choices of a variable.

    Example:
        >>> Condition.read("params <= 1M", Place("constraints")).options
        {'of': 'params', 'at_most': 1000000.0}
    """

    words: ClassVar[str] = (
        'a bound like "params <= 1M" or "accuracy >= 90%", choices like "kernel in 3, 5", a name, or a table '
        "with `name` and options"
    )

    @classmethod
    def read(cls, value: Any, place: Place) -> Self:
        """See `Written.read`."""
        written = value.written() if isinstance(value, Component) else value
        component = super().read(written, place)
        bound, choices = _BOUND.fullmatch(component.name), _CHOICES.fullmatch(component.name)
        if bound:
            options = component.options
            of = {"name": bound["of"], **options} if options else bound["of"]
            side = "at_most" if bound["sign"] == "<=" else "at_least"
            return cls("bound", {"of": of, side: _amount(bound["limit"], written, place)})
        if choices and not component.options:
            allowed = [_amount(each, written, place) for each in choices["allowed"].split(",")]
            return cls("choices", {"of": choices["of"], "allowed": allowed})
        if re.search(r"[<>=\s]", component.name):
            raise place.error(written, cls.words)
        return component


def _amount(text: str, written: Any, place: Place) -> float:
    """Parse a number that k, M, G or % may follow.

    Args:
        text: The number.
        written: The whole value of the setting, for the message.
        place: The setting, for the message.

    Raises:
        ConfigError: `text` is not a number.
    """
    match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*([kKMG%]?)\s*", text)
    try:
        return float(match[1]) * _UNITS[match[2]] if match else float("")
    except ValueError:
        raise place.error(written, f"{Condition.words}; {text.strip()!r} is not a number") from None


class ByteLimit(float, Written):
    """A largest number of bytes: a number, or a text such as `64k`; 0 = no limit.

    Example:
        >>> ByteLimit.read("64k", Place("max_ram")).written()
        64000.0
    """

    words: ClassVar[str] = "a number of bytes like 65536, 64k or 1M (k = 1,000), above 0; or 0 for no limit"

    @classmethod
    def read(cls, value: Any, place: Place) -> Self:
        """See `Written.read`."""
        text = str(float(value)) if isinstance(value, float) else str(value)
        match = re.fullmatch(r"\s*([0-9][0-9,_]*(?:\.[0-9]+)?(?:[eE][+]?[0-9]+)?)\s*([kKMG]?)\s*", text)
        if match is None or isinstance(value, bool):
            raise place.error(value, cls.words)
        limit = float(re.sub("[,_]", "", match[1])) * SCALES[match[2]]
        if math.isinf(limit):
            raise place.error(value, cls.words)
        return cls(limit)

    def written(self) -> float:
        """See `Written.written`."""
        return float(self)


Components = tuple[Component, ...]
"""Several components of one kind, in order."""


def components(*names: str) -> Components:
    """Return a component with default options for each name."""
    return tuple(Component(name) for name in names)


def labels(chosen: Sequence[Any]) -> list[str]:
    """Return a distinct name for each of several components; a repeated name gets a number.

    Args:
        chosen: Components, or names and tables as in settings.

    Raises:
        ConfigError: An item of `chosen` is not a component, name or table.

    Example:
        >>> labels(["rbf", "gp", "rbf"])
        ['rbf', 'gp', 'rbf 2']
    """
    names = [Component.read(each, Place("label")).name for each in chosen]
    occurrences = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if n == 1 else f"{name} {n}" for name, n in zip(names, occurrences, strict=True)]
