"""The suite finds what is wrong with a logger."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edanas import hookimpl
from edanas.core.contracts import IterationSummary, Logger
from edanas.core.types import Evaluation
from edanas.testing import ConformanceError, check_logger


class Lines(Logger):
    """A line for each event; subclasses break one thing."""

    def __init__(self) -> None:
        self.folder = Path()

    def files(self) -> tuple[str, ...]:
        return ("lines.txt",)

    def write(self, line: str) -> None:
        with (self.folder / "lines.txt").open("a") as file:
            file.write(f"{line}\n")

    @hookimpl
    def edanas_run_started(self, settings: Mapping[str, Any], folder: Path) -> None:
        self.folder = folder
        self.write(f"started {settings['seed']}")

    @hookimpl
    def edanas_candidate_evaluated(self, evaluation: Evaluation) -> None:
        self.write(evaluation.candidate.id)


class Once(Lines):
    @hookimpl
    def edanas_run_started(self, settings: Mapping[str, Any], folder: Path) -> None:
        self.folder = folder
        (folder / "lines.txt").touch(exist_ok=False)


class Sure(Lines):
    @hookimpl
    def edanas_candidate_evaluated(self, evaluation: Evaluation) -> None:
        self.write(str(evaluation.metrics.accuracy))  # type: ignore[union-attr]


class Changing(Lines):
    @hookimpl
    def edanas_run_finished(self, result: dict[str, Any], folder: Path) -> None:
        result["front"].clear()


class Spoiling(Lines):
    @hookimpl
    def edanas_iteration_finished(self, summary: IterationSummary) -> None:
        (self.folder / "result.json").write_text("{}")


class Untidy(Lines):
    def files(self) -> tuple[str, ...]:
        return ()


class Greedy(Lines):
    def files(self) -> tuple[str, ...]:
        return ("*.txt",)


class Outside(Lines):
    def files(self) -> tuple[str, ...]:
        return ("../lines.txt",)


class Deaf(Logger):
    """Takes no event."""


class Misspelled(Lines):
    @hookimpl
    def edanas_run_ended(self) -> None: ...


class Offering(Lines):
    @hookimpl
    def edanas_loggers(self) -> Mapping[str, Callable[..., Logger]]:
        return {}


def test_a_sound_logger_passes() -> None:
    check_logger(Lines)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Once, "the event edanas_run_started raises FileExistsError"),
        (Sure, "the event edanas_candidate_evaluated raises AttributeError"),
        (Changing, "changes the arguments of edanas_run_finished"),
        (Spoiling, "changes the run's result.json"),
        (Untidy, "leaves lines.txt, which `files` does not match"),
        (Greedy, "`files` matches own.txt; allowed: files that the plugin itself writes"),
        (Outside, r"`files` returns '../lines.txt'; allowed: patterns relative"),
        (Deaf, "no function is marked with @edanas.hookimpl"),
        (Misspelled, "unknown hook 'edanas_run_ended'"),
        (Offering, "has the hook .*edanas_loggers.*; allowed: lifecycle events alone"),
        (object, "`make` returns an object; expected a Logger"),
    ],
)
def test_a_fault_is_found(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_logger(make)
