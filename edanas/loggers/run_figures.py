"""A run's figures by name, the same for all loggers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.contracts import IterationSummary
from edanas.core.notes import surrogate_notes
from edanas.core.types import Evaluation


def archived_count(folder: Path) -> int:
    """Return the number of candidates in a run's archive, where a resumed run goes on counting."""
    if not (folder / ARCHIVE).is_file():
        return 0
    with Archive(folder, read_only=True) as archive:
        return archive.count()


def candidate_figures(evaluation: Evaluation) -> dict[str, float]:
    """Return what the search measured of a candidate on the validation part; MACs in M (1e6) for one image.

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
    """Return hypervolume, failures so far, and Kendall's tau of each objective's surrogate."""
    figures = {"search/hypervolume": summary.hypervolume, "search/failed": float(summary.failed)}
    for number, note in surrogate_notes(summary.notes):
        name = objectives[number] if number < len(objectives) else f"objective_{number + 1}"
        figures[f"search/tau/{name}"] = note.tau
    return figures


def result_figures(result: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the name of each finished network, and its figures on the test part."""
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
    """Return nested settings by dotted path, as text.

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
