"""The event log of a run, `log.jsonl`, and the line that `--verbose` prints for a candidate."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from edanas.core.contracts import IterationSummary
from edanas.core.runfolder import writing
from edanas.core.types import Evaluation
from edanas.report.formatting import exits_text, mega, percent
from edanas.report.history import LOG


def logged(
    notify: Callable[..., None],
    folder: Path,
    say: Callable[[str], None] | None = None,
    *,
    backbones: bool = False,
) -> Callable[..., None]:
    """Return a function that writes an event to the log, and then passes it on to `notify`.

    Args:
        notify: Called with the name of the event, and with its values as keyword arguments.
        folder: The run folder, which holds the log.
        say: Called with a line of text for each evaluated candidate; `None` to print no lines.
        backbones: `True` if the strategy searches backbones only; see `candidate_line`.
    """

    def log_and_notify(event: str, **values: Any) -> None:
        for value in values.values():
            log_event(folder, event, value)
            if say and isinstance(value, Evaluation):
                say(candidate_line(value, backbones=backbones))
        notify(event, **values)

    return log_and_notify


def log_event(folder: Path, event: str, value: Evaluation | IterationSummary) -> None:
    """Append an event to `log.jsonl`, as one line of JSON.

    Args:
        folder: The run folder.
        event: The name of the event.
        value: The evaluation or the summary of an iteration that the event carries.
    """
    record: dict[str, Any] = {"time": datetime.now().astimezone().isoformat(), "event": event}
    if isinstance(value, Evaluation):
        record |= {"id": value.candidate.id, "iteration": value.iteration, "error": value.error}
        record |= {"metrics": value.metrics.to_dict() if value.metrics else None, "seconds": value.seconds}
        record |= {"violation": value.violation}
    else:
        record |= {name: field for name, field in asdict(value).items() if name != "newest"}
    path = folder / LOG
    with writing(path), path.open("a+b") as file:
        # After an incomplete line, e.g. from a full disk, the new line must not continue it.
        incomplete = file.tell() and (file.seek(-1, os.SEEK_END), file.read())[1] != b"\n"
        file.write(b"\n" * bool(incomplete) + json.dumps(record).encode() + b"\n")


def candidate_line(evaluation: Evaluation, *, backbones: bool = False) -> str:
    """Return one line on a candidate: iteration, id, exits, and its metrics on the validation part.

    Args:
        evaluation: The candidate with its metrics.
        backbones: `True` if the strategy searches backbones only: the metrics are then those of the network
            without early exits.

    Example:
        >>> from edanas.core.types import Backbone, Candidate, SelectionScheme
        >>> candidate = Candidate(Backbone.of({"depth": 2}), SelectionScheme((0.5,)))
        >>> line = candidate_line(Evaluation(candidate, 3, None, "ValueError: no", 0.1))
        >>> line.replace(candidate.id, "ID")
        'iteration 3: ID, 1 early exit, failed: ValueError: no'
    """
    candidate, metrics = evaluation.candidate, evaluation.metrics
    kind = "backbone" if backbones else exits_text(candidate.scheme.exits)
    outcome = f"failed: {evaluation.error}"
    if metrics is not None and backbones:
        accuracy, macs = percent(metrics.backbone_accuracy), mega(metrics.backbone_macs)
        outcome = f"without early exits validation accuracy {accuracy}%, {macs}M MACs"
    elif metrics is not None:
        outcome = f"validation accuracy {percent(metrics.accuracy)}%, ADA_MACS {mega(metrics.ada_macs)}M"
    if evaluation.violation:
        outcome += f", violation {evaluation.violation:.3g}"
    return f"iteration {evaluation.iteration}: {candidate.id}, {kind}, {outcome}"
