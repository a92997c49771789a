"""Contracts of a run: data, evaluations, executors, exporters, bundles."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts.exit_network import ExitNetwork
from edanas.core.errors import CandidateError, EdanasError
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
    """Measures a candidate. Made by `edanas.run.compose` from a workbench; picklable once prepared."""

    removable: bool = False
    """Whether a network with fewer exits placed does at these what the one with more does.

    An exit profile then answers for schemes that remove exits, too. That takes the same weights, and that no
    exit's answer or confidence depends on which exits stand before it.
    """

    @abstractmethod
    def prepare(self, progress: Progress) -> None:
        """What is needed once, first, e.g. training the supernet; resumes where it was cut."""

    @abstractmethod
    def evaluate(self, candidate: Candidate) -> Metrics:
        """Measure on the validation part. The result depends on the candidate and the seed, not on the order.

        Raises:
            Exception: Anything; the engine records it as this candidate's reason to fail.
        """

    def teacher(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Whom results may learn from: prepared images (B, C, R, R) -> probabilities (B, K), if anybody."""
        return None

    def profile(self, candidate: Candidate) -> ExitProfile | None:
        """The exit profile that `evaluate` scored this candidate from, for the archive; `None` = not kept.

        Called right after `evaluate`, in the same process.
        """
        return None

    def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
        """Metrics of any selection scheme on a backbone whose exit profile is at hand; no network runs.

        Args:
            candidate: Places exits only where the profile has a column.
            profile: What `profile` gave for a candidate with this backbone.

        Raises:
            CandidateError: Always, unless an evaluation that keeps profiles overrides this.
        """
        raise CandidateError(
            f"{candidate.id}: {type(self).__name__} cannot score {len(profile)} samples again"
        )

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        """Metrics of a candidate whose exits behave like `outcome`; costs follow from its structure alone.

        No network runs and no weights are needed. Called hundreds of times between two evaluations: to be
        worth having it must take less than a millisecond on a backbone that is new.

        Raises:
            CandidateError: Always, unless an evaluation whose costs follow from the structure overrides this.
        """
        raise CandidateError(f"{candidate.id}: {type(self).__name__} cannot tell costs from the structure")

    def schemes(self, candidate: Candidate, profile: ExitProfile) -> Sequence[SelectionScheme]:
        """The selection schemes that are Pareto optimal on one backbone over continuous thresholds.

        Args:
            candidate: Its scheme says which exits were built.
            profile: What `profile` gave for it.

        Raises:
            CandidateError: Always, unless an evaluation that keeps profiles overrides this.
        """
        raise CandidateError(f"{candidate.id}: {type(self).__name__} keeps no exit profiles")

    @abstractmethod
    def passes(self) -> tuple[float, float]:
        """For estimates: how many samples' forward passes `prepare` takes, and one `evaluate`."""

    @abstractmethod
    def network(self, candidate: Candidate) -> ExitNetwork:
        """The candidate's EENN with the weights that `evaluate` judged, to be fine-tuned further."""


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

    ending: ClassVar[str] = ""
    """What follows the stem in the name of the file to open, where `open` is there; by it, what was written
    earlier is found again."""

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

    @property
    def runs(self) -> bool:
        """Whether `open` is there."""
        return type(self).open is not Exporter.open

    def summary(self, path: Path) -> str:
        """What there is to say of what `export` wrote, in a sentence or none; `path` as for `open`."""
        return ""


class Logger:
    """Writes a run down for another tool, as it goes: a plugin that a run asks for by name.

    It has methods marked with `edanas.hookimpl` for the lifecycle events that it takes, one or more, and is
    told of nothing else. It is made before anything of the run is read, and may refuse then with an
    `EdanasError`, e.g. where a package is not installed; what it raises later is reported once for each
    event, and the run goes on. Events come in their order, from one thread; a resumed run tells a fresh
    logger only what is new.
    """


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
