"""Checks that the networks and the exporters of a run take the samples in its data."""

from collections.abc import Sequence

from edanas.core.contracts import Exporter, SupernetProvider
from edanas.core.errors import ConfigError, ExportError
from edanas.core.settings import Settings
from edanas.core.types import DataParts
from edanas.evaluation.workbench import Workbench
from edanas.plugins.registry import Registry

_KINDS = ("images (N, C, H, W), (N, H, W, C) or (N, H, W)", "series (N, L), (N, C, L) or (N, L, C)")


def check_samples(
    registry: Registry, settings: Settings, provider: SupernetProvider, parts: DataParts
) -> None:
    """Check that the supernet classifies the kind of samples of the data, images or series.

    Raises:
        ConfigError: It classifies the other kind, cannot take series of unequal length, or is to begin with
            smaller series.
    """
    name = settings.supernet.name
    if parts.series != provider.series:
        entries = registry.entries("supernet provider")
        fitting = [e.name for e in entries if getattr(e.factory, "series", False) == parts.series]
        advice = "; data.layout names the axes of series"
        if parts.series:
            advice = (
                ", e.g. by `--plugin signal-sm`; data.front_end=log-mel and data.rate make pictures of "
                "recordings"
            )
        if parts.front_end and not parts.series:
            advice = "; data.front_end=raw reads sound as series"
        raise ConfigError(
            f"supernet: '{name}' classifies {_KINDS[provider.series]}, but the data has "
            f"{_KINDS[parts.series]}; allowed: {', '.join(fitting)}{advice}"
        )
    if parts.padded and not provider.masked:
        raise ConfigError(
            f"supernet.masked: found false for '{name}', but the data has series of unequal length; allowed: "
            "true, in a supernet with this option (elastic-1d)"
        )
    if parts.series and settings.training.initial_side < 1:
        raise ConfigError(
            f"training.initial_side: found {settings.training.initial_side:g}, but the data has series; "
            "allowed: 1, since images alone are resized over a training"
        )


def check_exporters(exporters: Sequence[Exporter], parts: DataParts) -> None:
    """Check that every exporter can write networks for the samples, so that no training is for nothing.

    Args:
        exporters: The exporters.
        parts: The parts of the data.

    Raises:
        ConfigError: An exporter takes no series of unequal length, or needs more calibration images.
    """
    for exporter in exporters:
        name = exporter.registered_name
        if parts.padded and not exporter.takes_padding:
            raise ConfigError(
                f"exports: found '{name}', which has no masks for padding, but the data has series of "
                "unequal length; allowed: c, onnx, pt2, or series of one length"
            )
        if len(parts.calibration) < exporter.fewest_images:
            raise ConfigError(
                f"exports: '{name}' sets scales on {exporter.fewest_images} calibration samples or more, but "
                f"the part has {len(parts.calibration)}; allowed: more samples, or a larger split.calibration"
            )


def check_layers(exporters: Sequence[Exporter], bench: Workbench) -> None:
    """Check that every exporter can write the layers of the smallest and the largest network.

    Args:
        exporters: The exporters.
        bench: The run's objects and data.

    Raises:
        ConfigError: An exporter cannot; the message names the layer.
    """
    checking = [each for each in exporters if type(each).check_layers is not Exporter.check_layers]
    if not checking:
        return
    space = bench.space.whole()
    for backbone in (space.smallest(), space.largest()):
        network = bench.builder.with_every_head(backbone)
        network.scheme = (1.0,) * network.exit_points
        network.description = bench.describe(backbone)
        for exporter in checking:
            try:
                exporter.check_layers(network)
            except ExportError as error:
                raise ConfigError(
                    f"exports: '{exporter.registered_name}' cannot write the networks of this run: {error}"
                ) from error
