"""The event log of a run, `log.jsonl`, and the line that `--verbose` prints for a candidate."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from edanas.core.archive import Archive
from edanas.core.contracts import IterationSummary
from edanas.core.engine import EVALUATED, step_note, step_values
from edanas.core.records import parse, sealed, unsealed
from edanas.core.runfolder import MODELS, replace_file, writing
from edanas.core.types import Evaluation
from edanas.report.formatting import exits_text, mega, percent
from edanas.report.history import ITERATION, LOG, PLAIN_FINISHED, read_log
from edanas.report.state import PLAIN


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


def log_event(folder: Path, event: str, value: Evaluation | IterationSummary | Mapping[str, Any]) -> None:
    """Append an event to `log.jsonl`, as one line of JSON.

    Args:
        folder: The run folder.
        event: The name of the event.
        value: The evaluation, the summary of an iteration or the row of a network that the event carries.
    """
    path = folder / LOG
    line = _line({"time": datetime.now().astimezone().isoformat(), **_record(event, value)})
    with writing(path), path.open("a+b") as file:
        _end_last_line(file)
        file.write(line)


def repair_log(folder: Path, archive: Archive) -> str:
    """Write the log again if a line is damaged or missing: intact lines stay, and records give the others.

    The records are the archive, and the rows of the finished plain networks. Lines from them have no time.

    Args:
        folder: The run folder.
        archive: The archive of the run.

    Returns:
        A description of the first damaged line, or of the missing lines; empty if the log is complete.

    Raises:
        RunError: The log cannot be read or written, or the archive is damaged.
    """
    records, damage = read_log(folder)
    lines = {_key(record): record for record in records}
    events = {_key(event): {"time": None, **event} for event in (*_archived(archive), *_plain(folder))}
    lacking = sum(key not in lines for key in events)
    if damage or lacking:
        ordered = {**events, **lines}
        replace_file(folder / LOG, b"".join(_line(ordered[key]) for key in ordered))
    return damage or (f"lacks {lacking} of {len(events)} events" if lacking else "")


def _archived(archive: Archive) -> Iterator[dict[str, Any]]:
    """Yield the records of all events that the archive holds, in the order of a log."""
    steps = archive.meta()
    evaluations = [evaluation for _, evaluation in archive.replay()]
    for iteration in sorted({evaluation.iteration for evaluation in evaluations}):
        for evaluation in evaluations:
            if evaluation.iteration == iteration:
                yield _record(EVALUATED, evaluation)
        step = steps.get(step_note(iteration))
        if step is not None:
            yield {"event": ITERATION, **step}


def _plain(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of the plain networks that are finished and whose rows are intact, by their cost."""
    rows = []
    for path in (folder / MODELS).glob(f"{PLAIN}*.row.json"):
        with contextlib.suppress(OSError, ValueError):
            rows.append(unsealed(parse(path.read_bytes())))
    for row in sorted(rows, key=lambda row: (row.get("backbone_macs", 0), str(row.get("id")))):
        yield {"event": PLAIN_FINISHED, **row}


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return record.get("event"), record.get("id"), record.get("iteration")


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(sealed(record)).encode() + b"\n"


def _end_last_line(file: BinaryIO) -> None:
    """Drop an incomplete last line, e.g. from a full disk; end a line that lacks only its line break."""
    size = file.seek(0, os.SEEK_END)
    if not size or (file.seek(-1, os.SEEK_END), file.read(1))[1] == b"\n":
        return
    file.seek(0)
    content = file.read()
    begin = content.rfind(b"\n") + 1
    try:
        parse(content[begin:])
        file.write(b"\n")
    except ValueError:
        file.truncate(begin)


def _record(event: str, value: Evaluation | IterationSummary | Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of an event's line, without its time."""
    record: dict[str, Any] = {"event": event}
    if isinstance(value, Evaluation):
        record |= {"id": value.candidate.id, "iteration": value.iteration, "error": value.error}
        record |= {"metrics": value.metrics.to_dict() if value.metrics else None, "seconds": value.seconds}
        record |= {"violation": value.violation}
    elif isinstance(value, Mapping):
        record |= value
    else:
        record |= step_values(value)
    return record


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
