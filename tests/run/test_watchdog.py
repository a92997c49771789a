"""The line about a run without progress; an event ends the silence, not the clock."""

import threading

from edanas.run.watchdog import WatchedProgress


class Lines:
    """A display whose lines set an event."""

    def __init__(self):
        self.lines, self.arrived = [], threading.Event()

    def task(self, label, total):
        from edanas.core.progress import Silent

        return Silent().task(label, total)

    def say(self, line):
        self.lines.append(line)
        self.arrived.set()


def test_a_silent_task_is_named_with_the_work_in_progress():
    display = Lines()
    watched = WatchedProgress(display, silence=0.01)
    watched.detail = lambda: "worker process 17 for 61 s"
    with watched.watching(), watched.task("Search", 3):
        assert display.arrived.wait(30)
    assert display.lines[0].startswith("No progress for ")
    assert display.lines[0].endswith("; waiting for 'Search': worker process 17 for 61 s.")


def test_without_a_task_the_line_says_so():
    display = Lines()
    with WatchedProgress(display, silence=0.01).watching():
        assert display.arrived.wait(30)
    assert "waiting for the start or the end of a stage." in display.lines[0]


def test_lines_become_rarer():
    display = Lines()
    watched = WatchedProgress(display, silence=0.01)
    with watched.watching(), watched.task("Search", 3):
        for _ in range(3):
            assert display.arrived.wait(30)
            display.arrived.clear()
    assert len(display.lines) >= 3


def test_a_run_with_progress_has_no_line_and_its_thread_ends():
    display = Lines()
    watched = WatchedProgress(display, silence=600.0)
    with watched.watching(), watched.task("Search", 3) as bar:
        bar.advance(2, "a note")
        watched.say("A line.")
    assert display.lines == ["A line."]
    assert not [thread for thread in threading.enumerate() if thread.name == "edanas watchdog"]
