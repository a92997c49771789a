"""Sizes of exit classifiers that follow from the width of a hand-made network."""

from dataclasses import replace

from edanas.core.settings import Component
from edanas.plugins.registry import Registry

_KIND = "exit classifier"

_HIDDEN = ("hidden", "filters", "channels")
"""The options of exit classifiers with numbers of hidden units or channels."""


def scaled_classifier(
    registry: Registry, classifier: Component, supernet: Component, preset: Component
) -> Component:
    """Return an exit classifier whose hidden layers are as wide, by the factor `width`, as the supernet.

    Numbers that the user sets stay, and so does the classifier of a supernet without `scales_heads`.

    Args:
        registry: The extensions by kind and name.
        classifier: The exit classifier in the settings.
        supernet: The supernet in the settings.
        preset: The exit classifier of bundle and preset, without the settings of the user.
    """
    factory = registry.entry("supernet provider", supernet.name).factory
    width = supernet.options.get("width", 1.0)
    if not getattr(factory, "scales_heads", False) or not isinstance(width, int | float):
        return classifier
    known = registry.parameters(_KIND, classifier.name)
    before = preset.options if preset.name == classifier.name else {}
    scaled = {}
    for name in _HIDDEN:
        number = before.get(name, known[name].default) if name in known else None
        if number is not None and classifier.options.get(name, number) == number:
            scaled[name] = _times(number, width)
    return replace(classifier, options={**classifier.options, **scaled}) if width != 1 else classifier


def _times(number: int | list[int] | tuple[int, ...], width: float) -> int | list[int]:
    if isinstance(number, int):
        return max(1, round(number * width)) if number else 0
    return [max(1, round(each * width)) for each in number]
