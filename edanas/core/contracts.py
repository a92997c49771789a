"""One small abstract class for each kind of extension: what it is given, what it gives back, in which units.

Tensors: B samples, C channels, H x W pixels, K classes; N exit points, M = N + 1 stages. Whoever implements a
contract may raise any `EdanasError`; any other exception is reported as a fault of the plugin that owns the
implementation.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.errors import CandidateError, WeightsError
from edanas.core.progress import Progress
from edanas.core.space import SearchSpace
from edanas.core.types import (
    Backbone,
    Candidate,
    Evaluation,
    ExitPoint,
    ExitProfile,
    LoadedData,
    Metrics,
    Task,
    Variable,
)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class StagedBackbone(nn.Module):
    """A single-exit network cut into M stages, with an exit point after each but the last.

    Args:
        stages: M modules in sequence; the first takes (B, C, resolution, resolution) floats.
        head: The last exit: features of the last stage -> logits (B, K).
        resolution: Side of the input images in pixels.
    """

    def __init__(self, stages: Sequence[nn.Module], head: nn.Module, resolution: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.resolution = resolution

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of the last exit."""
        features = images
        for stage in self.stages:
            features = stage(features)
        logits: torch.Tensor = self.head(features)
        return logits


class Supernet(nn.Module, ABC):
    """A weight-sharing network that holds every backbone of a search space."""

    @abstractmethod
    def view(self, backbone: Backbone) -> StagedBackbone:
        """`backbone` on the supernet's own weights: training it trains the supernet.

        A view starts in the supernet's training mode. Views may be made and run in any order; none disturbs
        another.
        """

    @abstractmethod
    def extract(self, backbone: Backbone) -> StagedBackbone:
        """`backbone` with copies of its weights, free of the supernet. In eval mode it equals the view."""


class SupernetProvider(ABC):
    """A family of supernets: its search space, and how to build what is in it.

    An implementation's constructor arguments are its options; each has a type annotation and a default.
    """

    exit_points: int
    """N: how many exit points each backbone has."""

    @abstractmethod
    def variables(self) -> tuple[Variable, ...]:
        """The backbone's dimensions, each with its choices in the order of rising cost.

        One of them is named `resolution` (pixels). The first choices together are the smallest backbone, the
        last ones the largest: the sandwich rule trains both in each step.
        """

    @abstractmethod
    def supernet(self, task: Task) -> Supernet:
        """A supernet with fresh weights, drawn from torch's global generator."""

    @abstractmethod
    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """One backbone with fresh weights, of the same structure that `Supernet.extract` gives."""

    @abstractmethod
    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """For each exit point, every number of channels that features may have there."""

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Fill `supernet` from a file or a named download; returns a sentence on what was taken and left.

        Raises:
            WeightsError: Always, unless a provider overrides this.
        """
        raise WeightsError(f"weights '{weights}': supernet {type(supernet).__name__} has no loadable weights")


class ExitClassifier(ABC):
    """The small head placed at an exit point (the paper's EEC)."""

    @abstractmethod
    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """A head: features (B, point.channels, H, W) -> logits (B, K).

        Heads of one exit point with equal channels are shared by all backbones and resolutions of a supernet,
        so a head must accept any H x W.
        """


class ConfidenceCriterion(ABC):
    """How sure an exit is."""

    @abstractmethod
    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> confidence (B,) in [0, 1], larger = surer, also for K = 1 and infinities."""


class SurrogateModel(ABC):
    """A regressor from a genome to one objective. All randomness comes from the argument `seed`."""

    @abstractmethod
    def fit(self, genomes: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Self:
        """Learn (n, D) genes -> (n,) values; n >= 2, duplicates allowed. Returns itself."""

    @abstractmethod
    def predict(self, genomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n, D) genes -> (n,) finite values."""

    def cross_validate(
        self,
        genomes: npt.NDArray[np.float64],
        values: npt.NDArray[np.float64],
        folds: Sequence[npt.NDArray[np.int64]],
    ) -> npt.NDArray[np.float64]:
        """(n,) predictions, each sample's made by a model fitted on the other folds; for adaptive switching.

        Args:
            genomes: (n, D) genes.
            values: (n,) what to predict.
            folds: Disjoint index arrays that together hold 0..n-1 once. A model that can fit all folds at
                once overrides this.
        """
        held_out = np.empty(len(values))
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(values)), fold)
            held_out[fold] = copy.deepcopy(self).fit(genomes[rest], values[rest]).predict(genomes[fold])
        return held_out


