import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from edanas.core.progress import Silent
from edanas.run.console import ConsoleProgress, NotebookProgress, default_progress


def log():
    file = io.StringIO()
    return ConsoleProgress(Console(file=file, force_terminal=False, width=40)), file


def terminal():
    file = io.StringIO()
    return ConsoleProgress(Console(file=file, force_terminal=True, force_interactive=True, width=100)), file


def lines(file):
    return [re.sub(r"in \d+\.\d s", "in T", line) for line in file.getvalue().splitlines()]


def test_a_log_gets_start_quarters_and_end():
    progress, file = log()
    with progress.task("Training", 40) as bar:
        for _ in range(40):
            bar.advance()
    assert lines(file) == [
        "Training: 0 of 40",
        "Training: 10 of 40",
        "Training: 20 of 40",
        "Training: 30 of 40",
        "Training: 40 of 40 in T",
    ]


def test_a_log_line_carries_the_last_note_and_is_not_wrapped():
    progress, file = log()
    with progress.task("Archive", 4) as bar:
        bar.advance(2, note="accuracy [0.9] and other things that take room")
        bar.advance(2)
    assert lines(file)[1:] == [
        "Archive: 2 of 4  accuracy [0.9] and other things that take room",
        "Archive: 4 of 4 in T  accuracy [0.9] and other things that take room",
    ]


@pytest.mark.parametrize("total", [0, 1, 3])
def test_small_tasks_in_a_log_start_and_end(total):
    progress, file = log()
    with progress.task("Few", total) as bar:
        bar.advance(total)
    assert lines(file) == [f"Few: 0 of {total}", f"Few: {total} of {total} in T"]


def test_a_task_that_fails_says_where():
    progress, file = log()
    with pytest.raises(KeyboardInterrupt), progress.task("Long", 100) as bar:
        bar.advance(30)
        raise KeyboardInterrupt
    assert lines(file)[-1] == "Long: stopped at 30 of 100"


def test_a_log_has_nothing_of_tasks_within_tasks():
    progress, file = log()
    with progress.task("Outer", 2) as outer:
        with progress.task("Inner", 4) as inner:
            inner.advance(4)
        with pytest.raises(ValueError, match="x"), progress.task("Inner", 4):
            raise ValueError("x")
        progress.say("A line.")
        outer.advance(2)
    assert lines(file) == ["Outer: 0 of 2", "A line.", "Outer: 2 of 2 in T"]


def test_a_terminal_shows_live_bars_and_keeps_a_line_of_the_outer_one():
    progress, file = terminal()
    with progress.task("Outer", 2) as outer:
        with progress.task("Inner", 1) as inner:
            inner.advance(note="a [note]")
            assert progress._live is not None
            assert [task.description for task in progress._live.tasks] == ["Outer", "  Inner"]
        progress.say("A line [between].")
        outer.advance(2)
    assert progress._live is None
    text = file.getvalue()
    assert "A line [between]." in text
    assert re.search(r"Outer: 2 of 2 in \d+\.\d s", text)
    assert "Inner: 1 of 1 in" not in text


def test_a_failure_on_a_terminal_takes_the_bars_away():
    progress, _ = terminal()
    with pytest.raises(ValueError, match="x"), progress.task("Outer", 2), progress.task("Inner", 2):
        raise ValueError("x")
    assert progress._live is None
    with progress.task("Again", 1) as bar:
        bar.advance()
    assert progress._live is None


class Output:
    """The outputs of a notebook's cell, as IPython would show them."""

    def __init__(self):
        self.outputs = []

    def display(self, data, *, raw, display_id):
        assert raw and display_id
        self.outputs.append(data["text/plain"])
        return self

    def update(self, data, *, raw):
        assert raw
        self.outputs[-1] = data["text/plain"]


@pytest.fixture
def notebook(monkeypatch):
    output = Output()
    kernel = SimpleNamespace(kernel=object())
    display = SimpleNamespace(display=output.display)
    ipython = SimpleNamespace(get_ipython=lambda: kernel, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return output


def test_a_notebook_shows_the_running_bars_in_one_output(notebook):
    progress = NotebookProgress(interval=0)
    with progress.task("Outer", 4) as outer:
        outer.advance(note="a [note]")
        with progress.task("Inner", None) as inner:
            inner.advance(3)
            assert notebook.outputs == [f"Outer {'█' * 5}{'░' * 15} 1 of 4  a [note]\n  Inner 3"]
        outer.advance(3)
    (text,) = notebook.outputs
    assert re.fullmatch(r"Outer: 4 of 4 in \d+\.\d s  a \[note\]", text)
    with pytest.raises(ValueError, match="x"), progress.task("Next", 2):
        raise ValueError("x")
    assert notebook.outputs[1:] == ["Next: stopped at 0 of 2"]


def test_updates_of_a_notebook_are_rare(notebook):
    with NotebookProgress(interval=1e9).task("Long", 1000) as bar:
        for _ in range(500):
            bar.advance()
        assert notebook.outputs == [f"Long {'░' * 20} 0 of 1000"]


def test_progress_shows_by_default_in_a_notebook(notebook):
    assert isinstance(default_progress(), NotebookProgress)


@pytest.mark.parametrize(("is_terminal", "kind"), [(True, ConsoleProgress), (False, Silent)])
def test_progress_shows_by_default_in_a_terminal_alone(is_terminal, kind, monkeypatch):
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: is_terminal, write=len, flush=list))
    assert isinstance(default_progress(), kind)


def test_python_at_a_terminal_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert isinstance(default_progress(), Silent)
