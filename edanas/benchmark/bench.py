"""Finished networks measured on real images: `bench`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edanas.benchmark.contest import contest, enter
from edanas.benchmark.forms import check_forms, forms_beside, locate
from edanas.benchmark.peak import peaks
from edanas.benchmark.results import Bench, Benched
from edanas.benchmark.shortfalls import shortfalls
from edanas.core.costs import backbone_macs
from edanas.core.devices import named_device
from edanas.core.errors import ConfigError, DataError
from edanas.core.machine import computing
from edanas.core.progress import Bar, Progress, Silent
from edanas.core.runfolder import MODELS
from edanas.core.types import ImageSet
from edanas.deploy.resource_meters import Energy
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.labelled_samples import read_labelled_samples, read_two_parts
from edanas.model.loading import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.provenance import machine

BATCH_SIZES = (1, 32, 256)

_WEIGHTS, _NAME = ".safetensors", "eenn"


@dataclass(frozen=True)
class _Order:
    """What is asked of every network; see `bench`."""

    data: str | ImageSet | None
    part: str | None
    forms: tuple[str, ...] | None
    batch_sizes: tuple[int, ...]
    threads: int
    samples: int
    repeats: int
    device: str
    seed: int
    memory: bool
    energy: Energy


def bench(
    models: str | Path | EENN | Sequence[str | Path | EENN],
    data: str | Path | ImageSet | None = None,
    *,
    part: str | None = None,
    forms: Sequence[str] | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    threads: int = 1,
    samples: int = 256,
    repeats: int = 5,
    device: str = "cpu",
    seed: int = 0,
    memory: bool = True,
    progress: Progress | None = None,
) -> Bench:
    """What networks take on this machine, beside their own backbones and what multiply-adds promise.

    Everything that is compared answers the same real images in turns; see `edanas.deploy.timing`.
    Images are prepared and confidences compared within the time. Each form is first held against the network.

    Args:
        models: Files as `load` takes them, folders of runs, whose networks are all taken, or networks.
        data: Labelled samples, as for `edanas.tune`; by default those of the run that a file lies in.
        part: Which part of the data, as for `edanas.tune`; by default calibration.
        forms: `torch`, `torch-frozen`, `torch-compiled` or exporters' names. What does not lie beside a
            network is written to a temporary folder. By default torch plain and frozen, and what lies there.
        batch_sizes: Images in a call.
        threads: How many a form may use. With one, seconds are the thread's own: blind to what else runs.
        samples: Images, at most, drawn at random.
        repeats: How often each side answers all images.
        device: Where the forms in torch compute; the others are on the CPU.
        seed: Draws and orders the images.
        memory: Whether to ask how much memory each form takes, for which processes are started.
        progress: Where to show a bar; nothing is shown if left out.

    Raises:
        ConfigError: There is no such form or data, or a number is out of range.
        DataError: The data cannot be read, or does not fit a network.
        WeightsError: A network cannot be loaded.
        ExportError: A form is damaged, does not do what the network does, or cannot be written.
    """
    for name, value in (("threads", threads), ("samples", samples), ("repeats", repeats)):
        if value < 1:
            raise ConfigError(f"{name}: found {value}; allowed: 1 or more")
    if not batch_sizes or min(batch_sizes) < 1:
        raise ConfigError(f"batch_sizes: found {list(batch_sizes)}; allowed: numbers of 1 or more")
    registry = Registry(load_plugins())
    if forms is not None:
        check_forms(registry, forms)
    order = _Order(
        data=str(data) if isinstance(data, Path) else data,
        part=part,
        forms=None if forms is None else tuple(dict.fromkeys(forms)),
        batch_sizes=tuple(sorted(set(batch_sizes))),
        threads=threads,
        samples=samples,
        repeats=repeats,
        device=device,
        seed=seed,
        memory=memory,
        energy=Energy(),
    )
    place = named_device(device)
    asked = networks_of([models] if isinstance(models, str | Path | EENN) else models)
    progress = progress or Silent()
    with computing(threads), progress.task("Measuring", len(asked) * len(order.batch_sizes)) as bar:
        found = tuple(_benched(registry, model, order, bar) for model in asked)
    alone = place.type == "cpu" and threads == 1
    return Bench(
        machine={**machine(place), "threads": threads},
        clock="CPU time of one thread" if alone else "wall time",
        energy=order.energy.missing,
        repeats=repeats,
        seed=seed,
        networks=found,
    )


def networks_of(models: Sequence[str | Path | EENN]) -> list[Path | EENN]:
    """Networks, and their files; a run's folder stands for all in it.

    Raises:
        ConfigError: There is none, or a folder holds none.
    """
    found: list[Path | EENN] = []
    for model in models:
        path = model if isinstance(model, EENN) else Path(model)
        if isinstance(path, EENN) or not path.is_dir():
            found.append(path)
            continue
        inside = sorted((path / MODELS).glob(f"*{_WEIGHTS}")) or sorted(path.glob(f"*{_WEIGHTS}"))
        if not inside:
            raise ConfigError(f"{path}: holds no network; expected a run's folder, or one of {_WEIGHTS}")
        found += inside
    if not found:
        raise ConfigError("models: found none; expected a network's file, or a run's folder")
    return found


def _benched(registry: Registry, model: Path | EENN, order: _Order, bar: Bar) -> Benched:
    network = model if isinstance(model, EENN) else load(model, order.device)
    path = None if isinstance(model, EENN) else model
    samples, part, remarks = _samples(registry, network, path, order)
    with TemporaryDirectory() as folder:
        file = path or SafetensorsExporter().export(network, Path(folder) / _NAME)[0]
        stem = file.with_suffix("")
        names, missing = forms_beside(registry, stem) if order.forms is None else (order.forms, [])
        parts = cache(lambda: _two_parts(registry, network, path, order.data))
        forms = [locate(registry, network, name, stem, Path(folder) / stem.name, parts) for name in names]
        entrants = [
            enter(registry, network, form, samples, order.threads, order.batch_sizes) for form in forms
        ]
        measured = contest(entrants, network, samples, order.repeats, order.energy, bar)
        if order.memory and network.device.type == "cpu":
            memory = peaks(file, forms, samples.images.numpy(), order.batch_sizes, order.threads)
            measured = [replace(each, memory=memory.get(each.name)) for each in measured]
    for each in entrants:
        each.runner.close()
    remarks += (*missing, *(remark for each in entrants for remark in each.remarks))
    costs = Anatomy.of(network, len(network.mean)).costs
    remarks += shortfalls(measured, costs, network.scheme)
    name = path.stem if path else _NAME
    return Benched(name, len(samples), part, backbone_macs(costs), tuple(measured), remarks)


def _samples(
    registry: Registry, network: EENN, path: Path | None, order: _Order
) -> tuple[ImageSet, str, tuple[str, ...]]:
    """The images in the order in which they are measured, what they are, and what to say of them."""
    remarks: tuple[str, ...] = ()
    if isinstance(order.data, ImageSet):
        found, part = order.data, "the images given"
    else:
        read = read_labelled_samples(registry, network, path, order.data, order.part)
        found, part, remarks = read.samples, read.part, read.remarks
    if not len(found):
        raise DataError(f"data: {part} has no samples")
    drawn = np.random.default_rng(order.seed).permutation(len(found))[: order.samples]
    chosen = found.subset(drawn)
    return replace(chosen, images=chosen.images.contiguous()), part, remarks


def _two_parts(
    registry: Registry, network: EENN, path: Path | None, data: str | ImageSet | None
) -> tuple[ImageSet, ImageSet]:
    if not isinstance(data, ImageSet):
        return read_two_parts(registry, network, path, data)
    half = len(data) // 2
    return data.subset(np.arange(half)), data.subset(np.arange(half, len(data)))