class Objective(ABC):
    """One number to optimise, derived from an evaluation's metrics."""

    maximise: ClassVar[bool] = False
    unit: ClassVar[str] = ""

    @abstractmethod
    def value(self, metrics: Metrics) -> float:
        """The number in its own direction and unit; the engine minimises inside."""


@dataclass(frozen=True)
class SearchProblem:
    """What a search strategy works on.

    Args:
        space: Genomes and candidates.
        objectives: How many numbers `SearchStrategy.tell` receives for each evaluation, all minimised.
        surrogate: A fresh surrogate model for one objective, from a seed.
        seed: The run's seed.
        initial: How many candidates the initial archive holds.
        progress: Where to show what takes long.
    """

    space: SearchSpace
    objectives: int
    surrogate: Callable[[int], SurrogateModel]
    seed: int
    initial: int
    progress: Progress


class SearchStrategy(ABC):
    """Chooses what to evaluate next.

    Every answer must be a function of the seed and of what was told, and of nothing else: a resumed run tells
    a fresh strategy the whole archive and must get the candidates that the interrupted one got.
    """

    @abstractmethod
    def start(self, problem: SearchProblem) -> None:
        """Called once, before anything else."""

    @abstractmethod
    def initial(self) -> list[Candidate]:
        """The initial archive's candidates, distinct, at most `problem.initial`."""

    @abstractmethod
    def tell(self, genomes: npt.NDArray[np.int64], objectives: npt.NDArray[np.float64]) -> None:
        """What was evaluated since the last call, in order: (n, D) genes, (n, J) minimised values.

        A failed candidate has a row of NaN.
        """

    @abstractmethod
    def ask(self, count: int) -> list[Candidate]:
        """At most `count` distinct candidates that were never told; empty when the space is exhausted."""

    def notes(self) -> dict[str, str]:
        """What the last `ask` has to tell the log, e.g. which surrogate won with which tau."""
        return {}


class TrainingScheme(ABC):
    """How the losses of several exits become one number."""

    @abstractmethod
    def loss(
        self, logits: Sequence[torch.Tensor], targets: torch.Tensor, label_smoothing: float = 0.0
    ) -> torch.Tensor:
        """A scalar from each exit's logits (B, K), the last exit last.

        Args:
            logits: One tensor an exit.
            targets: Labels (B,) int64, or a teacher's probabilities (B, K).
            label_smoothing: Share of the target spread over all classes; 0 with a teacher.
        """


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
    """Measures a candidate. Made by `edanas.compose` from a workbench; picklable once prepared.

    `removable` says whether a network with fewer exits placed has the weights of the one with more: an exit
    profile then answers for schemes that remove exits, too.
    """

    removable: ClassVar[bool] = False

    @abstractmethod
    def prepare(self, progress: Progress) -> None:
        """What is needed once, first, e.g. training the supernet; resumes where it was cut."""

    @abstractmethod
    def evaluate(self, candidate: Candidate) -> Metrics:
        """Measure on the validation part. The result depends on the candidate and the seed, not on the order.

        Raises:
            Exception: Anything; the engine records it as this candidate's reason to fail.
        """

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

    @abstractmethod
    def passes(self) -> tuple[float, float]:
        """For estimates: how many samples' forward passes `prepare` takes, and one `evaluate`."""

    @abstractmethod
    def network(self, candidate: Candidate) -> nn.Module:
        """The candidate's EENN with the weights that `evaluate` judged, to be fine-tuned further."""


class Exporter(ABC):
    """Writes a finished EENN in some form."""

    @abstractmethod
    def export(self, network: nn.Module, stem: Path) -> list[Path]:
        """Write files whose names begin with `stem`; returns their paths, the one to open first."""


@dataclass(frozen=True)
class Bundle:
    """A named set of choices for all kinds: names and numbers, no logic.

    Args:
        doc: One line for `edanas plugins`.
        settings: Settings by dotted path or as nested tables, laid over the defaults.
        presets: Further layers by name, e.g. `quick`, `paper`, `best`; the first is the default.
    """

    doc: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class IterationSummary:
    """What one iteration (0 = the initial archive) brought: counts, and the hypervolume in [0, 1]."""

    iteration: int
    evaluated: int
    failed: int
    hypervolume: float
    newest: tuple[Evaluation, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
