"""TensorBoard: event files in the run's folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from edanas.core.contracts import IterationSummary, Logger
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.core.settings import labels
from edanas.core.types import Evaluation
from edanas.loggers.run_figures import archived_count, candidate_figures, iteration_figures, result_figures

EVENTS = "tensorboard"
"""The folder, in a run's folder, to point TensorBoard at."""

_PLOT = "pareto.png"


class TensorBoardLogger(Logger):
    """Event files for TensorBoard below `tensorboard/` in the run's folder: `tensorboard --logdir RUN`.

    Candidates go by their number in the archive, the search's figures by iteration, and a finished network's
    by its number among the results. A resumed run goes on where it was.
    """

    def __init__(self) -> None:
        self._open = import_optional(
            "loggers", "tensorboard", "tensorboard", "torch.utils.tensorboard"
        ).SummaryWriter
        self._writer: Any = None
        self._objectives: list[str] = []
        self._candidates = 0

    def files(self) -> Sequence[str]:
        """See `Logger.files`."""
        return (f"{EVENTS}/events.out.tfevents.*",)

    @hookimpl
    def edanas_run_started(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Begin an event file."""
        self._candidates = archived_count(folder)
        self._objectives = labels(settings.get("objectives") or [])
        self._writer = self._open(str(folder / EVENTS))
        self._writer.add_text("settings", _code(tomli_w.dumps(settings)), 0)
        self._writer.flush()

    @hookimpl
    def edanas_candidate_evaluated(self, evaluation: Evaluation) -> None:
        """Write what was measured."""
        self._write(candidate_figures(evaluation), self._candidates)
        if evaluation.error and self._writer is not None:
            self._writer.add_text("candidate/error", _code(evaluation.error), self._candidates)
        self._candidates += 1

    @hookimpl
    def edanas_iteration_finished(self, summary: IterationSummary) -> None:
        """Write the search's figures, and see that they can be read at once."""
        self._write(iteration_figures(summary, self._objectives), summary.iteration)
        if self._writer is not None:
            self._writer.flush()

    @hookimpl
    def edanas_run_finished(self, result: Mapping[str, Any], folder: Path) -> None:
        """Write what the test part said and the plot, and close the file."""
        if self._writer is None:
            return
        for number, (_, figures) in enumerate(result_figures(result)):
            self._write(figures, number)
        names = "\n".join(f"{number}: {name}" for number, (name, _) in enumerate(result_figures(result)))
        self._writer.add_text("result/networks", _code(names), 0)
        if (folder / _PLOT).is_file():
            from PIL import Image

            with Image.open(folder / _PLOT) as plot:
                self._writer.add_image("fronts", np.asarray(plot.convert("RGB")), 0, dataformats="HWC")
        self._writer.close()

    def _write(self, figures: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)


def _code(text: str) -> str:
    """As TensorBoard's Markdown shows it unchanged: names of others are no markup there."""
    return "\n".join(f"    {line}" for line in text.splitlines())


@hookimpl
def edanas_loggers() -> Mapping[str, Callable[..., Logger]]:
    """The logger `tensorboard`."""
    return {"tensorboard": TensorBoardLogger}
