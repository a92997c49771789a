"""The work on one result that an executor carries out: fine-tuning, thresholds, export, and the test."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from edanas.core.attempt import reason
from edanas.core.contracts import Evaluator, ExitNetwork, Exporter, ThresholdSetter
from edanas.core.errors import DISK_FULL, CandidateError, ExportError, RunError
from edanas.core.feasible import Feasibility
from edanas.core.progress import Bar, Progress, RecordedLines, Silent
from edanas.core.result_row import ResultRow
from edanas.core.runfolder import MODELS
from edanas.core.types import Candidate, Metrics
from edanas.deploy.export_check import export_checked
from edanas.evaluation.class_figures import class_figures
from edanas.evaluation.device_figures import estimates, memory_figures
from edanas.evaluation.disagreement import disagreement
from edanas.evaluation.examples import write_examples
from edanas.evaluation.final_thresholds import FinalThresholds, budget_shortfall
from edanas.evaluation.judging import judge
from edanas.evaluation.quantised import deliverable, quantised, train_in_integers
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.model.trimming import removal_text
from edanas.numerics.intervals import wilson
from edanas.thresholds.failure_prediction import failure_prediction
from edanas.training.finetune import step_count
from edanas.training.pace import Pace
from edanas.training.steps import recalibration_sample

_INTEGER_STEPS = 0.2
"""Largest number of steps in integers, as a share of those in floats, of a run with a time limit."""

_FLOAT_TIME = 0.65
"""Share of a network's time for its steps in floats. A step in integers takes two to three times as long."""


@dataclass(frozen=True)
class FinishOrder:
    """A candidate to finish.

    Args:
        candidate: The candidate.
        drop: The accuracy, as a fraction, that the candidate lost in the search against its last exit.
        bar: Advances with the steps of the training. It shows nothing in another process.
        pace: Fits the training to a time limit; `None` = the settings determine the number of steps.
    """

    candidate: Candidate
    drop: float
    bar: Bar
    pace: Pace | None = None

    @property
    def id(self) -> str:
        """The id of the candidate."""
        return self.candidate.id


@dataclass(frozen=True)
class StepAnswer:
    """The answer to an order of the finishing.

    Args:
        row: The row of the finished network; `None` if it failed.
        error: The reason of the failure.
        fatal: An error that ends the run, as text.
        lines: Lines for the user.
        fits: The fits of the training's pace.
        overhead: Seconds of the work besides the training.
    """

    row: ResultRow | None
    error: str = ""
    fatal: str = ""
    lines: Sequence[str] = ()
    fits: Mapping[int, int] = field(default_factory=dict)
    overhead: float = 0.0


def attempt_step(folder: Path, step: Callable[[Progress], StepAnswer]) -> StepAnswer:
    """Return the answer of a step with the lines that it showed, or with the reason of its failure.

    Args:
        folder: The folder of networks, which exists on every machine of the run.
        step: Returns the answer without lines; its argument records the lines.
    """
    progress = RecordedLines()
    try:
        if not folder.is_dir():
            raise RunError(
                f"{folder}: does not exist on the machine of the worker; allowed: a run folder on a file "
                "system that all machines share"
            )
        answer = step(progress)
    except RunError as error:
        answer = StepAnswer(None, fatal=str(error))
    except Exception as error:
        answer = StepAnswer(None, error=reason(error))
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            fatal = f"{error.filename or folder}: cannot be written: {error.strerror}"
            answer = StepAnswer(None, fatal=fatal)
    return replace(answer, lines=progress.lines)


