"""A run's figures by name, as all loggers give them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.contracts import IterationSummary
from edanas.core.notes import surrogate_notes
from edanas.core.types import Evaluation


def archived_count(folder: Path) -> int:
    """How many candidates a run's archive holds already: a resumed run counts on from there."""
    if not (folder / ARCHIVE).is_file():
        return 0
    with Archive(folder, read_only=True) as archive:
        return archive.count()


def candidate_figures(evaluation: Evaluation) -> dict[str, float]:
    """What the search measured on the validation part; MACs in M (1e6) for one image."""
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
    """Hypervolume, failures so far, and Kendall's tau of each objective's surrogate."""
    found = {"search/hypervolume": summary.hypervolume, "search/failed": float(summary.failed)}
    for number, note in surrogate_notes(summary.notes):
        name = objectives[number] if number < len(objectives) else f"objective_{number + 1}"
        found[f"search/tau/{name}"] = note.tau
    return found


def result_figures(result: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """For each finished network its name and what the test part said."""
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
    """Nested settings by dotted path, as text."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat_settings(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(value)
    return found
