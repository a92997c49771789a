"""The networks that come back: fine-tuned, thresholds set on the calibration part, tested once, written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.attempt import reason
from edanas.core.contracts import Evaluator, ExitNetwork, Exporter, ThresholdSetter
from edanas.core.errors import DISK_FULL, ExportError, RunError
from edanas.core.feasible import Feasibility
from edanas.core.progress import Bar, Progress
from edanas.core.runfolder import MODELS, writing
from edanas.core.types import Candidate, ExitProfile, Metrics
from edanas.deploy.export_check import export_checked
from edanas.evaluation.examples import write_examples
from edanas.evaluation.scoring import score
from edanas.evaluation.workbench import Workbench
from edanas.model.anatomy import Anatomy
from edanas.model.calibration import calibrate
from edanas.model.profiling import collect_profile
from edanas.numerics.intervals import wilson
from edanas.training.finetune import step_count


class Finisher:
    """Finishes candidates one by one; one that is finished already is read back, not looked at again.

    Args:
        workbench: The run's objects and data.
        evaluator: Gives each candidate's network as the search judged it.
        setter: Sets the thresholds.
        exporters: What to write of each result; the first one's first file is what `edanas.load` opens.
        limits: The constraints, to say what a finished network breaks.
    """

    def __init__(
        self,
        workbench: Workbench,
        evaluator: Evaluator,
        setter: ThresholdSetter,
        exporters: Sequence[Exporter],
        limits: Feasibility | None = None,
    ) -> None:
        self.workbench, self.evaluator = workbench, evaluator
        self.setter, self.exporters = setter, exporters
        self.limits = limits or Feasibility()
        self.folder = workbench.folder / MODELS
        self.drops: dict[str, float] = {}

    def finish(
        self,
        candidates: Sequence[Candidate],
        label: str,
        progress: Progress,
        drops: Mapping[str, float] | None = None,
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """Finish each candidate; one that fails, whatever the reason, is passed over.

        Args:
            candidates: What to finish.
            label: For the bar.
            progress: Where to show it.
            drops: By candidate, how much accuracy its trade-off gave up against its last exit; a fraction.

        Returns:
            A row of `result.json` for each candidate that was finished, in their order (what each key means
            is in the docs), and `id` and `error` of each that was not.

        Raises:
            RunError: The row of a finished network cannot be read, or the run's folder not be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.drops = dict(drops or {})
        for exporter in self.exporters:
            exporter.prepare(self.workbench.parts.calibration, self.workbench.parts.validation)
        # One step more for what comes before and after the training of each.
        steps = 1 + step_count(self.workbench.parts, self.workbench.settings.finetune)
        rows, failures = [], []
        with progress.task(label, steps * len(candidates)) as bar:
            for number, candidate in enumerate(candidates, 1):
                share = _Share(bar, steps)
                share.advance(0, note=f"network {number} of {len(candidates)}")
                try:
                    rows.append(self._finish(candidate, share, progress))
                except RunError:
                    raise
                except Exception as error:
                    if isinstance(error, OSError) and error.errno in DISK_FULL:
                        raise RunError(
                            f"{error.filename or self.folder}: cannot be written: {error.strerror}"
                        ) from error
                    failures.append({"id": candidate.id, "error": reason(error)})
                    progress.say(f"Network {candidate.id} could not be finished: {failures[-1]['error']}")
                share.advance(share.left)
        return rows, failures

    def _finish(self, candidate: Candidate, bar: Bar, progress: Progress) -> dict[str, Any]:
        """One candidate's row, of this run or of the one that it resumes."""
        done = self.folder / f"{candidate.id}.row.json"
        if done.exists():
            return _read_row(done)
        bench, settings = self.workbench, self.workbench.settings.finetune
        network = self.evaluator.network(candidate)
        if settings.epochs:
            teacher = self.evaluator.teacher() if settings.distillation else None
            bench.finetune(network, settings, bench.seed("finish", candidate.id), bar, teacher)
        found = self._judge(candidate, network, progress)
        _write_json(done, found)
        return found

    def _judge(self, candidate: Candidate, network: ExitNetwork, progress: Progress) -> dict[str, Any]:
        """Set the thresholds, measure, write the network, and look at the test part."""
        bench, parts = self.workbench, self.workbench.parts
        anatomy, placed, calibration = bench.anatomy(network), candidate.scheme.placed, None
        network.description = bench.describe(candidate.backbone)
        if placed and self.setter.resets:
            drop = self.drops.get(candidate.id, 0.0)
            promise = calibrate(network, parts.calibration, anatomy.costs, self.setter, drop)
            calibration = self._within(candidate, network, promise, anatomy)
        validation = score(collect_profile(network, parts.validation), network.scheme, anatomy)
        files = self._export(candidate, network, progress)
        profile = collect_profile(network, parts.test)
        test = score(profile, network.scheme, anatomy)
        most = bench.settings.examples if placed else 0
        shown = write_examples(bench.folder, candidate.id, network, parts.test, profile, most)
        found = row(candidate, network, calibration, validation, test, len(parts.test), files, anatomy, shown)
        finished = Candidate(candidate.backbone, network.scheme)
        return {
            **found,
            "violation": self.limits.violation(finished, validation),
            "breaches": self.limits.breaches(finished, validation),
        }

    def _within(
        self, candidate: Candidate, network: ExitNetwork, promise: ExitProfile, anatomy: Anatomy
    ) -> Metrics:
        """Metrics on the calibration part, by the thresholds just set or the searched if these break less.

        Thresholds that are set for accuracy may leave a bound on cost that the search kept to.
        """
        reset, searched = (score(promise, scheme, anatomy) for scheme in (network.scheme, candidate.scheme))
        finished = Candidate(candidate.backbone, network.scheme)
        if self.limits.violation(candidate, searched) >= self.limits.violation(finished, reset):
            return reset
        network.scheme = candidate.scheme
        return searched

    def _export(self, candidate: Candidate, network: ExitNetwork, progress: Progress) -> list[str]:
        """The files; a form that a network cannot be put into is told of, and the others are written."""
        stem = self.folder / f"eenn-{candidate.scheme.exits}-{candidate.id}"
        images, written = self.workbench.parts.calibration.images, []
        for exporter in self.exporters:
            try:
                paths, _ = export_checked(exporter, network, stem, images)
            except ExportError as error:
                progress.say(f"Network {candidate.id} is not exported by {type(exporter).__name__}: {error}")
                continue
            if paths and (said := exporter.summary(paths[0])):
                progress.say(f"Network {candidate.id}, {said}")
            written += paths
        return [path.relative_to(self.workbench.folder).as_posix() for path in written]


