"""Measured values of a run under the names that all loggers use."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.contracts import IterationSummary
from edanas.core.notes import surrogate_notes
from edanas.core.types import Evaluation


def archived_count(folder: Path) -> int:
    """Return the number of candidates in the archive of a run folder; 0 without an archive."""
    if not (folder / ARCHIVE).is_file():
        return 0
    with Archive(folder, read_only=True) as archive:
        return archive.count()


def candidate_figures(evaluation: Evaluation) -> dict[str, float]:
    """Return the measured values of a candidate on the validation part, by name.

    MACs are in millions for one image. A failed candidate has the value `candidate/failed` alone.

    Example:
        >>> from edanas.core.types import Backbone, Candidate, SelectionScheme
        >>> candidate = Candidate(Backbone.of({"width": 1}), SelectionScheme((None,)))
        >>> candidate_figures(Evaluation(candidate, 0, metrics=None, error="out of memory"))
        {'candidate/failed': 1.0}
    """
    metrics = evaluation.metrics
    if metrics is None:
        return {"candidate/failed": 1.0}
    return {
        "candidate/failed": 0.0,
        "candidate/validation_accuracy": metrics.accuracy,
        "candidate/ada_macs_m": metrics.ada_macs / 1e6,
        "candidate/executed_macs_m": metrics.executed_macs / 1e6,
        "candidate/early_exits": float(evaluation.candidate.scheme.exits),
        "candidate/seconds": evaluation.seconds,
    }


def iteration_figures(summary: IterationSummary, objectives: Sequence[str]) -> dict[str, float]:
    """Return the measured values of an iteration by name.

    The values are the hypervolume, the number of failed candidates so far, and Kendall's tau of the surrogate
    of each objective.

    Args:
        summary: The iteration.
        objectives: Names of the objectives, in the order of the settings.
    """
    figures = {"search/hypervolume": summary.hypervolume, "search/failed": float(summary.failed)}
    for number, note in surrogate_notes(summary.notes):
        name = objectives[number] if number < len(objectives) else f"objective_{number + 1}"
        figures[f"search/tau/{name}"] = note.tau
    return figures


def result_figures(result: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the name of each finished network, and its measured values on the test part by name.

    MACs are in millions for one image.

    Args:
        result: The content of `result.json`.
    """
    for row in (*result["front"], *result["static_front"]):
        yield (
            f"{row['exits']}-exits-{row['id']}",
            {
                "result/test_accuracy": float(row["test_accuracy"]),
                "result/ada_macs_m": row["ada_macs"] / 1e6,
                "result/executed_macs_m": row["executed_macs"] / 1e6,
                "result/backbone_test_accuracy": float(row["backbone_test_accuracy"]),
                "result/backbone_macs_m": row["backbone_macs"] / 1e6,
            },
        )


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as one dictionary from dotted names to texts.

    Args:
        settings: The settings.
        prefix: A text that all dotted names begin with; by default empty.

    Example:
        >>> flat_settings({"seed": 0, "search": {"initial": 8}})
        {'seed': '0', 'search.initial': '8'}
    """
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
