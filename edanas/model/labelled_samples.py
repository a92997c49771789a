"""Labelled samples for a finished network: a part of the data of its run, or other data."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.core.machine import user_path
from edanas.core.preprocess import resize_all
from edanas.core.settings import Component, Settings
from edanas.core.types import ImageSet, LoadedData
from edanas.data.decoding import SKIPPED
from edanas.data.folder_layout import quoted
from edanas.data.splits import PARTS, split
from edanas.model.eenn import EENN
from edanas.model.inputs import InputForm
from edanas.model.run_settings import has_other_images, run_settings
from edanas.model.sound_inputs import front_end_of
from edanas.plugins.data_sets import data_component
from edanas.plugins.registry import Registry

ALL = "all"
"""Name that selects all samples of a data set instead of one part."""


OTHER_SAMPLES = (
    "The samples of the run's data have changed since the run, and with them its parts: samples may be of "
    "its train part, and results on them too optimistic."
)
"""Remark on the data of a run whose samples differ from those of the run."""


@dataclass(frozen=True)
class LabelledSamples:
    """Labelled samples for a network, with a description.

    Args:
        samples: Images of any size. Labels are indices into the network's classes.
        part: Words that name the part in reports and messages, such as "the run's calibration part".
        remarks: Sentences about the samples for the reader of a report.
    """

    samples: ImageSet
    part: str
    remarks: tuple[str, ...]


def read_labelled_samples(
    registry: Registry,
    network: EENN,
    model: Path | None,
    data: str | None,
    part: str | None,
    *,
    skip_unreadable: bool = False,
) -> LabelledSamples:
    """Read one part of the data of the network's run, or of other data.

    The data of a run is used if the network's file lies in the folder of the run, and `data` is `None` or
    names the same data. Then `part` is one of the parts into which the run divided its data. Otherwise `part`
    is a part that the data set itself defines.

    Args:
        registry: Registry with the available data sets.
        network: Network for which the samples are read. Classes of the data are matched with the classes of
            the network by name.
        model: Path of the network's file, from which the folder of the run follows; `None` for a network
            without a file.
        data: Name of a data set, or path of a folder with one subfolder of images per class. `None` for the
            data of the run.
        part: `train`, `calibration`, `validation`, `test` or `all`. `None` for the calibration part of the
            run's data, or for all samples of other data outside its train part.
        skip_unreadable: Skip files of a folder that cannot be read as images, with a remark.

    Raises:
        ConfigError: The data or its part does not exist.
        DataError: The data cannot be read, has no samples in the part, or has a class that the network does
            not have.
    """
    if part is not None and part not in (*PARTS, ALL):
        raise ConfigError(f"part: found '{part}'.{near_miss(part, (*PARTS, ALL))}")
    source = _source(registry, network, model, data, skip_unreadable=skip_unreadable)
    if isinstance(source, Settings):
        labelled = _read_run_part(registry, network, source, part, model)
    else:
        labelled = _read_named_part(registry, network, source, str(data), part)
    return replace(labelled, samples=_match_network(labelled.samples, network))


def read_two_parts(
    registry: Registry,
    network: EENN,
    model: Path | None,
    data: str | None,
    *,
    skip_unreadable: bool = False,
) -> tuple[ImageSet, ImageSet]:
    """Read the calibration part and the validation part of the data of the network's run, or of other data.

    Other data need not define both parts. If only one part is defined, the second part consists of all
    remaining samples. If neither part is defined, all samples are divided into halves at random. Samples of
    a test part are never used.

    Args:
        registry: See `read_labelled_samples`.
        network: See `read_labelled_samples`.
        model: See `read_labelled_samples`.
        data: See `read_labelled_samples`.
        skip_unreadable: See `read_labelled_samples`.

    Returns:
        The calibration samples, to determine values such as scales, and the validation samples, to measure
        results.

    Raises:
        ConfigError: The data does not exist.
        DataError: The data cannot be read, has a class that the network does not have, or has too few images
            for two parts.
    """
    source = _source(registry, network, model, data, skip_unreadable=skip_unreadable)
    if isinstance(source, Settings):
        calibration, validation = (
            _read_run_part(registry, network, source, part, model).samples
            for part in ("calibration", "validation")
        )
        return _match_network(calibration, network), _match_network(validation, network)
    loaded = _load(registry, source, network, 0)
    parts = [np.flatnonzero(loaded.parts == part) for part in ("calibration", "validation")]
    rest = np.flatnonzero(~np.isin(loaded.parts, ["calibration", "validation", "test"]))
    rest = np.random.default_rng(0).permutation(rest)
    if not any(map(len, parts)):
        parts = [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
    halves = [part if len(part) else rest for part in parts]
    if not all(map(len, halves)):
        raise DataError(
            f"{data}: found {len(rest)} samples outside its calibration, validation and test parts; "
            "allowed: 2 or more"
        )
    calibration, validation = (_match_network(loaded.samples.subset(half), network) for half in halves)
    return calibration, validation


def _source(
    registry: Registry, network: EENN, model: Path | None, data: str | None, *, skip_unreadable: bool
) -> Settings | Component:
    """Return the settings of the network's run if `data` is the data of that run, else the data set.

    Samples of the user from outside the run are read with the channels or the front end of the network.
    """
    settings = run_settings(model)
    if data is None and settings is None:
        raise ConfigError(
            "data: none given, and the network's file is not in a run folder; "
            "allowed: the name of a data set, a folder with one subfolder for each class, or a file"
        )
    own = settings is not None and (data is None or _is_run_data(registry, settings, data))
    component = _component(registry, settings.data if own and settings else Component(str(data)))
    options = registry.parameters("data set", component.name)
    reading: dict[str, Any] = {"channels": "grey" if len(network.mean) == 1 else "rgb"}
    if front_end := front_end_of(network):
        seconds = front_end.length / front_end.rate
        reading |= {"front_end": front_end.kind, "rate": front_end.rate, "seconds": seconds}
        reading["side"] = front_end.side
    reading = {} if own else {name: value for name, value in reading.items() if name in options}
    skip = {"skip_unreadable": True} if "skip_unreadable" in options and skip_unreadable else {}
    component = Component(component.name, {**reading, **component.options, **skip})
    return replace(settings, data=component) if own and settings else component


def _read_run_part(
    registry: Registry, network: EENN, settings: Settings, part: str | None, model: Path | None
) -> LabelledSamples:
    """Read a part of the data of the network's run; `None` for the calibration part."""
    loaded = _load(registry, data_component(registry, settings.data), network, settings.seed)
    chosen = part or "calibration"
    remarks = list(loaded.remarks)
    if any(SKIPPED in remark for remark in remarks):
        remarks.append(
            "Files that were readable during the run change its parts: samples may be of its train part."
        )
    if chosen in ("train", ALL):
        remarks.append(
            "The network was trained on some of these samples, so results on them are too optimistic."
        )
    if chosen == "test":
        remarks.append("The test part was used here, so results on it are no test accuracy any more.")
    if chosen == ALL:
        return LabelledSamples(loaded.samples, "all of the run's data", tuple(remarks))
    parts = split(loaded, settings.split, settings.seed)
    if model is not None and has_other_images(model, parts.train):
        remarks.append(OTHER_SAMPLES)
    samples = getattr(parts, chosen)
    return LabelledSamples(samples, f"the run's {chosen} part", tuple(remarks))


