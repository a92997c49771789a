"""The timings of all forms of one network, measured in turns on the same images."""

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
from edanas.deploy.timing import Images, Side, batches, interleaved_timings
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.torch_runner import TorchRunner
from edanas.plugins.registry import Registry


@dataclass(frozen=True)
class OpenForm:
    """An opened form with its predictions and its comparison with the network.

    Args:
        form: The form.
        runner: The runner that computes the form's predictions.
        images: The B samples, resized for the form.
        labels: (B,) predicted class of each sample.
        exits: (B,) index of the exit of each sample; N, the number of exit points, is the last exit.
        check: The result of the comparison with the network.
        sizes: The batch sizes to measure, ascending.
        remarks: A sentence if the form cannot run the backbone alone, otherwise empty.
    """

    form: Form
    runner: Runner
    images: Images
    labels: npt.NDArray[np.int64]
    exits: npt.NDArray[np.int64]
    check: Check
    sizes: tuple[int, ...]
    remarks: tuple[str, ...]


def open_and_check(
    registry: Registry,
    network: EENN,
    form: Form,
    samples: ImageSet,
    threads: int,
    sizes: tuple[int, ...],
) -> OpenForm:
    """Open a form, and compare its predictions with those of the network.

    Args:
        registry: The extensions by kind and name.
        network: The network, in eval mode.
        form: A form from `locate_form`.
        samples: The images that every form is measured on.
        threads: The number of threads that the form may use.
        sizes: The batch sizes to measure, ascending.

    Raises:
        ExportError: The predictions of form and network differ, or files of the form are damaged.
        ConfigError: `torch.compile` does not work on this machine.
    """
    runner = open_form(registry, form, lambda: network, threads, sizes[-1])
    name = str(form.path or form.name)
    result = check(network, runner, samples.images[:SAMPLES], exact=form.exact, name=name)
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
    return OpenForm(form, runner, images, labels, exits, result, sizes, remarks)


def time_forms(
    forms: Sequence[OpenForm], network: EENN, samples: ImageSet, repeats: int, energy: Energy, bar: Bar
) -> list[FormBench]:
    """Measure every form at each batch size, with early exits and as the backbone alone.

    Args:
        forms: The opened forms of one network, at least one.
        network: The network.
        samples: The samples that the forms were opened with.
        repeats: The number of repetitions; in each repetition, every form classifies all samples.
        energy: The energy counters of the machine.
        bar: The progress bar, which advances by one step for each batch size.

    Returns:
        The results of each form, without peak memory.
    """
    results: dict[str, list[BatchBench]] = {each.form.name: [] for each in forms}
    costs = Anatomy.of(network, len(network.mean)).costs
    executed = {
        each.form.name: executed_macs(costs, network.scheme, _utilization(each.exits, network.exit_points))
        for each in forms
    }
    for size in forms[0].sizes:
        early = {each.form.name: _side(each, size, alone=False) for each in forms}
        alone = {
            f"{each.form.name} alone": _side(each, size, alone=True) for each in forms if not each.remarks
        }
        timings = interleaved_timings({**early, **alone}, repeats, energy.joules)
        for name, batch_results in results.items():
            ratio = backbone_macs(costs) / executed[name]
            batch_results.append(BatchBench(size, timings[name], timings.get(f"{name} alone"), ratio))
        bar.advance()
    labels = samples.labels.numpy()
    return [
        FormBench(
            name=each.form.name,
            same=each.check.same,
            compared=each.check.images,
            accuracy=float((each.labels == labels).mean()),
            executed_macs=executed[each.form.name],
            batches=tuple(results[each.form.name]),
            exits=_by_exit(each, network, results[each.form.name]),
            memory=None,
        )
        for each in forms
    ]


def _side(form: OpenForm, size: int, *, alone: bool) -> Side:
    runner = form.runner
    device = runner.network.device if isinstance(runner, TorchRunner) else torch.device("cpu")
    run = runner.backbone if alone else runner.predict
    return Side(run, batches(form.images, size), clock(device))


def _utilization(exits: npt.NDArray[np.int64], points: int) -> list[float]:
    return [float(share) for share in np.bincount(exits, minlength=points + 1) / len(exits)]


def _by_exit(form: OpenForm, network: EENN, batch_results: Sequence[BatchBench]) -> tuple[ByExit, ...]:
    single = next((each.early for each in batch_results if each.batch_size == 1), None)
    results = []
    for index in (*network.scheme.placed, network.exit_points):
        exits_here = form.exits == index
        timing = single.of(exits_here) if single is not None and exits_here.any() else None
        results.append(ByExit(index, float(exits_here.mean()), timing))
    return tuple(results)
