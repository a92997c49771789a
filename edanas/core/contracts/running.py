"""Contracts of a run: data, evaluations, executors, exporters, bundles."""

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
    """A labelled image data set."""

    @abstractmethod
    def load(self, size: int, seed: int) -> LoadedData:
        """All samples as uint8 at one size, in an order that does not depend on the machine.

        Args:
            size: Side in pixels that the largest searched network reads: a source of larger or mixed images
                resizes to size x size; a source whose images are all equal and no larger keeps theirs.
            seed: For a source that draws anything.

        Raises:
            DataError: Nothing to read, unreadable images, fewer than two classes.
        """


class Executor(ABC):
    """Runs evaluations: here, in other processes, or elsewhere."""

    @abstractmethod
    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """`function` of each item, answers in the items' order as they become available.

        Items are taken only when there is somebody free to work on them, give or take a few: their iterator
        may end early where time is up, and what was taken is answered. Where a worker died before it
        answered, its item's answer is a `CandidateError` that says so (yielded, not raised).

        Args:
            function: Picklable, and raises nothing, save for `KeyboardInterrupt`; if it does, so does this.
            items: Picklable values.
        """

    def close(self) -> None:  # noqa: B027 - most executors hold nothing to give back
        """Give back workers; the executor is not used again."""


class Evaluator(ABC):
    """Measures candidates. `edanas.run.compose` makes one from a workbench; once prepared, it is picklable.

    A capability is a class attribute, or an attribute of each object. A class that overrides `judge` or
    `schemes` has `judges` or `keeps_profiles` without declaring it; a wrapper takes those of what it wraps.
    """

    removable: bool = False
    """Whether an exit profile also holds for schemes that remove exits from its network.

    This requires the same weights, and that neither the logits nor the confidence of an exit depend on the
    exits before it.
    """

    trains_supernet: bool = False
    """Whether `prepare` trains a supernet, and `trainer` does it in pieces. The setting `teacher` and the
    command `edanas train-supernet` require it."""

    keeps_profiles: bool = False
    """Whether candidates have exit profiles: `profile`, `rescore` and `schemes`. Continuous thresholds
    require it."""

    judges: bool = False
    """Whether `judge` is implemented."""

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
    """An exported EENN that runs on this machine, to be checked and measured side by side with others."""

    exit_points: int
    """N: the last exit is number N."""

    side: int | None = None
    """Height and width that images must have, in pixels; `None` for any."""

    @abstractmethod
    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Classify, each sample leaving at its own exit; segments that nobody needs do not run.

        Args:
            images: (B, C, H, W) bytes, of any size H x W unless `side` says otherwise; B >= 1.

        Returns:
            Labels (B,), exits taken (B,) from 0 (N = the last), confidences (B,) in [0, 1].
        """

    @abstractmethod
    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Labels (B,) of the last exit for all samples; no other head runs.

        Raises:
            EdanasError: This form cannot run the backbone alone.
        """

    @abstractmethod
    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """How many of B >= 1 samples each segment was really computed for, when they are classified.

        It is observed, not derived from the exits taken. A segment is what lies between two placed exits,
        with the head behind it: one number for each placed exit, ascending, then the last exit's.
        """

    def close(self) -> None:  # noqa: B027 - most runners hold nothing to give back
        """Give back memory and sessions; the runner is not used again."""


class Exporter(ABC):
    """Writes a finished EENN in some form."""

    exact: ClassVar[bool] = True
    """Whether what it writes answers as the network does, save for rounding."""

    runs: bool = False
    """Whether `open` is implemented. A subclass that overrides `open` need not declare it."""

    ending: ClassVar[str] = ""
    """What follows the stem in the name of the file to open, where `open` is there; by it, what was written
    earlier is found again."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "runs", "open")

    def prepare(self, calibration: ImageSet, validation: ImageSet) -> None:  # noqa: B027 - most need none
        """Called before exports, where there are images: a form that depends on any uses these.

        Args:
            calibration: To set scales or the like by.
            validation: To measure on what the form costs in accuracy.
        """

    @abstractmethod
    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write files whose names begin with `stem`; returns their paths, the one to open first.

        Raises:
            ExportError: The network cannot be put into this form, or images are needed and there were none.
            RunError: A file cannot be written.
        """

    def open(self, path: Path, threads: int = 1) -> Runner:
        """What `export` wrote, ready to run here.

        Args:
            path: The first that `export` returned.
            threads: How many the runtime may use; one that has torch's, or none of its own, leaves it.

        Raises:
            EdanasError: The files are missing or damaged, or this form does not run on this machine.
        """
        raise EdanasError(f"{path}: what {type(self).__name__} writes cannot be run here")

    def summary(self, path: Path) -> str:
        """What there is to say of what `export` wrote, in a sentence or none; `path` as for `open`."""
        return ""


class Logger:
    """Reports a run to another tool while it goes on: a plugin that a run requests by name.

    It has one or more methods that are marked with `edanas.hookimpl` and named after lifecycle events, and
    receives no other event. A run makes it before it reads anything. The constructor may raise an
    `EdanasError`, e.g. if a package is not installed; a later exception is reported once for each event, and
    the run goes on. Events arrive in order, from one thread; a resumed run reports only new events to a fresh
    logger.
    """

    def files(self) -> Sequence[str]:
        """Return the files that this logger leaves in the run's folder, for `edanas run --overwrite`.

        Returns:
            Glob patterns relative to the run's folder; see `Evaluator.files`.
        """
        return ()


@dataclass(frozen=True)
class Bundle:
    """A named set of choices for all kinds: names and numbers, no logic.

    Args:
        doc: One line for `edanas plugins`.
        settings: Settings by dotted path or as nested tables, laid over the defaults.
        presets: Further layers by name, e.g. `quick`, `paper`, `best`; the first is the default. One called
            `auto` is the default for a folder of images, and what suits its images is laid over it.
    """

    doc: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class IterationSummary:
    """What one iteration (0 = the initial archive) brought: counts, and the hypervolume in [0, 1].

    `feasible` is the share of the iteration's candidates that keep all constraints (phi of CNAS), `None`
    where there are no constraints.
    """

    iteration: int
    evaluated: int
    failed: int
    hypervolume: float
    newest: tuple[Evaluation, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    feasible: float | None = None