class FinishStep:
    """The picklable function that trains, calibrates, exports and tests one candidate.

    The arguments are those of `edanas.evaluation.finish.Finisher`.
    """

    def __init__(
        self,
        workbench: Workbench,
        evaluator: Evaluator,
        setter: ThresholdSetter,
        exporters: Sequence[Exporter],
        limits: Feasibility,
    ) -> None:
        self.workbench, self.evaluator = workbench, evaluator
        self.setter, self.exporters = setter, exporters
        # Finished networks are measured, so that no costs are counted from a structure.
        self.limits = Feasibility(limits.constraints)
        self.folder = workbench.folder / MODELS
        self._has_prepared = False

    def __call__(self, order: FinishOrder) -> StepAnswer:
        """Return the row of one candidate, whose files are written."""
        return attempt_step(self.folder, lambda progress: self._finish(order, progress))

    def _finish(self, order: FinishOrder, progress: Progress) -> StepAnswer:
        if not self._has_prepared:
            for exporter in self.exporters:
                exporter.prepare(self.workbench.parts.calibration, self.workbench.parts.validation)
            self._has_prepared = True
        bench, settings = self.workbench, self.workbench.settings.finetune
        candidate, pace = order.candidate, order.pace
        if message := budget_shortfall(bench, self.setter, [candidate]):
            raise CandidateError(message)
        network = self.evaluator.network(candidate)
        if pace and self.evaluator.quantized and self.evaluator.quantized_epochs:
            pace.limit *= _FLOAT_TIME
        if settings.trains:
            teacher = self.evaluator.teacher() if settings.distillation else None
            bench.finetune(network, settings, bench.seed("finish", candidate.id), order.bar, teacher, pace)
        if self.evaluator.quantized:
            self._train_in_integers(candidate, network, pace)
        start = time.monotonic()
        row = self._measure(candidate, network, order.drop, progress)
        return StepAnswer(row, fits=pace.fits if pace else {}, overhead=time.monotonic() - start)

    def _train_in_integers(self, candidate: Candidate, network: ExitNetwork, pace: Pace | None) -> None:
        """Train a network in integers; if the time is limited, for at most a share of its steps in floats."""
        bench, settings = self.workbench, self.workbench.settings.finetune
        teacher = self.evaluator.teacher() if settings.distillation and settings.trains else None
        seed, epochs = bench.seed("finish-int8", candidate.id), self.evaluator.quantized_epochs
        steps = step_count(bench.parts, replace(settings, epochs=epochs, steps=0))
        if pace and pace.fits:
            steps = max(1, min(steps, round(_INTEGER_STEPS * pace.fits[max(pace.fits)])))
        with Silent().task("", None) as hidden:
            train_in_integers(bench, network, settings, epochs, seed, hidden, teacher, steps=steps)

    def _measure(
        self, candidate: Candidate, network: ExitNetwork, drop: float, progress: Progress
    ) -> ResultRow:
        """Set the thresholds of a network, validate it, export it, test it once, and return its row."""
        bench, parts, original = self.workbench, self.workbench.parts, network
        network.description = bench.describe(candidate.backbone)
        if self.evaluator.quantized:
            network = quantised(bench, network)
        trained = network
        thresholds = FinalThresholds(bench, self.setter, self.limits)
        if text := thresholds.loose_budget(network):
            progress.say(f"Network {candidate.id}: {text}")
        settled = thresholds.settle(candidate, network, drop)
        network, anatomy, calibration = settled.network, settled.anatomy, settled.calibration
        if text := removal_text(trained, network, bench.settings.min_exit_share):
            progress.say(f"Network {candidate.id}: {text}")
        validation = judge(network, parts.validation, anatomy).metrics
        delivered = deliverable(bench, original, network) if self.evaluator.quantized else network
        files = self._export(candidate.id, delivered, progress)
        test, labels, predictions, profile = judge(network, parts.test, anatomy)
        count = bench.settings.examples if network.scheme.placed else 0
        examples = write_examples(bench.folder, candidate.id, network, parts.test, profile, count)
        finished = Candidate(settled.candidate.backbone, network.scheme)
        return ResultRow(
            id=candidate.id,
            exits=network.scheme.exits,
            thresholds=network.scheme.thresholds,
            **test_figures(test, len(labels)),
            **class_figures(labels, predictions, parts.task.num_classes),
            disagreement=self._disagreement(network),
            failure_prediction=failure_prediction(profile, network.scheme.placed),
            calibration_accuracy=calibration.accuracy if calibration else None,
            validation_accuracy=validation.accuracy,
            calibration_executed_macs=calibration.executed_macs if calibration else None,
            validation_executed_macs=validation.executed_macs,
            stage_macs=anatomy.costs.stages,
            head_macs=anatomy.costs.heads,
            last_macs=anatomy.costs.last,
            **memory_figures(anatomy, network.scheme),
            device=estimates(bench.device_profile, anatomy, network.scheme, test.utilization),
            examples=tuple(examples),
            backbone=dict(finished.backbone.choices),
            model=files[0] if files else None,
            files=tuple(files),
            violation=self.limits.violation(finished, validation),
            breaches=tuple(self.limits.breaches(finished, validation)),
        )

    def _disagreement(self, network: ExitNetwork) -> dict[str, Any]:
        parts, settings = self.workbench.parts, self.workbench.settings
        reference = recalibration_sample(parts.train, settings.recalibration, settings.seed).numpy()
        if not network.scheme.placed or not isinstance(network, EENN) or not len(reference):
            return {}
        return disagreement(network, parts.train.subset(reference), parts.test)

    def _export(self, name: str, network: ExitNetwork, progress: Progress) -> list[str]:
        """Export a network in every format, and return the paths of the files relative to the run folder."""
        stem = self.folder / f"eenn-{network.scheme.exits}-{name}"
        images = self.workbench.parts.calibration.images
        written = export_all(self.exporters, network, name, stem, images, progress)
        return [path.relative_to(self.workbench.folder).as_posix() for path in written]


def export_all(
    exporters: Sequence[Exporter],
    network: ExitNetwork,
    name: str,
    stem: Path,
    images: torch.Tensor,
    progress: Progress,
) -> list[Path]:
    """Export a network in every format, and return the paths of the files.

    A failed export is reported to the user, and the next exporter continues.

    Args:
        exporters: Write the network, one file format each.
        network: The network.
        name: Name of the network in messages.
        stem: Path of the files without their endings.
        images: Images (B, C, H, W) on which the files are compared with the network.
        progress: Shows the messages.
    """
    written: list[Path] = []
    for exporter in exporters:
        form = exporter.registered_name or type(exporter).__name__
        try:
            paths, _ = export_checked(exporter, network, stem, images)
        except ExportError as error:
            progress.say(f"Network {name} is not exported by {form}: {error}")
            continue
        if paths and (summary := exporter.summary(paths[0])):
            progress.say(f"Network {name}, {form}: {summary}")
        written += paths
    return written


def test_figures(test: Metrics, samples: int) -> dict[str, Any]:
    """Return the fields of a `ResultRow` that hold the results on the test part.

    Args:
        test: Metrics on the test part.
        samples: Number of samples in the test part; the windows of a series are one sample.
    """
    return {
        "utilization": test.utilization,
        "test_accuracy": test.accuracy,
        "test_ci": wilson(test.accuracy, samples),
        "ada_macs": test.ada_macs,
        "executed_macs": test.executed_macs,
        "backbone_macs": test.backbone_macs,
        "backbone_test_accuracy": test.backbone_accuracy,
        "params": test.params,
        "activations": test.activations,
        "exit_accuracy": test.exit_accuracy,
    }