class _Share:
    """One candidate's steps of a bar, which are made up for where it needed fewer."""

    def __init__(self, bar: Bar, steps: int) -> None:
        self.bar, self.left = bar, steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps
        self.bar.advance(steps, note)


def row(
    candidate: Candidate,
    network: ExitNetwork,
    calibration: Metrics | None,
    validation: Metrics,
    test: Metrics,
    samples: int,
    files: Sequence[str],
    anatomy: Anatomy,
    shown: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """One finished network as plain values; costs and utilization are those of the test part."""
    return {
        "id": candidate.id,
        "exits": candidate.scheme.exits,
        "thresholds": list(network.scheme.thresholds),
        "utilization": list(test.utilization),
        "test_accuracy": test.accuracy,
        "test_ci": list(wilson(test.accuracy, samples)),
        "calibration_accuracy": calibration.accuracy if calibration else None,
        "validation_accuracy": validation.accuracy,
        "ada_macs": test.ada_macs,
        "executed_macs": test.executed_macs,
        "calibration_executed_macs": calibration.executed_macs if calibration else None,
        "validation_executed_macs": validation.executed_macs,
        "backbone_macs": test.backbone_macs,
        "backbone_test_accuracy": test.backbone_accuracy,
        "params": test.params,
        "activations": test.activations,
        "exit_accuracy": list(test.exit_accuracy),
        "stage_macs": list(anatomy.costs.stages),
        "head_macs": list(anatomy.costs.heads),
        "last_macs": anatomy.costs.last,
        "examples": list(shown),
        "backbone": dict(candidate.backbone.choices),
        "model": files[0] if files else None,
        "files": list(files),
    }


def _read_row(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete it to finish this network anew") from error
    return found


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    # Under a name of its own, which the next attempt overwrites: a kill leaves nothing lying about.
    partial = path.with_suffix(".partial")
    with writing(path):
        partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
