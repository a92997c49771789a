"""Labelled samples for a finished network: a part of its run's own data, or any other."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.config import read_toml, resolve
from edanas.core.errors import ConfigError, DataError, EdanasError, near_miss
from edanas.core.runfolder import CONFIG, ENVIRONMENT, MODELS
from edanas.core.settings import Component, Settings
from edanas.core.types import ImageSet, LoadedData
from edanas.data.splits import PARTS, split
from edanas.model.eenn import EENN
from edanas.plugins.data_sets import data_component
from edanas.plugins.registry import Registry

ALL = "all"


@dataclass(frozen=True)
class LabelledSamples:
    """Samples with labels as the network numbers its classes.

    Args:
        samples: Images of any size.
        part: What they are, in words.
        remarks: What a reader should know of them.
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
) -> LabelledSamples:
    """Read samples for a network.

    Where the network lies in its run's folder and the data is the run's, the parts are the run's, and the
    calibration part is taken. Otherwise parts are those that the data names itself; all but a train part is
    taken.

    Args:
        registry: Knows the data sets.
        network: Its classes are looked for in the data, by name.
        model: Its file, by which the run is found; `None` if there is none.
        data: A data set's name, or the path of a folder of class folders; `None` is the run's own.
        part: `train`, `calibration`, `validation`, `test` or `all`; `None` for the one above.

    Raises:
        ConfigError: There is no such data, or it has no such part.
        DataError: It cannot be read, or has classes that the network does not know.
    """
    if part is not None and part not in (*PARTS, ALL):
        raise ConfigError(f"part: found '{part}'.{near_miss(part, (*PARTS, ALL))}")
    settings = _settings_of_own_data(registry, model, data)
    if settings is not None:
        found = _read_run_part(registry, network, settings, part)
    else:
        found = _read_named_part(registry, network, str(data), part)
    return replace(found, samples=_match_network(found.samples, network))


