"""Plain dense networks as baselines of a run: trained alone in a share of its time, judged like the results.

The networks are trained on the train part and the calibration part, since they have no thresholds to set.
They are judged on the validation part and on the test part.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from edanas.core.contracts import Executor, Exporter, StagedBackbone
from edanas.core.errors import RunError
from edanas.core.mapped import joined_rows
from edanas.core.preprocess import PREPROCESSING, stated_preprocessing
from edanas.core.progress import LocalProgress, Progress
from edanas.core.records import parse, sealed_text, unsealed
from edanas.core.result_row import ResultRow
from edanas.core.runfolder import MODELS, replace_file
from edanas.core.settings import TrainingSettings
from edanas.core.types import Backbone, DataParts, SelectionScheme, Task, described_labels
from edanas.evaluation.finish import read_row, recorded_row, write_row
from edanas.evaluation.finish_step import StepAnswer, attempt_step, export_all, test_figures
from edanas.evaluation.finish_time import NetworkPlan
from edanas.evaluation.judging import judge
from edanas.evaluation.workbench import Workbench
from edanas.executors.serial import Serial
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.supernets.option_checks import LARGEST_SIDE, SMALLEST_SIDE
from edanas.supernets.plain import PlainNetwork, plain_family
from edanas.training.label_training import LabelTraining
from edanas.training.pace import Pace

PLAN = "plain-plan.json"
"""Name of the file, in the folder of networks, that holds the plan of the training."""

FEWEST_EPOCHS = 3
"""Smallest number of epochs for which several networks are trained instead of fewer."""

JUDGING = 0.5
"""Expected seconds of a network besides its training: validation, test and files."""

_LADDER = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200)
"""Numbers of epochs to choose from; coarse, so that small differences of a measured time rarely matter."""


@dataclass(frozen=True)
class PlainPlan:
    """The networks that a run trains, and the length of their training.

    Args:
        networks: Names of the networks, from the cheapest; empty if the time suffices for none.
        epochs: Passes over the train part and the calibration part, for each network.
        seconds: Expected duration of each network's training in seconds; empty if a plan does not hold it.

    Example:
        >>> PlainPlan.within(20.0, 60, {"small": 0.1, "large": 0.3}).epochs
        50
    """

    networks: tuple[str, ...]
    epochs: int
    seconds: tuple[float, ...] = field(default=(), compare=False)

    @classmethod
    def within(cls, budget: float, most: int, seconds: Mapping[str, float]) -> "PlainPlan":
        """Return the plan that fits a time: equally many epochs for as many networks as possible.

        Args:
            budget: Time for all networks together, in seconds.
            most: Largest number of epochs.
            seconds: Seconds of an epoch by network, from the cheapest network.
        """
        names = tuple(seconds)
        for count in range(len(names), 0, -1):
            affordable = budget / sum(seconds[name] for name in names[:count])
            epochs = max((e for e in (*_LADDER, most) if e <= min(affordable, most)), default=0)
            if epochs >= min(FEWEST_EPOCHS, most) or (count == 1 and epochs):
                return cls(names[:count], epochs, tuple(epochs * seconds[name] for name in names[:count]))
        return cls((), 0)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "PlainPlan":
        """Return a plan from JSON's types.

        Raises:
            LookupError: An entry is missing.
            TypeError: An entry has another type.
            ValueError: An entry is no number.
        """
        seconds = tuple(map(float, values.get("seconds") or ()))
        return cls(tuple(map(str, values["networks"])), int(values["epochs"]), seconds)

    @classmethod
    def read(cls, path: Path) -> "PlainPlan":
        """Read a plan from its file.

        Raises:
            RunError: The file cannot be read or is damaged.
        """
        try:
            return cls.of(unsealed(parse(path.read_bytes())))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise RunError(
                f"{path}: cannot be read ({error}); delete the file to plan the plain networks again"
            ) from error


@dataclass(frozen=True)
class PlainOrder:
    """A plain network to train and judge.

    Args:
        name: Name of the network in its family.
        epochs: Number of epochs.
        display: Shows the progress of the training in this process.
        pace: Fits the training to a time limit; `None` = the number of epochs determines the steps.
    """

    name: str
    epochs: int
    display: Progress
    pace: Pace | None

    @property
    def id(self) -> str:
        """The name of the network."""
        return self.name


class PlainNetworks:
    """Trains, judges and writes the plain networks of a run. It is a picklable function of a `PlainOrder`.

    Args:
        workbench: The run's objects and data.
        exporters: Write each network, one file format each. `edanas.load` reads the first file of the first
            exporter.
    """

    def __init__(self, workbench: Workbench, exporters: Sequence[Exporter]) -> None:
        self.workbench, self.exporters = workbench, exporters
        self.folder = workbench.folder / MODELS
        parts = workbench.parts
        self.family = plain_family(plain_side(parts), series=parts.series)

    def __call__(self, order: PlainOrder) -> StepAnswer:
        """Train, judge and write one network; return its row."""
        return attempt_step(self.folder, lambda progress: self._finish(order, progress))

    def finish(
        self,
        elapsed: float,
        progress: Progress,
        report: Callable[[ResultRow], None] = lambda _: None,
        timing: NetworkPlan | None = None,
        executor: Executor | None = None,
    ) -> tuple[list[ResultRow], list[dict[str, str]]]:
        """Train and judge the networks; a resumed run repeats the plan of the interrupted run.

        Args:
            elapsed: Duration of the run so far, or its time limit, in seconds.
            progress: Shows the progress bars and the messages.
            report: Called with the row of each network that this call finished.
            timing: The plan of a run with a time limit, which bounds the trainings and repeats their numbers
                of steps; `None` = the plan of this call gives the numbers of epochs.
            executor: Calls this object for each network; `None` = in this process, one after another.

        Returns:
            A row for each finished network, from the cheapest, and for each failed network a dictionary with
            `id` and the reason as `error`.

        Raises:
            RunError: A file of the networks cannot be read or written, or the plan is damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = self._plan(elapsed, timing)
        if not plan.networks:
            progress.say(
                "No plain network was trained: their share of the run's time (baseline.share, found "
                f"{self.workbench.settings.baseline.share:g}) is shorter than an epoch of the smallest one"
            )
        rows = {name: read_row(self._row(name), progress) for name in plan.networks}
        due = [number for number, name in enumerate(plan.networks) if rows[name] is None]
        paces, failures = list[Pace | None](), []

        def orders() -> Iterator[PlainOrder]:
            for number in due:
                paces.append(_pace(plan, number, timing))
                yield PlainOrder(plan.networks[number], plan.epochs, LocalProgress(progress), paces[-1])

        for position, answer in (executor or Serial()).as_completed(self, orders()):
            name, pace = plan.networks[due[position]], paces[position]
            row = recorded_row(self.workbench.folder, answer, progress)
            if isinstance(row, str):
                failures.append({"id": name, "error": row})
                progress.say(f"Network {name} could not be finished: {row}")
                continue
            if pace is not None and isinstance(answer, StepAnswer) and answer.fits:
                pace.record(answer.fits)
            write_row(self._row(name), row)
            self._checkpoint(name).unlink(missing_ok=True)
            rows[name] = row
            report(row)
        return [row for row in rows.values() if row is not None], failures

    def _row(self, name: str) -> Path:
        return self.folder / f"{name}.row.json"

    def _plan(self, elapsed: float, timing: NetworkPlan | None) -> PlainPlan:
        """Return the plan in the run folder; if there is none, measure each network and store a new plan."""
        path = self.folder / PLAN
        if path.exists():
            return PlainPlan.read(path)
        settings = self.workbench.settings.baseline

        def measured() -> dict[str, Any]:
            seconds = {n: self._training(n, settings.epochs).seconds_per_epoch() for n in self.family}
            left = math.inf if timing is None else timing.remaining() - JUDGING * len(self.family)
            return asdict(PlainPlan.within(min(settings.share * elapsed, left), settings.epochs, seconds))

        plan = PlainPlan.of(measured() if timing is None else timing.decided("plain", measured))
        if timing is None:
            # Measured seconds differ between equal runs, and only a time limit needs them.
            plan = replace(plan, seconds=())
        replace_file(path, sealed_text(asdict(plan)))
        return plan

    def _finish(self, order: PlainOrder, progress: Progress) -> StepAnswer:
        training = self._training(order.name, order.epochs)
        training.pace = order.pace
        training.run(order.display)
        row = self._judge(order.name, training.network, progress)
        return StepAnswer(row, fits=order.pace.fits if order.pace else {})

    def _training(self, name: str, epochs: int) -> LabelTraining:
        """Return the training of a new network of the family; equal names give equal weights."""
        bench, options = self.workbench, self.family[name]
        parts = with_calibration(bench.parts)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("plain", name))
            network = plain_backbone(options, parts.task)
        settings = plain_training(epochs, len(parts.train), parts.task, series=parts.series)
        file = self._checkpoint(name), f"network {name}"
        return LabelTraining(network.to(bench.device), parts, settings, bench.seed("plain", name), file)

    def _checkpoint(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def _judge(self, name: str, backbone: StagedBackbone, progress: Progress) -> ResultRow:
        """Validate a trained network, export it, test it once, and return its row."""
        bench, parts = self.workbench, self.workbench.parts
        network = as_network(backbone, self.family[name], parts).to(bench.device).eval()
        anatomy = bench.anatomy(network)
        validation = judge(network, parts.validation, anatomy).metrics
        images, stem = parts.calibration.images, self.folder / name
        paths = export_all(self.exporters, network, name, stem, images, progress)
        files = [path.relative_to(bench.folder).as_posix() for path in paths]
        test, labels, _, _ = judge(network, parts.test, anatomy)
        return ResultRow(
            id=name,
            exits=0,
            thresholds=network.scheme.thresholds,
            **test_figures(test, len(labels)),
            validation_accuracy=validation.accuracy,
            validation_executed_macs=validation.executed_macs,
            stage_macs=anatomy.costs.stages,
            head_macs=anatomy.costs.heads,
            last_macs=anatomy.costs.last,
            backbone=network.description["backbone"],
            model=files[0] if files else None,
            files=tuple(files),
        )


def _pace(plan: PlainPlan, number: int, timing: NetworkPlan | None) -> Pace | None:
    """Return the pace of a network's training: as planned, or for its share of less remaining time.

    Args:
        plan: The plan of the plain networks.
        number: Index of the network in the plan.
        timing: The plan of a run with a time limit; without it, there is no pace.
    """
    own, rest = plan.seconds[number : number + 1], sum(plan.seconds[number:])
    if timing is None or not own:
        return None
    left = timing.remaining() - JUDGING * (len(plan.networks) - number)
    return timing.network_pace(plan.networks[number], max(0.0, min(own[0], left * own[0] / rest)))


def plain_side(parts: DataParts) -> int:
    """Return the side of the images that the plain networks read: the images' own shorter side, in pixels.

    For series, it is their length.
    """
    if parts.series:
        return int(parts.train.images.shape[3])
    return min(max(min(parts.train.images.shape[2:]), SMALLEST_SIDE), LARGEST_SIDE)


def plain_training(epochs: int, images: int, task: Task, *, series: bool = False) -> TrainingSettings:
    """Return the settings of the training of a plain network; nothing in them is searched.

    Series are shifted, scaled and disturbed. Images are shifted. Grey images are also slightly rotated, and
    never mirrored, since they may be characters. Colour images are mirrored instead: on 5,000 photographs,
    rotations cost 2 to 7 points.

    Args:
        epochs: Number of passes over the images.
        images: Number of training images.
        task: Number of channels of the images, and number of classes.
        series: True for series, false, the default, for images.

    Example:
        >>> plain_training(60, images=1168, task=Task(1, 10)).batch_size
        64
    """
    exponent = min(max(round(math.log2(images / 20)), 4), 8)
    augment = ("shift", "flip") if task.in_channels == 3 else ("shift", "rotate")
    return TrainingSettings(
        epochs=epochs,
        batch_size=2**exponent,
        learning_rate=0.01,
        gradient_clip=0.0,
        augment=("shift", "scale", "jitter", "warp") if series else augment,
    )


def with_calibration(parts: DataParts) -> DataParts:
    """Return the data with the calibration part added to the train part."""
    samples = (parts.train, parts.own_calibration)
    images = joined_rows([part.images for part in samples])
    labels = torch.cat([part.labels for part in samples])
    return replace(parts, train=replace(parts.train, images=images, labels=labels))


def plain_backbone(options: Mapping[str, Any], task: Task) -> StagedBackbone:
    """Return a network of `plain_family` with fresh weights, drawn from torch's global generator."""
    return PlainNetwork(**options).build(_backbone(options), task)


def as_network(backbone: StagedBackbone, options: Mapping[str, Any], parts: DataParts) -> EENN:
    """Return a plain network as an early-exit network without exits, which `edanas.load` can read.

    Args:
        backbone: The trained backbone of a `PlainNetwork`.
        options: The options of the `PlainNetwork`.
        parts: The data of the run.
    """
    task, points = parts.task, len(backbone.stages) - 1
    criterion = ScoreMargin().build(task.num_classes, points)
    scheme = SelectionScheme((None,) * points)
    network = EENN(backbone, {}, scheme, criterion, parts.mean, parts.std, parts.train.classes)
    network.description = {
        **described_labels(parts.train),
        "supernet": {"name": "plain", "options": dict(options)},
        "classifier": {"name": "pool-linear", "options": {}},
        "criterion": {"name": "score-margin", "options": {}},
        "inference": {"name": "early-stop", "options": {}},
        "backbone": dict(_backbone(options).choices),
        "in_channels": task.in_channels,
        "num_classes": task.num_classes,
        PREPROCESSING: stated_preprocessing(parts, backbone.resolution),
    }
    return network


def _backbone(options: Mapping[str, Any]) -> Backbone:
    return Backbone.of({"resolution": options["resolutions"][0]})
