"""Contracts of a run: data, evaluations, executors, exporters, loggers and bundles."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts.capabilities import derive
from edanas.core.contracts.exit_network import ExitNetwork
from edanas.core.errors import CandidateError, ConfigError, EdanasError
from edanas.core.progress import Progress
from edanas.core.types import (
    Candidate,
    Evaluation,
    ExitProfile,
    ImageSet,
    LoadedData,
    Metrics,
    Outcome,
    SelectionScheme,
)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class DataSource(ABC):
    """A labelled image data set.

    Example:
        >>> from edanas.data.digits import Digits
        >>> loaded = Digits().load(8, seed=0)
        >>> loaded.samples.images.shape
        torch.Size([1797, 1, 8, 8])
    """

    @abstractmethod
    def load(self, size: int, seed: int) -> LoadedData:
        """Return all samples as uint8 at one size, in an order that does not depend on the machine.

        Args:
            size: Side in pixels of the largest searched network's input. A source with larger or mixed images
                resizes them to size x size; a source whose images are equal and no larger keeps their size.
            seed: For a source that draws at random.

        Raises:
            DataError: There are no images, an image is unreadable, or there are fewer than two classes.
        """


class Executor(ABC):
    """Runs evaluations: in this process, in others, or elsewhere.

    Example:
        >>> from edanas.executors.serial import Serial
        >>> list(Serial().run(str.upper, ["a", "b"]))
        ['A', 'B']
    """

    @abstractmethod
    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """Apply `function` to each item; yield the results in the items' order as they become available.

        An item is drawn only when a worker is free, give or take a few: the iterator may end early when time
        is up, and every drawn item has a result. If a worker died, the result of its item is a
        `CandidateError` (yielded, not raised).

        Args:
            function: Picklable. It raises nothing except `KeyboardInterrupt`, which this method passes on.
            items: Picklable values.
        """

    def close(self) -> None:  # noqa: B027 - most executors hold nothing to give back
        """Release the workers; the executor is not used again."""


class Evaluator(ABC):
    """Measures candidates. `edanas.run.compose` makes one from a workbench; once prepared, it is picklable.

    A capability is a class attribute, or an attribute of each object. A class that overrides `judge` or
    `schemes` has `judges` or `keeps_profiles` without declaring it; a wrapper takes those of what it wraps.

    Example:
        >>> from edanas.evaluation.shared import SharedEvaluation
        >>> SharedEvaluation.trains_supernet, SharedEvaluation.judges
        (True, True)
    """

    removable: bool = False
    """True if an exit profile also holds for schemes that remove exits from its network.

    This requires the same weights, and that neither the logits nor the confidence of an exit depend on the
    exits before it.
    """

    trains_supernet: bool = False
    """True if `prepare` trains a supernet, and `trainer` does it in pieces. The setting `teacher` and the
    command `edanas train-supernet` require it."""

    keeps_profiles: bool = False
    """True if candidates have exit profiles: `profile`, `rescore` and `schemes`. Continuous thresholds
    require it."""

    judges: bool = False
    """True if `judge` is implemented."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "keeps_profiles", "schemes")
        derive(cls, "judges", "judge")

    @abstractmethod
    def prepare(self, progress: Progress) -> None:
        """Do the work that is needed once, e.g. train the supernet; resume it where it was interrupted."""

    @abstractmethod
    def evaluate(self, candidate: Candidate) -> Metrics:
        """Measure on the validation part. The result depends on the candidate and the seed, not on the order.

        Raises:
            Exception: Anything; the engine records it as the reason why this candidate failed.
        """

    def files(self) -> Sequence[str]:
        """Return the files that this evaluation leaves in the run's folder.

        `edanas run --overwrite` deletes them, and a folder with one of them but without a run is refused. The
        run's archive stores the patterns before `prepare`.

        Returns:
            Glob patterns relative to the run's folder, e.g. `("supernet.pt", "states/*.npz")`. They match
            none of the files that a run writes itself.
        """
        return ()

    def trainer(self, progress: Progress) -> Any:
        """Return the supernet's training, an `edanas.training.sandwich.SandwichTraining` or a subclass.

        Its checkpoint lies in the workbench's folder, and `files` lists it. `edanas train-supernet` runs the
        training in pieces.

        Raises:
            ConfigError: Always, unless an evaluation with `trains_supernet` overrides this.
        """
        raise ConfigError(f"evaluation: {type(self).__name__} trains no supernet")

    def teacher(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Return a teacher for the results: prepared images (B, C, R, R) -> probabilities (B, K).

        `None`, the default, means that results learn from labels alone.
        """
        return None

    def profile(self, candidate: Candidate) -> ExitProfile | None:
        """Return the exit profile that `evaluate` scored this candidate from; `None` if it has none.

        The engine calls this right after `evaluate`, in the same process, and archives the profile.
        """
        return None

    def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
        """Return the metrics of any selection scheme on a backbone whose exit profile is known.

        No network runs.

        Args:
            candidate: Places exits only where the profile has a column.
            profile: The result of `profile` for a candidate with this backbone.

        Raises:
            CandidateError: Always, unless an evaluation that keeps profiles overrides this.
        """
        raise CandidateError(
            f"{candidate.id}: {type(self).__name__} cannot score {len(profile)} samples again"
        )

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        """Return the metrics of a candidate with a hypothetical outcome; costs follow from its structure.

        No network runs and no weights are needed. Strategies call this hundreds of times between two
        evaluations, so it should take less than a millisecond on a new backbone.

        Raises:
            CandidateError: Always, unless an evaluation whose costs follow from the structure overrides this.
        """
        raise CandidateError(f"{candidate.id}: {type(self).__name__} cannot tell costs from the structure")

    def schemes(self, candidate: Candidate, profile: ExitProfile) -> Sequence[SelectionScheme]:
        """Return the selection schemes that are Pareto optimal on one backbone over continuous thresholds.

        Args:
            candidate: Its scheme places the exits that were built.
            profile: The result of `profile` for it.

        Raises:
            CandidateError: Always, unless an evaluation that keeps profiles overrides this.
        """
        raise CandidateError(f"{candidate.id}: {type(self).__name__} keeps no exit profiles")

    @abstractmethod
    def passes(self) -> tuple[float, float]:
        """Return how many samples' forward passes `prepare` takes, and one `evaluate`, for estimates."""

    @abstractmethod
    def network(self, candidate: Candidate) -> ExitNetwork:
        """Return the candidate's EENN with the weights that `evaluate` measured, for further fine-tuning."""


class Runner(ABC):
    """An exported EENN that runs on this machine, to be checked and measured.

    Example:
        >>> Runner.side is None
        True
    """

    exit_points: int
    """N; the last exit is number N."""

    side: int | None = None
    """Required height and width of images in pixels; `None` = any."""

    @abstractmethod
    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Classify; each sample exits at its own exit, and segments that no sample reaches do not run.

        Args:
            images: (B, C, H, W) bytes, B >= 1, H = W = `side` unless that is `None`.

        Returns:
            Labels (B,), exits (B,) from 0 (N = the last), confidences (B,) in [0, 1].
        """

    @abstractmethod
    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the labels (B,) of the last exit for all samples; no other head runs.

        Raises:
            EdanasError: This form cannot run the backbone alone.
        """

    @abstractmethod
    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """Classify B >= 1 samples and return for how many of them each segment ran.

        The numbers are observed, not derived from the exits. A segment is the stages between two placed exits
        with the head behind them: one number for each placed exit, ascending, then the last exit's.
        """

    def close(self) -> None:  # noqa: B027 - most runners hold nothing to give back
        """Release memory and sessions; the runner is not used again."""


class Exporter(ABC):
    """Writes a finished EENN in one file format.

    Example:
        >>> class Names(Exporter):
        ...     def export(self, network, stem):
        ...         path = stem.with_name(f"{stem.name}.txt")
        ...         path.write_text(" ".join(network.classes))
        ...         return [path]
        >>> Names.runs
        False
    """

    exact: ClassVar[bool] = True
    """True if the exported network predicts as the original does, up to rounding."""

    runs: bool = False
    """True if `open` is implemented. A subclass that overrides `open` need not declare it."""

    ending: ClassVar[str] = ""
    """The end of the name of the file to open, after the stem, if `open` is implemented. `edanas bench` finds
    exported networks by it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "runs", "open")

    def prepare(self, calibration: ImageSet, validation: ImageSet) -> None:  # noqa: B027 - most need none
        """Take images for a format that needs some; called before exports if there are images.

        Args:
            calibration: To set scales of integers, for example.
            validation: To measure the format's loss of accuracy.
        """

    @abstractmethod
    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write files whose names begin with `stem`; return their paths, the one to open first.

        Raises:
            ExportError: The network cannot be expressed in this format, or required images were not given.
            RunError: A file cannot be written.
        """

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Open an exported network to run it here.

        Args:
            path: The first path that `export` returned.
            threads: Threads of the runtime. A runtime that uses torch's, or has none, ignores it.

        Raises:
            EdanasError: The files are missing or damaged, or this format does not run on this machine.
        """
        raise EdanasError(f"{path}: what {type(self).__name__} writes cannot be run here")

    def summary(self, path: Path) -> str:
        """Return a sentence on the exported files, or nothing; `path` as for `open`."""
        return ""


class Logger:
    """Reports a run to another tool while it goes on: a plugin that a run requests by name.

    It has one or more methods that are marked with `edanas.hookimpl` and named after lifecycle events, and
    receives no other event. A run creates it before it reads anything. The constructor may raise an
    `EdanasError`, e.g. if a package is not installed; a later exception is reported once for each event, and
    the run goes on. Events arrive in order, from one thread; a resumed run reports only new events to a fresh
    logger.

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
        """Return the files that this logger leaves in the run's folder, for `edanas run --overwrite`.

        Returns:
            Glob patterns relative to the run's folder; see `Evaluator.files`.
        """
        return ()


@dataclass(frozen=True)
class Bundle:
    """Settings for a whole run: names and numbers, no logic.

    Args:
        doc: One line for `edanas plugins`.
        settings: Settings by dotted path or as nested tables, laid over the defaults.
        presets: Further layers by name, e.g. `quick`, `paper`, `best`; the first is the default. `auto` is
            the default for a folder of images; settings that suit these images are laid over it.

    Example:
        >>> bundle = Bundle("For tests.", {"seed": 7}, {"quick": {"search.iterations": 2}})
        >>> list(bundle.presets)
        ['quick']
    """

    doc: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class IterationSummary:
    """Counts and hypervolume of one iteration.

    Args:
        iteration: Its number; 0 is the initial archive.
        evaluated: Candidates in the archive after it.
        failed: The failed ones among them.
        hypervolume: In [0, 1].
        newest: The evaluations of this iteration.
        notes: The strategy's notes, by name; a `SurrogateNote` is text with attributes.
        feasible: Share of the iteration's candidates that keep all constraints (phi of CNAS); `None` = there
            are no constraints.

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
