"""Options of a component that are components themselves, e.g. the objectives in a weighted sum.

The annotation of the option contains a contract, e.g. `Objective`, `tuple[Objective, ...]` or
`SurrogateModel | None`. Settings then hold components for the option, and the factory receives the objects
that are made from the components.
"""

import types
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any, Union, get_args, get_origin

from edanas.core.hookspecs import KINDS, Kind
from edanas.core.settings import Component


def kind_in(annotation: Any) -> Kind | None:
    """Return the kind of extension whose contract the annotation contains; `None` if there is none."""
    for kind in KINDS:
        if annotation is kind.contract:
            return kind
    return next((inner for arg in get_args(annotation) if (inner := kind_in(arg))), None)


def as_written(annotation: Any) -> Any:
    """Return the annotation with `Component` in place of each contract.

    Example:
        >>> from edanas.core.contracts import Objective
        >>> as_written(tuple[Objective, ...])
        tuple[edanas.core.settings.values.Component, ...]
    """
    args = get_args(annotation)
    if any(annotation is kind.contract for kind in KINDS):
        return Component
    if not args or kind_in(annotation) is None:
        return annotation
    inner = tuple(as_written(arg) for arg in args)
    origin = get_origin(annotation)
    return reduce(or_, inner) if origin in (Union, types.UnionType) else origin[inner]


def components_in(value: Any) -> Iterator[Component]:
    """Yield the components in the converted value of an option, also inside lists and tables."""
    if isinstance(value, Component):
        yield value
    elif isinstance(value, (tuple, list, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from components_in(item)


def filled_in(value: Any, make: Callable[[Component], Any]) -> Any:
    """Return the converted value of an option with `make(component)` in place of each component."""
    if isinstance(value, Component):
        return make(value)
    if isinstance(value, Mapping):
        return {key: filled_in(item, make) for key, item in value.items()}
    return type(value)(filled_in(item, make) for item in value) if isinstance(value, (tuple, list)) else value
