"""Logger that writes TensorBoard's event files into the run folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.contracts import IterationSummary, Logger
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.core.settings import labels
from edanas.core.types import Evaluation
from edanas.loggers.run_figures import archived_count, candidate_figures, iteration_figures, result_figures

EVENTS = "tensorboard"
"""The name of the folder of event files in the run folder."""

_PLOT = "pareto.png"


class TensorBoardLogger(Logger):
    """Logger that writes event files to `tensorboard/` in the run folder, for `tensorboard --logdir RUN`.

    The step of a candidate's values is the number of the candidate in the archive. The step of the
    hypervolume and of the surrogates is the iteration. The step of a finished network's values is the number
    of the network among the results. A resumed run continues the steps.

    Raises:
        MissingExtraError: The package tensorboard is not installed.
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
        """Open a new event file, and write the settings."""
        self._candidates = archived_count(folder)
        self._objectives = labels(settings.get("objectives") or [])
        import tomli_w

        self._writer = self._open(str(folder / EVENTS))
        self._writer.add_text("settings", _code(tomli_w.dumps(settings)), 0)
        self._writer.flush()

    @hookimpl
    def edanas_candidate_evaluated(self, evaluation: Evaluation) -> None:
        """Write the measured values of the candidate, or its error."""
        self._write(candidate_figures(evaluation), self._candidates)
        if evaluation.error and self._writer is not None:
            self._writer.add_text("candidate/error", _code(evaluation.error), self._candidates)
        self._candidates += 1

    @hookimpl
    def edanas_iteration_finished(self, summary: IterationSummary) -> None:
        """Write the measured values of the iteration, and flush the file."""
        self._write(iteration_figures(summary, self._objectives), summary.iteration)
        if self._writer is not None:
            self._writer.flush()

    @hookimpl
    def edanas_run_finished(self, result: Mapping[str, Any], folder: Path) -> None:
        """Write the values of the finished networks and the plot of the fronts, and close the file."""
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
    """Return an indented text, which TensorBoard shows as code instead of Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())


@hookimpl
def edanas_loggers() -> Mapping[str, Callable[..., Logger]]:
    """Register the logger `tensorboard`."""
    return {"tensorboard": TensorBoardLogger}
