"""The content of `result.json`, the result of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edanas.core.config import to_plain
from edanas.core.engine import SearchOutcome
from edanas.core.settings import labels
from edanas.core.types import Evaluation, Metrics
from edanas.data.class_sizes import constant_answer
from edanas.evaluation.selection import pareto_set
from edanas.evaluation.trimming import distinct
from edanas.report.history import read_steps
from edanas.report.plain import plain_content
from edanas.run.compose import Composition
from edanas.run.finishing import FinishedNetworks
from edanas.run.gene_importance import gene_importance
from edanas.run.provenance import environment


@dataclass(frozen=True)
class FinishedRun:
    """The parts of a finished run that `result.json` is made of.

    Args:
        composition: The objects of the run.
        outcome: The outcome of the search.
        searched: The evaluated candidates that results were chosen from, from `trimmed_candidates`.
        networks: The finished networks.
        seconds: The duration in seconds of each part of the run, by the name of the part.
    """

    composition: Composition
    outcome: SearchOutcome
    searched: Sequence[Evaluation]
    networks: FinishedNetworks
    seconds: Mapping[str, float]


def result_content(run: FinishedRun) -> dict[str, Any]:
    """Return the content of `result.json` in JSON's types; the page "Results" explains each key."""
    workbench, objectives = run.composition.workbench, run.composition.objectives
    settings, evaluations = workbench.settings, run.outcome.evaluations
    accuracies = [row.test_accuracy for row in (*run.networks.front, *run.networks.static)]
    return {
        "front": [row.to_json() for row in run.networks.front],
        "static_front": [row.to_json() for row in run.networks.static],
        "plain": plain_content(run.networks.plain, (*run.networks.front, *run.networks.static)),
        "pareto": [_searched_row(e) for e in pareto_set(distinct(run.searched), objectives)],
        "candidates": [_plot_point(e, e.metrics) for e in run.searched if e.metrics],
        "objectives": [
            {"name": name, "unit": objective.unit, "maximise": objective.maximise}
            for name, objective in zip(labels(settings.objectives), objectives, strict=True)
        ],
        "values": [[o.value(e.metrics) for o in objectives] for e in run.searched if e.metrics],
        "importance": _importance(run),
        "violations": [e.violation for e in run.searched if e.metrics],
        "failures": [
            *({"id": e.candidate.id, "error": e.error} for e in evaluations if not e.ok),
            *run.networks.failures,
        ],
        "hypervolume": list(run.outcome.hypervolumes),
        "iterations": [asdict(step) for step in read_steps(workbench.folder)],
        "evaluations": len(evaluations),
        "failed": sum(not e.ok for e in evaluations),
        "stopped": run.outcome.stopped,
        "classes": list(workbench.parts.train.classes),
        "samples": {
            name: getattr(workbench.parts, name).wholes
            for name in ("train", "calibration", "validation", "test")
        },
        "remarks": [*run.composition.remarks, *constant_answer(workbench.parts.test, accuracies)],
        "duplicates": run.composition.duplicates.to_json(),
        "seconds": dict(run.seconds),
        "environment": environment(settings),
        "settings": to_plain(settings),
        "seed": settings.seed,
    }


def _importance(run: FinishedRun) -> list[dict[str, Any]]:
    """Return the importance of genes for each objective, on all evaluated candidates of the archive."""
    composition, outcome = run.composition, run.outcome
    known = [(at, each.metrics) for at, each in enumerate(outcome.evaluations) if each.metrics]
    names = labels(composition.workbench.settings.objectives)
    return gene_importance(
        composition.workbench.space,
        outcome.genomes[[at for at, _ in known]],
        {
            name: [objective.value(metrics) for _, metrics in known]
            for name, objective in zip(names, composition.objectives, strict=True)
        },
    )


def _plot_point(evaluation: Evaluation, metrics: Metrics) -> list[float]:
    """Return executed MACs, accuracy, iteration and number of early exits of a candidate."""
    exits = evaluation.candidate.scheme.exits
    return [metrics.executed_macs, metrics.accuracy, evaluation.iteration, exits]


def _searched_row(evaluation: Evaluation) -> dict[str, Any]:
    """Return a candidate with its metrics on the validation part, before fine-tuning, in JSON's types."""
    metrics, candidate = evaluation.metrics, evaluation.candidate
    if metrics is None:
        raise ValueError(f"candidate {candidate.id} has no metrics")
    return {
        "id": candidate.id,
        "iteration": evaluation.iteration,
        "violation": evaluation.violation,
        "exits": candidate.scheme.exits,
        "thresholds": list(candidate.scheme.thresholds),
        "utilization": list(metrics.utilization),
        "validation_accuracy": metrics.accuracy,
        "ada_macs": metrics.ada_macs,
        "executed_macs": metrics.executed_macs,
        "backbone_macs": metrics.backbone_macs,
        "backbone_validation_accuracy": metrics.backbone_accuracy,
        "params": metrics.params,
        "activations": metrics.activations,
        "ram": metrics.ram,
        "flash": metrics.flash,
        "backbone": dict(candidate.backbone.choices),
    }
