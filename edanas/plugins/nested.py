"""Options that are implementations themselves, e.g. the parts of a weighted objective.

A factory says so by its annotation: where that holds a contract (`Objective`, `tuple[Objective, ...]`,
`SurrogateModel | None`), settings hold components of that kind, and the factory is given objects.
"""

import types
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any, Union, get_args, get_origin

from edanas.core.hookspecs import KINDS, Kind
from edanas.core.settings import Component


def kind_in(annotation: Any) -> Kind | None:
    """The kind of extension whose contract the annotation holds, if any."""
    for kind in KINDS:
        if annotation is kind.contract:
            return kind
    return next((found for arg in get_args(annotation) if (found := kind_in(arg))), None)


def as_written(annotation: Any) -> Any:
    """The annotation with `Component` in place of a contract."""
    args = get_args(annotation)
    if any(annotation is kind.contract for kind in KINDS):
        return Component
    if not args or kind_in(annotation) is None:
        return annotation
    inner = tuple(as_written(arg) for arg in args)
    origin = get_origin(annotation)
    return reduce(or_, inner) if origin in (Union, types.UnionType) else origin[inner]


def found_in(value: Any) -> Iterator[Component]:
    """The components that a converted value holds."""
    if isinstance(value, Component):
        yield value
    elif isinstance(value, (tuple, list, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from found_in(item)


def made(value: Any, make: Callable[[Component], Any]) -> Any:
    """A converted value with an object for each of its components."""
    if isinstance(value, Component):
        return make(value)
    if isinstance(value, Mapping):
        return {key: made(item, make) for key, item in value.items()}
    return type(value)(made(item, make) for item in value) if isinstance(value, (tuple, list)) else value
