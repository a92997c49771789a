"""Contracts around a run: bundles of its settings, and loggers of its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edanas.core.types import Evaluation


@dataclass(frozen=True)
class Bundle:
    """Settings for a whole run: names and numbers, no logic.

    Args:
        doc: Description in one line, which `edanas plugins` shows.
        settings: Settings by dotted path or as nested tables; they replace the defaults.
        presets: Further settings by the name of the preset, e.g. `quick`; they replace `settings`. The first
            preset is the default. For a folder of images, the default is `auto`, and settings that suit the
            images replace the settings of `auto`.

    Example:
        >>> bundle = Bundle("For tests.", {"seed": 7}, {"quick": {"search.iterations": 2}})
        >>> list(bundle.presets)
        ['quick']
    """

    doc: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Logger:
    """A plugin that reports a run to another tool, e.g. TensorBoard; the settings of the run request it.

    A logger has one or more methods that are marked with `edanas.hookimpl` and named after lifecycle events.
    It receives these events only, in order and from one thread. A run creates its loggers before it reads any
    data. The constructor may raise an `EdanasError`, e.g. if a package is not installed. A later exception is
    reported once for each event, and the run goes on. A resumed run creates new loggers and reports only new
    events.

    Example:
        >>> from edanas import hookimpl
        >>> class Printer(Logger):
        ...     @hookimpl
        ...     def edanas_iteration_finished(self, summary):
        ...         print(f"iteration {summary.iteration}: {summary.hypervolume:.2f}")
        >>> Printer().edanas_iteration_finished(IterationSummary(1, 24, 0, 0.5, ()))
        iteration 1: 0.50
    """

    def files(self) -> Sequence[str]:
        """Return patterns of the files that this logger leaves in the run's folder.

        `edanas run --overwrite` deletes these files.

        Returns:
            Glob patterns relative to the run's folder; see `Evaluator.files`.
        """
        return ()


@dataclass(frozen=True)
class IterationSummary:
    """Counts and hypervolume of one iteration.

    Args:
        iteration: Number of the iteration; 0 = the initial archive.
        evaluated: Number of evaluations in the archive after the iteration.
        failed: Number of failed evaluations in the archive after the iteration.
        hypervolume: Hypervolume after the iteration, in [0, 1].
        newest: The evaluations of the iteration.
        notes: The strategy's notes by name; a `SurrogateNote` is a text with attributes.
        feasible: Share of the iteration's candidates that keep all constraints; `None` = there are no
            constraints. The share is called phi in CNAS (Gambella, Falcetta and Roveri, 2022).

    Example:
        >>> IterationSummary(1, evaluated=24, failed=1, hypervolume=0.5, newest=()).feasible is None
        True
    """

    iteration: int
    evaluated: int
    failed: int
    hypervolume: float
    newest: tuple[Evaluation, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    feasible: float | None = None
