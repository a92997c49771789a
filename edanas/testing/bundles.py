"""The conformance suite for bundles."""

from collections.abc import Iterator
from typing import Any

from edanas.core.config import Layer, resolve, to_plain
from edanas.core.errors import EdanasError
from edanas.core.settings import Component, Settings
from edanas.plugins.registry import SETTING, Registry
from edanas.testing.conformance import ConformanceError, reported_call, require


def check_bundle(name: str, registry: Registry) -> None:
    """Check a bundle against its contract: its settings and presets use existing names and options only.

    Args:
        name: The bundle's name.
        registry: The installed plugins, e.g. `Registry(load_plugins())`.

    Raises:
        ConformanceError: The bundle breaks its contract.

    Example:
        >>> from edanas.plugins.manager import load_plugins
        >>> check_bundle("mbv3-sm", Registry(load_plugins()))
    """
    owner = f"bundle '{name}'"
    with reported_call(owner, "finding it"):
        bundle = registry.bundle(name)
    require(
        owner,
        isinstance(bundle.doc, str) and bundle.doc.strip() and "\n" not in bundle.doc,
        f"doc is {bundle.doc!r}; expected one line",
    )
    for preset in bundle.presets or ("",):
        where = f"bundle '{name}', preset '{preset}'" if preset else owner
        require(owner, isinstance(preset, str), f"a preset is named {preset!r}; expected text")
        base: Layer = (owner, bundle.settings)
        layer: Layer = (where, bundle.presets.get(preset, {}))
        _check_scope(where, base, layer)
        with reported_call(where, "resolving its settings"):
            settings = resolve([base, layer])
            again = resolve([("a file", to_plain(settings))])
        require(
            where, again == settings, "its settings differ after a conversion to the types of TOML and back"
        )
        _check_components(where, registry, settings)


def _check_scope(where: str, *layers: Layer) -> None:
    """Check that no layer of settings sets `plugin` or `preset`, which are the user's choice."""
    for origin, table in layers:
        chosen = sorted({"plugin", "preset"} & {str(key) for key in table})
        require(where, not chosen, f"{origin} sets {', '.join(chosen)}, which is the user's choice")


def _check_components(where: str, registry: Registry, settings: Settings) -> None:
    """Check that every implementation in the settings exists and accepts its options."""
    for kind, path in SETTING.items():
        for component in _components(getattr(settings, path)):
            # An evaluation needs a run's workbench, so only its options are checked.
            try:
                if kind == "evaluation":
                    registry.check(kind, component.name, component.options, leading=1)
                elif kind != "bundle":
                    registry.create(kind, component.name, component.options)
            except EdanasError as error:
                raise ConformanceError(f"{where}: {kind} '{component.name}': {error}") from error


def _components(value: Any) -> Iterator[Component]:
    if isinstance(value, Component):
        yield value
    elif isinstance(value, tuple):
        yield from value
