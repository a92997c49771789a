"""The public function `bench`: finished networks measured on real images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edanas.benchmark.forms import check_forms, forms_beside, locate_form
from edanas.benchmark.peak_memory import peak_memory
from edanas.benchmark.results import Bench, NetworkBench
from edanas.benchmark.shortfalls import shortfalls
from edanas.benchmark.timing_forms import open_and_check, time_forms
from edanas.core.costs import backbone_macs
from edanas.core.devices import named_device
from edanas.core.errors import ConfigError, DataError
from edanas.core.machine import computing
from edanas.core.progress import Bar, Progress
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
from edanas.run.console import default_progress
from edanas.run.provenance import machine

BATCH_SIZES = (1, 32, 256)

_WEIGHTS, _NAME = ".safetensors", "eenn"


@dataclass(frozen=True)
class _BenchOptions:
    """The arguments of `bench` that hold for every network, and the energy counter."""

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
    """Measure networks on this machine, and compare them with their backbones and with multiply-adds.

    All forms of a network classify the same real images in turns; see `edanas.deploy.timing`. The time
    includes the preparation of images and the comparison of confidences. Before it is measured, each form is
    compared with the network.

    Args:
        models: Files as for `edanas.load`, folders of runs (for all their networks), or networks.
        data: Labelled samples, as for `edanas.tune`; by default those of the run that a file is from.
        part: The part of the data, as for `edanas.tune`; by default calibration.
        forms: `torch`, `torch-frozen`, `torch-compiled` or names of exporters. A form without a file beside
            the network is exported to a temporary folder. By default torch plain and frozen, and the forms
            with a file beside the network.
        batch_sizes: Images in a call.
        threads: Threads that each form may use. With one, seconds are CPU time of the thread, which other
            processes do not affect.
        samples: The largest number of images, drawn at random.
        repeats: The number of repetitions; in each, every form classifies all images.
        device: The device for the forms in torch; other forms run on the CPU.
        seed: The seed of the choice and the order of images.
        memory: Measure the peak memory of each form, in processes of their own.
        progress: Where to show progress; by default as for `edanas.search`.

    Raises:
        ConfigError: A form or data set does not exist, or a number is out of range.
        DataError: The data cannot be read, or does not fit a network.
        WeightsError: A network cannot be loaded.
        ExportError: A form is damaged, predicts differently from the network, or cannot be written.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> try:
        ...     bench("runs/digits", threads=0)
        ... except ConfigError as error:
        ...     print(error)
        threads: found 0; allowed: 1 or more
    """
    for name, value in (("threads", threads), ("samples", samples), ("repeats", repeats)):
        if value < 1:
            raise ConfigError(f"{name}: found {value}; allowed: 1 or more")
    if not batch_sizes or min(batch_sizes) < 1:
        raise ConfigError(f"batch_sizes: found {list(batch_sizes)}; allowed: numbers of 1 or more")
    registry = Registry(load_plugins())
    if forms is not None:
        check_forms(registry, forms)
    options = _BenchOptions(
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
    torch_device = named_device(device)
    networks = networks_of([models] if isinstance(models, str | Path | EENN) else models)
    progress = progress or default_progress()
    with computing(threads), progress.task("Measuring", len(networks) * len(options.batch_sizes)) as bar:
        results = tuple(_bench_network(registry, model, options, bar) for model in networks)
    is_thread_time = torch_device.type == "cpu" and threads == 1
    return Bench(
        machine={**machine(torch_device), "threads": threads},
        clock="CPU time of one thread" if is_thread_time else "wall time",
        energy=options.energy.missing,
        repeats=repeats,
        seed=seed,
        networks=results,
    )


def networks_of(models: Sequence[str | Path | EENN]) -> list[Path | EENN]:
    """Return networks and files of networks; a folder of a run is replaced by its files.

    Raises:
        ConfigError: The list is empty, or a folder holds no network.
    """
    networks: list[Path | EENN] = []
    for model in models:
        path = model if isinstance(model, EENN) else Path(model)
        if isinstance(path, EENN) or not path.is_dir():
            networks.append(path)
            continue
        inside = sorted((path / MODELS).glob(f"*{_WEIGHTS}")) or sorted(path.glob(f"*{_WEIGHTS}"))
        if not inside:
            raise ConfigError(f"{path}: holds no network; expected a run's folder, or one of {_WEIGHTS}")
        networks += inside
    if not networks:
        raise ConfigError("models: found none; expected a network's file, or a run's folder")
    return networks


def _bench_network(registry: Registry, model: Path | EENN, options: _BenchOptions, bar: Bar) -> NetworkBench:
    network = model if isinstance(model, EENN) else load(model, options.device)
    path = None if isinstance(model, EENN) else model
    samples, part, remarks = _samples(registry, network, path, options)
    with TemporaryDirectory() as folder:
        file = path or SafetensorsExporter().export(network, Path(folder) / _NAME)[0]
        stem = file.with_suffix("")
        names, missing = forms_beside(registry, stem) if options.forms is None else (options.forms, [])
        parts = cache(lambda: _two_parts(registry, network, path, options.data))
        spare = Path(folder) / stem.name
        forms = [locate_form(registry, network, name, stem, spare, parts) for name in names]
        threads, sizes = options.threads, options.batch_sizes
        open_forms = [open_and_check(registry, network, form, samples, threads, sizes) for form in forms]
        results = time_forms(open_forms, network, samples, options.repeats, options.energy, bar)
        if options.memory and network.device.type == "cpu":
            peaks = peak_memory(file, forms, samples.images.numpy(), sizes, threads)
            results = [replace(each, memory=peaks.get(each.name)) for each in results]
    for form in open_forms:
        form.runner.close()
    remarks += (*missing, *(remark for form in open_forms for remark in form.remarks))
    costs = Anatomy.of(network, len(network.mean)).costs
    remarks += shortfalls(results, costs, network.scheme)
    name = path.stem if path else _NAME
    return NetworkBench(name, len(samples), part, backbone_macs(costs), tuple(results), remarks)


def _samples(
    registry: Registry, network: EENN, path: Path | None, options: _BenchOptions
) -> tuple[ImageSet, str, tuple[str, ...]]:
    """Return the images in the order of measuring, a description of them, and remarks."""
    remarks: tuple[str, ...] = ()
    if isinstance(options.data, ImageSet):
        samples, part = options.data, "the images given"
    else:
        read = read_labelled_samples(registry, network, path, options.data, options.part)
        samples, part, remarks = read.samples, read.part, read.remarks
    if not len(samples):
        raise DataError(f"data: {part} has no samples")
    order = np.random.default_rng(options.seed).permutation(len(samples))[: options.samples]
    chosen = samples.subset(order)
    return replace(chosen, images=chosen.images.contiguous()), part, remarks


def _two_parts(
    registry: Registry, network: EENN, path: Path | None, data: str | ImageSet | None
) -> tuple[ImageSet, ImageSet]:
    if not isinstance(data, ImageSet):
        return read_two_parts(registry, network, path, data)
    half = len(data) // 2
    return data.subset(np.arange(half)), data.subset(np.arange(half, len(data)))
