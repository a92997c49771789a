"""Finishing of candidates: fine-tuning, thresholds from the calibration part, export, and one test."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edanas.core.attempt import reason
from edanas.core.contracts import Evaluator, ExitNetwork, Exporter, ThresholdSetter
from edanas.core.errors import DISK_FULL, CandidateError, ExportError, RunError
from edanas.core.feasible import Feasibility
from edanas.core.progress import Bar, Progress, Silent
from edanas.core.records import parse, sealed_text, unsealed
from edanas.core.result_row import ResultRow
from edanas.core.runfolder import MODELS, replace_file
from edanas.core.time_limits import OverdueError, TimeLimit
from edanas.core.types import Candidate, Metrics
from edanas.deploy.export_check import export_checked
from edanas.evaluation.class_figures import class_figures
from edanas.evaluation.device_figures import estimates, memory_figures
from edanas.evaluation.disagreement import disagreement
from edanas.evaluation.examples import write_examples
from edanas.evaluation.final_thresholds import FinalThresholds
from edanas.evaluation.finish_time import FinishTime
from edanas.evaluation.quantised import deliverable, quantised, train_in_integers
from edanas.evaluation.scoring import score
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_answers, collect_profile
from edanas.model.trimming import removal_text
from edanas.numerics.intervals import wilson
from edanas.thresholds.profiles import exit_columns
from edanas.training.finetune import step_count
from edanas.training.steps import recalibration_sample


class Finisher:
    """Trains, calibrates, exports and tests candidates one by one.

    If a resumed run finished a candidate before, the row of that candidate is read from its file. The test
    part is therefore used only once for each network. If the file is damaged, the candidate is finished
    again, which gives the same network.

    Args:
        workbench: The run's objects and data.
        evaluator: Returns each candidate's network with the weights that the search evaluated.
        setter: Sets the thresholds on the calibration part.
        exporters: Write each network, one file format each. `edanas.load` reads the first file of the first
            exporter.
        limits: The run's constraints; `None` = no constraints.
        timing: Divides the remaining time of the run among the networks; `None` = the settings determine the
            number of steps.
        timeout: The option `executor.timeout`: the time limit for one network. A network that is not finished
            in time is tried once more.
    """

    def __init__(
        self,
        workbench: Workbench,
        evaluator: Evaluator,
        setter: ThresholdSetter,
        exporters: Sequence[Exporter],
        limits: Feasibility | None = None,
        timing: FinishTime | None = None,
        timeout: float = 0.0,
    ) -> None:
        self.workbench, self.evaluator = workbench, evaluator
        self.setter, self.exporters = setter, exporters
        self.limits, self.timing = limits or Feasibility(), timing
        self.limit = TimeLimit(timeout)
        self.folder = workbench.folder / MODELS
        self.drops: dict[str, float] = {}

    def finish(
        self,
        candidates: Sequence[Candidate],
        label: str,
        progress: Progress,
        drops: Mapping[str, float] | None = None,
    ) -> tuple[list[ResultRow], list[dict[str, str]]]:
        """Finish each candidate. If a candidate fails, continue with the next one.

        Args:
            candidates: The candidates to finish.
            label: Text of the progress bar.
            progress: Shows the progress bar and the messages.
            drops: Candidate id -> the accuracy, as a fraction, that the candidate lost in the search against
                its last exit. A candidate without an entry lost 0. `None` = no entries.

        Returns:
            Two lists. The first has a row for each finished candidate, in the order of `candidates`. The
            second has a dictionary for each failed candidate: `id`, and the reason of the failure as `error`.

        Raises:
            RunError: The row of a finished network cannot be read, or the run folder cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.drops = dict(drops or {})
        for exporter in self.exporters:
            exporter.prepare(self.workbench.parts.calibration, self.workbench.parts.validation)
        # The additional step stands for the work before and after the training.
        steps = 1 + step_count(self.workbench.parts, self.workbench.settings.finetune)
        if self.timing is not None:
            steps = 1
            self.timing.begin([self._macs(each) for each in candidates])
        rows, failures = [], []
        with progress.task(label, steps * len(candidates)) as bar:
            for number, candidate in enumerate(candidates, 1):
                share = _Share(bar, steps)
                share.advance(0, note=f"network {number} of {len(candidates)}")
                try:
                    rows.append(self._finish_in_time(candidate, share, progress))
                except RunError:
                    raise
                except Exception as error:
                    self._check_disk(error)
                    failures.append({"id": candidate.id, "error": reason(error)})
                    progress.say(f"Network {candidate.id} could not be finished: {failures[-1]['error']}")
                share.advance(share.left)
                if self.timing is not None:
                    self.timing.end()
        return rows, failures

    def _finish_in_time(self, candidate: Candidate, bar: Bar, progress: Progress) -> ResultRow:
        """Return the row of one candidate; a candidate that is not finished in time is tried once more.

        Raises:
            CandidateError: The second attempt took too long as well.
        """
        cause = ""
        for _ in range(2):
            try:
                with self.limit.guarded():
                    return self._finish(candidate, bar, progress)
            except OverdueError as error:
                cause = str(error)
        raise CandidateError(f"two attempts were given up ({cause}; see executor.timeout)")

    def _check_disk(self, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise RunError(f"{error.filename or self.folder}: cannot be written: {error.strerror}") from error

    def _finish(self, candidate: Candidate, bar: Bar, progress: Progress) -> ResultRow:
        """Return the row of one candidate, from its file if the run finished the candidate before."""
        path = self.folder / f"{candidate.id}.row.json"
        row = read_row(path, progress)
        if row is not None:
            return row
        bench, settings = self.workbench, self.workbench.settings.finetune
        network = self.evaluator.network(candidate)
        if settings.trains:
            teacher = self.evaluator.teacher() if settings.distillation else None
            seed = bench.seed("finish", candidate.id)
            if self.timing is None:
                bench.finetune(network, settings, seed, bar, teacher)
            else:
                with Silent().task("", None) as hidden:
                    bench.finetune(network, settings, seed, hidden, teacher, self.timing.start(candidate.id))
        start = time.monotonic()
        if self.evaluator.quantized:
            self._train_in_integers(candidate, network)
        row = self._measure(candidate, network, progress)
        write_row(path, row)
        if self.timing is not None:
            self.timing.measured(time.monotonic() - start)
        return row

    def _train_in_integers(self, candidate: Candidate, network: ExitNetwork) -> None:
        bench, settings = self.workbench, self.workbench.settings.finetune
        teacher = self.evaluator.teacher() if settings.distillation and settings.trains else None
        seed, epochs = bench.seed("finish-int8", candidate.id), self.evaluator.quantized_epochs
        with Silent().task("", None) as hidden:
            train_in_integers(bench, network, settings, epochs, seed, hidden, teacher)

    def _macs(self, candidate: Candidate) -> float:
        stages, last = self.workbench.segments(candidate.backbone)
        return float(sum(stage.macs for stage in stages) + last.macs)

    def _measure(self, candidate: Candidate, network: ExitNetwork, progress: Progress) -> ResultRow:
        """Set the thresholds of a network, validate it, export it, test it once, and return its row."""
        bench, parts, original = self.workbench, self.workbench.parts, network
        network.description = bench.describe(candidate.backbone)
        if self.evaluator.quantized:
            network = quantised(bench, network)
        trained = network
        thresholds = FinalThresholds(bench, self.setter, self.limits)
        settled = thresholds.settle(candidate, network, self.drops.get(candidate.id, 0.0))
        network, anatomy, calibration = settled.network, settled.anatomy, settled.calibration
        if text := removal_text(trained, network):
            progress.say(f"Network {candidate.id}: {text}")
        known = parts.validation.labels.numpy()
        validation = score(collect_profile(network, parts.validation), network.scheme, anatomy, known)
        delivered = deliverable(bench, original, network) if self.evaluator.quantized else network
        files = self._export(candidate.id, delivered, progress)
        profile, answers = collect_answers(network, parts.test)
        test = score(profile, network.scheme, anatomy)
        predictions = answers[np.arange(len(answers)), exit_columns(profile, network.scheme)]
        count = bench.settings.examples if network.scheme.placed else 0
        examples = write_examples(bench.folder, candidate.id, network, parts.test, profile, count)
        finished = Candidate(settled.candidate.backbone, network.scheme)
        return ResultRow(
            id=candidate.id,
            exits=network.scheme.exits,
            thresholds=network.scheme.thresholds,
            **test_figures(test, len(parts.test)),
            **class_figures(parts.test.labels.numpy(), predictions, parts.task.num_classes),
            disagreement=self._disagreement(network),
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


class _Share:
    """The part of a progress bar for one candidate; `left` is the number of remaining steps."""

    def __init__(self, bar: Bar, steps: int) -> None:
        self.bar, self.left = bar, steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps
        self.bar.advance(steps, note)


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
        try:
            paths, _ = export_checked(exporter, network, stem, images)
        except ExportError as error:
            progress.say(f"Network {name} is not exported by {type(exporter).__name__}: {error}")
            continue
        if paths and (summary := exporter.summary(paths[0])):
            progress.say(f"Network {name}, {summary}")
        written += paths
    return written


def test_figures(test: Metrics, samples: int) -> dict[str, Any]:
    """Return the fields of a `ResultRow` that hold the results on the test part.

    Args:
        test: Metrics on the test part.
        samples: Number of samples in the test part.
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


def read_row(path: Path, progress: Progress) -> ResultRow | None:
    """Read the row of a finished network from its file; `None` if the file is missing or damaged.

    Args:
        path: The file.
        progress: Shows a message if the file is damaged.

    Raises:
        RunError: The file cannot be read.
    """
    try:
        return ResultRow.from_json(unsealed(parse(path.read_bytes())))
    except FileNotFoundError:
        return None
    except ValueError as error:
        progress.say(f"{path}: is damaged ({error}); the network is finished again")
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


def write_row(path: Path, row: ResultRow) -> None:
    """Write the row of a finished network in one step, with a checksum.

    Raises:
        RunError: The file cannot be written.
    """
    replace_file(path, sealed_text(row.to_json()))