def _read_named_part(
    registry: Registry, network: EENN, source: Component, data: str, part: str | None
) -> LabelledSamples:
    """Read a part that a data set itself defines; `None` for all samples outside its train part."""
    loaded = _load(registry, source, network, 0)
    part_names = sorted({str(name) for name in loaded.parts} - {""})
    if part is None and part_names:
        selected, description = loaded.parts != "train", f"all but the train part of {data}"
    elif part in (None, ALL):
        selected, description = np.ones(len(loaded.parts), dtype=np.bool_), f"all of {data}"
    elif part in part_names:
        selected, description = loaded.parts == part, f"the {part} part of {data}"
    else:
        allowed = ", ".join([*part_names, ALL])
        raise ConfigError(f"part: found '{part}', which {data} does not name; allowed: {allowed}")
    if not selected.any():
        raise DataError(f"{data}: {description} has no samples")
    samples = loaded.samples.subset(np.flatnonzero(selected))
    return LabelledSamples(samples, description, loaded.remarks)


def _component(registry: Registry, data: Component) -> Component:
    """Return the component of a data set that is named as in settings, e.g. by its path."""
    is_path = user_path(data.name).exists()
    return data_component(registry, data if is_path else registry.spelled_out("data set", data))


def _load(registry: Registry, component: Component, network: EENN, seed: int) -> LoadedData:
    """Load a data set with images of the size at which the network's run reads them."""
    source = registry.create("data set", component.name, component.options)
    size = network.image_size
    loaded: LoadedData = (
        source.load_at(size, seed) if size else source.load(_image_side(registry, network), seed)
    )
    return loaded


def _image_side(registry: Registry, network: EENN) -> int:
    """Return the largest side of an image, in pixels, for a network whose description states no size.

    It is the largest among the resolutions of search space and network. Without a recorded supernet, it is
    the resolution of the network.
    """
    supernet = network.description.get("supernet")
    if not supernet:
        return network.resolution
    variables = registry.create("supernet provider", supernet["name"], supernet["options"]).variables()
    sides = [
        choice
        for each in variables
        if each.name == "resolution"
        for choice in each.choices
        if choice is not None
    ]
    return int(max([network.resolution, *sides]))


def _is_run_data(registry: Registry, settings: Settings, data: str) -> bool:
    """Return true if `data` is the name or the folder of the run's data set."""

    def name_and_path(component: Component) -> tuple[str, str]:
        source = _component(registry, component)
        path = source.options.get("path")
        place = str(user_path(str(path)).resolve()) if path else ""
        return source.name, place or str(source.options.get("digest", ""))

    try:
        return name_and_path(settings.data) == name_and_path(Component(data))
    except ConfigError:
        return False  # the run's data is missing; reading `data` raises the error


def _match_network(samples: ImageSet, network: EENN) -> ImageSet:
    """Return the samples with the network's size of images, number of channels and labels.

    Raises:
        DataError: A sample has a class that the network does not have, or the samples are series for a
            network for images, or the reverse.
    """
    if samples.images.is_floating_point() != network.series:
        kinds = ("series", "images") if network.series else ("images", "series")
        raise DataError(f"data: found {kinds[1]}; allowed: {kinds[0]}, which the network classifies")
    number = {name: label for label, name in enumerate(network.classes)}
    used = torch.unique(samples.labels).tolist()
    for label in used:
        name = samples.classes[label]
        if name not in number:
            raise DataError(
                f"classes: found {quoted(name, network.classes)}, a class that the network does not have."
                f"{near_miss(name, number)}"
            )
    lookup = torch.tensor([number.get(name, -1) for name in samples.classes], dtype=torch.int64)
    images = samples.images
    if network.series:
        images = InputForm.of(network).batch(images)
    elif network.image_size is not None:
        images = resize_all(images, network.image_size)
    if images.shape[1] == 1 and len(network.mean) == 3 and not network.series:
        images = images.expand(-1, 3, -1, -1)
    return ImageSet(images, lookup[samples.labels], tuple(network.classes))
