"""Sizes at which the networks of any supernet read the images, as far as no layer of settings has them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from edanas.core.convert import Place
from edanas.core.errors import EdanasError
from edanas.core.settings import Component
from edanas.data.auto_preset import SMALLEST
from edanas.plugins.nested import kind_in
from edanas.plugins.registry import Registry

KIND = "supernet provider"

RESOLUTIONS = "resolutions"
"""The option of supernet providers with the sides of the images, in pixels."""

ENLARGED = 4
"""Largest factor by which images are enlarged without a warning."""


def sized_supernet(
    registry: Registry, supernet: Component, base: Component, side: Callable[[], int]
) -> Component:
    """Return a supernet with the option `resolutions` where neither the user nor a preset sets it.

    The provider's default sides apply as far as they do not exceed the images. If all do, networks read the
    images at their own side, or at the smallest multiple by a power of two at which the provider makes
    networks. A provider of networks of another provider, e.g. `cascade`, gets the options that the preset
    has for that other provider.

    Args:
        registry: The extensions by kind and name.
        supernet: The supernet in the settings.
        base: The supernet with the options of bundle and preset.
        side: Returns the side of the images in pixels; 0 = unknown.
    """
    options = dict(supernet.options)
    known = registry.parameters(KIND, supernet.name)
    for name, parameter in known.items():
        inner = _inner(registry, options.get(name), f"supernet.{name}")
        if inner is not None and (kind := kind_in(parameter.annotation)) and kind.name == KIND:
            if inner.name == base.name:
                inner = replace(inner, options={**base.options, **inner.options})
            options[name] = sized_supernet(registry, inner, base, side).written()
    sized = replace(supernet, options=options)
    default = known[RESOLUTIONS].default if RESOLUTIONS in known else None
    factory = registry.entry(KIND, supernet.name).factory
    if RESOLUTIONS in options or not isinstance(default, tuple) or getattr(factory, "series", False):
        return sized
    own = side()
    if not own or own >= max(default):
        return sized
    return _fitting(registry, sized, default, max(own, SMALLEST))


def _inner(registry: Registry, value: object, path: str) -> Component | None:
    """Return the provider that an option names; `None` if it names none, which later checks refuse."""
    if not isinstance(value, str) and not (isinstance(value, Mapping) and "name" in value):
        return None
    component = registry.spelled_out(KIND, Component.read(value, Place(path)))
    return component if component.name in registry.names(KIND) else None


def _fitting(registry: Registry, supernet: Component, default: Sequence[int], own: int) -> Component:
    """Return the supernet with the default sides up to `own`, or with the smallest side that it takes."""
    smaller = [each for each in default if each <= own]
    choices = [smaller] if smaller else []
    choices += [[own * 2**power] for power in range(10) if own * 2**power < min(default)]
    for sides in choices:
        sized = replace(supernet, options={**supernet.options, RESOLUTIONS: sides})
        try:
            registry.create(KIND, sized.name, sized.options)
        except EdanasError:
            continue
        return sized
    return supernet


def enlargement_sentences(images: torch.Tensor, largest: int) -> tuple[str, ...]:
    """Return a warning if networks read images at more than four times their side; empty otherwise.

    Args:
        images: The images (N, C, H, W) of the data, uint8, or series, which are floats.
        largest: Largest side at which networks read them, in pixels.

    Example:
        >>> enlargement_sentences(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 32)
        ()
    """
    side = min(images.shape[2:])
    if images.is_floating_point() or largest <= ENLARGED * side:
        return ()
    return (
        f"supernet.{RESOLUTIONS}: images of {side} px are enlarged to {largest} px, which adds no detail and "
        f"costs about {(largest / side) ** 2:,.0f} times the multiply-adds; {side} to {ENLARGED * side} "
        "suffice.",
    )
