import json
from pathlib import Path

import pytest
from recorded_runs import SETTINGS, evaluated, failed, log, record

from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.notes import SurrogateNote, surrogate_notes
from edanas.report.history import Step, SurrogateQuality, qualities, read_history, read_steps, typed_notes


def test_archive_and_log_are_read_without_a_change(tmp_path: Path) -> None:
    evaluations = [evaluated(0, 0.9, 1e6, 0), failed(1, "no")]
    with Archive(tmp_path) as archive:
        archive.set_meta("settings", SETTINGS)
        record(archive, evaluations)
        log(tmp_path, 0, 0.4)
        log(tmp_path, 1, 0.5, {"objective 1": "rbf tau 0.61"})
        history = read_history(tmp_path)
    assert list(history.evaluations) == evaluations
    assert history.settings == SETTINGS
    assert history.steps == (Step(0, 4, 1, 0.4), Step(1, 6, 1, 0.5, {"objective 1": "rbf tau 0.61"}))
    assert qualities(history.steps) == [SurrogateQuality(1, 0, "rbf", 0.61)]


def test_a_log_that_was_cut_and_told_twice_gives_each_iteration_once(tmp_path: Path) -> None:
    log(tmp_path, 0, 0.4)
    log(tmp_path, 1, 0.5)
    log(tmp_path, 1, 0.6)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('[1]\n{"event": "edanas_iteration_finished", "iteration": 2, "eval')
    assert [(step.iteration, step.hypervolume) for step in read_steps(tmp_path)] == [(0, 0.4), (1, 0.6)]


def test_a_folder_without_a_run_has_an_empty_history(tmp_path: Path) -> None:
    history = read_history(tmp_path)
    assert (history.evaluations, history.steps) == ((), ())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "archive.sqlite").write_text(json.dumps({"no": "archive"}))
    with pytest.raises(RunError, match="this is not an archive"):
        read_history(tmp_path)


def test_notes_of_surrogates_are_parsed_and_other_notes_stay() -> None:
    notes = {
        "objective 1": "rbf tau 0.61",
        "objective 2": "a model of somebody tau -0.05",
        "objective 3": "gp",
        "objective x": "gp tau 0.1",
        "radius": "0.2",
    }
    typed = typed_notes(notes)
    assert [(at, note.surrogate, note.tau) for at, note in surrogate_notes(typed)] == [
        (0, "rbf", 0.61),
        (1, "a model of somebody", -0.05),
    ]
    assert json.dumps(typed) == json.dumps(notes)
    assert typed_notes(typed) == typed
    assert surrogate_notes(notes) == []


def test_the_text_in_a_log_stays_unchanged() -> None:
    (typed,) = typed_notes({"objective 1": "gp tau 0.6123"}).values()
    assert typed == "gp tau 0.6123"
    assert isinstance(typed, SurrogateNote)
    assert typed.tau == 0.6123
