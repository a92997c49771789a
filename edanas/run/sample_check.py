"""Check that the networks of a run classify the kind of samples in its data."""

from edanas.core.contracts import SupernetProvider
from edanas.core.errors import ConfigError
from edanas.core.settings import Settings
from edanas.core.types import DataParts
from edanas.plugins.registry import Registry

_KINDS = ("images (N, C, H, W), (N, H, W, C) or (N, H, W)", "series (N, L) or (N, C, L)")


def check_samples(
    registry: Registry, settings: Settings, provider: SupernetProvider, parts: DataParts
) -> None:
    """Check that the supernet classifies the kind of samples of the data, images or series.

    Raises:
        ConfigError: It classifies the other kind, or cannot take series of unequal length.
    """
    name = settings.supernet.name
    if parts.series != provider.series:
        entries = registry.entries("supernet provider")
        fitting = [e.name for e in entries if getattr(e.factory, "series", False) == parts.series]
        bundle = ", e.g. by `--plugin signal-sm`" if parts.series else ""
        raise ConfigError(
            f"supernet: '{name}' classifies {_KINDS[provider.series]}, but the data has "
            f"{_KINDS[parts.series]}; allowed: {', '.join(fitting)}{bundle}"
        )
    if parts.padded and not provider.masked:
        raise ConfigError(
            f"supernet.masked: found false for '{name}', but the data has series of unequal length; allowed: "
            "true, in a supernet with this option (elastic-1d)"
        )