def read_two_parts(
    registry: Registry, network: EENN, model: Path | None, data: str | None
) -> tuple[ImageSet, ImageSet]:
    """Samples to set something by, and others to measure it on: the parts calibration and validation.

    Data that is no run's may name one of them; the rest is then the other. What it names test is left alone,
    and where it names neither, what remains is divided in two at random.

    Args:
        registry: As for `labelled`.
        network: As for `labelled`.
        model: As for `labelled`.
        data: As for `labelled`.

    Raises:
        ConfigError: There is no such data.
        DataError: It cannot be read, has classes that the network does not know, or leaves fewer than 2.
    """
    settings = _settings_of_own_data(registry, model, data)
    if settings is not None:
        setting, measuring = (
            _read_run_part(registry, network, settings, part).samples
            for part in ("calibration", "validation")
        )
        return _match_network(setting, network), _match_network(measuring, network)
    loaded = _load_source(registry, network, str(data))
    parts = [np.flatnonzero(loaded.parts == part) for part in ("calibration", "validation")]
    rest = np.flatnonzero(~np.isin(loaded.parts, ["calibration", "validation", "test"]))
    rest = np.random.default_rng(0).permutation(rest)
    if not any(map(len, parts)):
        parts = [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
    halves = [part if len(part) else rest for part in parts]
    if not all(map(len, halves)):
        raise DataError(f"{data}: found {len(rest)} images beside its named parts; allowed: 2 or more")
    calibration, validation = (_match_network(loaded.samples.subset(half), network) for half in halves)
    return calibration, validation


def _settings_of_own_data(registry: Registry, model: Path | None, data: str | None) -> Settings | None:
    """The settings of the network's run, where the data asked for is the run's."""
    settings = _run_settings(model)
    if data is None and settings is None:
        raise ConfigError(
            "data: found nothing, and the network lies in no run's folder whose data to take; expected a "
            "data set's name, or a folder of class folders"
        )
    own = settings is not None and (data is None or _is_run_data(registry, settings, data))
    return settings if own else None


def _read_run_part(
    registry: Registry, network: EENN, settings: Settings, part: str | None
) -> LabelledSamples:
    loaded = _load(registry, data_component(registry, settings.data), network, settings.seed)
    chosen = part or "calibration"
    remarks = list(loaded.remarks)
    if chosen in ("train", ALL):
        remarks.append("The network was trained on some of these samples: what it does there says too much.")
    if chosen == "test":
        remarks.append("The test part is used up by this: what is found on it is no test accuracy any more.")
    if chosen == ALL:
        return LabelledSamples(loaded.samples, "all of the run's data", tuple(remarks))
    samples = getattr(split(loaded, settings.split, settings.seed), chosen)
    return LabelledSamples(samples, f"the run's {chosen} part", tuple(remarks))


def _read_named_part(registry: Registry, network: EENN, data: str, part: str | None) -> LabelledSamples:
    loaded = _load_source(registry, network, data)
    named = sorted({str(name) for name in loaded.parts} - {""})
    if part is None and named:
        kept, words = loaded.parts != "train", f"all but the train part of {data}"
    elif part in (None, ALL):
        kept, words = np.ones(len(loaded.parts), dtype=np.bool_), f"all of {data}"
    elif part in named:
        kept, words = loaded.parts == part, f"the {part} part of {data}"
    else:
        allowed = ", ".join([*named, ALL])
        raise ConfigError(f"part: '{part}' is none that {data} names itself; allowed: {allowed}")
    if not kept.any():
        raise DataError(f"{data}: {words} has no samples")
    samples = loaded.samples.subset(np.flatnonzero(kept))
    return LabelledSamples(samples, words, loaded.remarks)


def _load_source(registry: Registry, network: EENN, data: str) -> LoadedData:
    component = data_component(registry, Component(data))
    if component.name == "folder":
        channels = "grey" if len(network.mean) == 1 else "rgb"
        component = Component("folder", {"channels": channels, **component.options})
    return _load(registry, component, network, 0)


def _load(registry: Registry, component: Component, network: EENN, seed: int) -> LoadedData:
    source = registry.create("data set", component.name, component.options)
    loaded: LoadedData = source.load(_image_side(registry, network), seed)
    return loaded


def _image_side(registry: Registry, network: EENN) -> int:
    """The side that a run reads images at: the largest of the network's search space."""
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


def _run_settings(model: Path | None) -> Settings | None:
    """The settings of the run in whose folder `models` a network lies, if it does.

    Raises:
        ConfigError: It does, and they cannot be read.
    """
    if model is None or model.absolute().parent.name != MODELS:
        return None
    run = model.absolute().parent.parent
    config = run / CONFIG
    # Other programs have files of that name, too.
    if not config.is_file() or not any((run / name).is_file() for name in (ARCHIVE, ENVIRONMENT)):
        return None
    try:
        return resolve([(str(config), read_toml(config))])
    except ConfigError:
        raise
    except EdanasError as error:
        raise ConfigError(f"{config}: cannot be read: {error}") from error


def _is_run_data(registry: Registry, settings: Settings, data: str) -> bool:
    def known(component: Component) -> tuple[str, str]:
        found = data_component(registry, component)
        path = found.options.get("path")
        return found.name, str(Path(str(path)).expanduser().resolve()) if path else ""

    try:
        return known(settings.data) == known(Component(data))
    except ConfigError:
        return False  # the run's data is gone; an error about `data` follows where it is read


def _match_network(samples: ImageSet, network: EENN) -> ImageSet:
    """With the network's channels, and labels as it numbers its classes."""
    number = {name: label for label, name in enumerate(network.classes)}
    used = torch.unique(samples.labels).tolist()
    for label in used:
        name = samples.classes[label]
        if name not in number:
            raise DataError(f"class '{name}' of the data is none of the network's.{near_miss(name, number)}")
    lookup = torch.tensor([number.get(name, -1) for name in samples.classes], dtype=torch.int64)
    images = samples.images
    if images.shape[1] == 1 and len(network.mean) == 3:
        images = images.expand(-1, 3, -1, -1)
    return ImageSet(images, lookup[samples.labels], tuple(network.classes))
