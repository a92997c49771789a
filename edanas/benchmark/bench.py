"""The public function `bench`, which measures finished networks on real images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
from edanas.data.passed_data import data_name
from edanas.deploy.resource_meters import Energy
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.inputs import InputForm
from edanas.model.labelled_samples import read_labelled_samples, read_two_parts
from edanas.model.loading import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.console import default_progress
from edanas.run.provenance import machine

BATCH_SIZES = (1, 32, 256)
"""The default batch sizes, in images."""

_WEIGHTS, _NAME = ".safetensors", "eenn"


@dataclass(frozen=True)
class _BenchOptions:
    """The arguments of `bench` that are the same for all networks, and the energy counter."""

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
    skip_unreadable: bool


def bench(
    models: str | Path | EENN | Sequence[str | Path | EENN],
    data: Any = None,
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
    skip_unreadable: bool = False,
) -> Bench:
    """Measure the latency, energy and memory of networks on this machine, with and without early exits.

    The result also compares the speed-up with the multiply-adds that early exits save. Before the
    measurement, the predictions of each form are compared with the predictions of the network. All forms of a
    network classify the same images in turns; see `edanas.deploy.timing`. The time includes the preparation
    of images and the comparison of confidences with thresholds. Memory is measured on the CPU only.

    Args:
        models: One or several network files, run folders or networks. A network file is as for `edanas.load`;
            a run folder stands for all its networks.
        data: Labelled samples, as for `edanas.tune`; by default the data of the run that wrote the network.
        part: The part of the data, as for `edanas.tune`: `train`, `calibration`, `validation`, `test` or
            `all`. By default `calibration` for the run's data; for any other data, everything
            except its train part.
        forms: The names of forms: `torch`, `torch-frozen`, `torch-compiled` or names of exporters. A form
            without a file beside the network is exported to a temporary folder. By default `torch`,
            `torch-frozen`, and the exported forms with a file beside the network.
        batch_sizes: The batch sizes to measure, in images; 1, 32 and 256 by default.
        threads: The number of CPU threads that each form may use; 1 by default. With one thread on the CPU,
            the time is the CPU time of the thread, which other processes do not affect.
        samples: The largest number of images, drawn at random from the data; 256 by default.
        repeats: The number of repetitions, 5 by default; in each repetition, every form classifies all
            images.
        device: The device for the forms in torch, `cpu` by default; other forms run on the CPU.
        seed: The random seed for the choice and the order of the images; 0 by default.
        memory: Measure the peak memory of each form, each in a separate process; `True` by default.
        progress: The display of progress; by default as for `edanas.search`.
        skip_unreadable: Skip files of a folder that cannot be read as images; by default they are an error.

    Returns:
        The measurements of each network and form, and a description of the machine.

    Raises:
        ConfigError: A form or data set does not exist, a number is out of range, or there is no network.
        DataError: The data cannot be read, has no samples, or does not fit a network.
        WeightsError: A network cannot be loaded.
        ExportError: A form is damaged, predicts other classes than the network, or cannot be written.

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
        data=data if data is None or isinstance(data, ImageSet) else data_name(data),
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
        skip_unreadable=skip_unreadable,
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
    """Return networks and network files; a folder is replaced by the network files in it.

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
            raise ConfigError(
                f"{path}: holds no network; expected a run folder, or a folder of {_WEIGHTS} files"
            )
        networks += inside
    if not networks:
        raise ConfigError("models: found none; expected a network file or a run folder")
    return networks


def _bench_network(registry: Registry, model: Path | EENN, options: _BenchOptions, bar: Bar) -> NetworkBench:
    network = model if isinstance(model, EENN) else load(model, options.device)
    path = None if isinstance(model, EENN) else model
    samples, part, remarks = _samples(registry, network, path, options)
    with TemporaryDirectory() as folder:
        file = path or SafetensorsExporter().export(network, Path(folder) / _NAME)[0]
        stem = file.with_suffix("")
        names, missing = forms_beside(registry, stem) if options.forms is None else (options.forms, [])
        parts = cache(lambda: _two_parts(registry, network, path, options))
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
    """Return the images to classify, in random order, a description of them, and remarks on them."""
    remarks: tuple[str, ...] = ()
    if isinstance(options.data, ImageSet):
        samples, part = options.data, "the passed data"
    else:
        read = read_labelled_samples(
            registry, network, path, options.data, options.part, skip_unreadable=options.skip_unreadable
        )
        samples, part, remarks = read.samples, read.part, read.remarks
    if not len(samples):
        raise DataError(f"data: {part} has no samples; expected one or more")
    order = np.random.default_rng(options.seed).permutation(len(samples))[: options.samples]
    chosen = samples.subset(order)
    images = InputForm.of(network).batch(chosen.images)
    return replace(chosen, images=images.contiguous()), part, remarks


def _two_parts(
    registry: Registry, network: EENN, path: Path | None, options: _BenchOptions
) -> tuple[ImageSet, ImageSet]:
    data = options.data
    if not isinstance(data, ImageSet):
        return read_two_parts(registry, network, path, data, skip_unreadable=options.skip_unreadable)
    data = replace(data, images=InputForm.of(network).batch(data.images))
    half = len(data) // 2
    return data.subset(np.arange(half)), data.subset(np.arange(half, len(data)))
