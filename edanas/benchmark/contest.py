"""The forms of one network, measured in turns on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from edanas.benchmark.forms import Form, open_form
from edanas.benchmark.results import BatchBench, ByExit, FormBench
from edanas.core.contracts import Runner
from edanas.core.costs import backbone_macs, executed_macs
from edanas.core.errors import EdanasError
from edanas.core.machine import clock
from edanas.core.progress import Bar
from edanas.core.types import ImageSet
from edanas.deploy.export_check import SAMPLES, Check, check, resized_images
from edanas.deploy.resource_meters import Energy
from edanas.deploy.timing import Images, Side, Timing, batches, interleaved_timings
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.torch_runner import TorchRunner
from edanas.plugins.registry import Registry


@dataclass(frozen=True)
class Entrant:
    """A form that is open, and held against the network.

    Args:
        form: Which one.
        runner: Runs it.
        images: The samples in a size that it takes.
        labels: (B,) its answers.
        exits: (B,) where each leaves.
        check: What the comparison found.
        sizes: Batch sizes to measure.
        remarks: What it cannot do.
    """

    form: Form
    runner: Runner
    images: Images
    labels: npt.NDArray[np.int64]
    exits: npt.NDArray[np.int64]
    check: Check
    sizes: tuple[int, ...]
    remarks: tuple[str, ...]


def enter(
    registry: Registry,
    network: EENN,
    form: Form,
    samples: ImageSet,
    threads: int,
    sizes: tuple[int, ...],
) -> Entrant:
    """Open a form, and see that it does what the network does.

    Args:
        registry: Knows the exporters.
        network: In eval mode.
        form: What `locate` gave.
        samples: The images that all are measured on.
        threads: How many it may use.
        sizes: Rising.

    Raises:
        ExportError: It does not, or its files are damaged.
        ConfigError: `torch.compile` does not work here.
    """
    runner = open_form(registry, form, lambda: network, threads, sizes[-1])
    name = str(form.path or form.name)
    checked = check(network, runner, samples.images[:SAMPLES], exact=form.exact, name=name)
    images = resized_images(samples.images, runner).numpy()
    labels, exits, _ = runner.predict(images)
    remarks: tuple[str, ...] = ()
    try:
        runner.backbone(images[:1])
    except EdanasError as error:
        remarks = (f"{form.name} has no backbone to compare with: {error}",)
    if isinstance(runner, TorchRunner):
        for size in sizes:
            runner.ready(size)
    return Entrant(form, runner, images, labels, exits, checked, sizes, remarks)


def contest(
    entrants: Sequence[Entrant], network: EENN, samples: ImageSet, repeats: int, energy: Energy, bar: Bar
) -> list[FormBench]:
    """Measure all at each batch size, early exits and the backbone alone.

    Args:
        entrants: Of one network.
        network: Which one.
        samples: What they were entered with.
        repeats: How often each side answers all.
        energy: The machine's counter.
        bar: Advanced at each batch size.
    """
    found: dict[str, list[BatchBench]] = {each.form.name: [] for each in entrants}
    costs = Anatomy.of(network, len(network.mean)).costs
    executed = {
        each.form.name: executed_macs(costs, network.scheme, _shares(each.exits, network.exit_points))
        for each in entrants
    }
    for size in entrants[0].sizes:
        early = {each.form.name: _side(each, size, alone=False) for each in entrants}
        alone = {
            f"{each.form.name} alone": _side(each, size, alone=True) for each in entrants if not each.remarks
        }
        timings = interleaved_timings({**early, **alone}, repeats, energy.joules)
        for name, sized in found.items():
            ratio = backbone_macs(costs) / executed[name]
            sized.append(BatchBench(size, timings[name], timings.get(f"{name} alone"), ratio))
        bar.advance()
    labels = samples.labels.numpy()
    return [
        FormBench(
            name=each.form.name,
            same=each.check.same,
            compared=each.check.images,
            accuracy=float((each.labels == labels).mean()),
            executed_macs=executed[each.form.name],
            batches=tuple(found[each.form.name]),
            exits=_by_exit(each, network, found[each.form.name]),
            memory=None,
        )
        for each in entrants
    ]


def _side(entrant: Entrant, size: int, *, alone: bool) -> Side:
    runner = entrant.runner
    device = runner.network.device if isinstance(runner, TorchRunner) else torch.device("cpu")
    run = runner.backbone if alone else runner.predict
    return Side(run, batches(entrant.images, size), clock(device))


def _shares(exits: npt.NDArray[np.int64], points: int) -> list[float]:
    return [float(share) for share in np.bincount(exits, minlength=points + 1) / len(exits)]


def _by_exit(entrant: Entrant, network: EENN, sized: Sequence[BatchBench]) -> tuple[ByExit, ...]:
    single: Timing | None = next((each.early for each in sized if each.batch_size == 1), None)
    found = []
    for at in (*network.scheme.placed, network.exit_points):
        here = entrant.exits == at
        timing = single.of(here) if single is not None and here.any() else None
        found.append(ByExit(at, float(here.mean()), timing))
    return tuple(found)
