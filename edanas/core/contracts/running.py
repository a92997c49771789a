"""Contracts of a run: data, executors and evaluations."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import torch

from edanas.core.contracts.capabilities import derive
from edanas.core.contracts.exit_network import ExitNetwork
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.progress import Progress
from edanas.core.types import Candidate, ExitProfile, LoadedData, Metrics, Outcome, SelectionScheme, Survey

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
            size: Height and width in pixels of the largest network input in the search. A source resizes its
                images to size x size if they are larger or differ in size. Otherwise, it keeps their size.
            seed: Seed of a source that draws samples at random.

        Raises:
            DataError: There are no images, an image is unreadable, or there are fewer than two classes.
        """

    def load_at(self, image_size: tuple[int, int], seed: int) -> LoadedData:
        """Return all samples for a finished network, at the size of the images of its run.

        By default, the source loads its images with the longer side as `size`. A source that decodes files
        should override this method, so that each file is resized once, straight to `image_size`.

        Args:
            image_size: Width and height in pixels.
            seed: See `load`.
        """
        return self.load(max(image_size), seed)

    image_side: ClassVar[int] = 0
    """Side of the images in pixels if it is known without reading them; 0, the default, otherwise.

    Networks read images at this side, unless the settings have another one or it exceeds their default.
    """

    surveyed: ClassVar[bool] = False
    """True if `survey` is implemented: the preset `auto` then suits the data set."""

    def survey(self) -> Survey:
        """Count the samples and find their size and colour, without reading all of them.

        Raises:
            DataError: The data set cannot be read.
        """
        raise NotImplementedError


class Executor(ABC):
    """Runs the work of a run: in this process, in other processes, or on other machines.

    The work is a function and its items. A run calls `run` and `as_completed` many times, one call after
    another: for the candidates of each iteration, for the results to finish, and for the plain networks. All
    calls of a run have the same function, which an executor recognises by identity (`is`) and sends to each
    worker once. Only the items differ: `edanas.core.joint_executor.Task` holds the number of a step of the
    run as `step`, the argument of the step, and an `id` for messages. Workers stay until `close`.

    `edanas.executors.shared_tensors.dumps` pickles the function for workers of this or another machine. The
    device is the worker's: `edanas.core.devices.worker_device` resolves the setting `device` where the pickle
    is loaded, for the GPU that `assign_gpu` assigned before, or the only GPU that the worker has.

    Example:
        >>> from edanas.executors.serial import Serial
        >>> list(Serial().run(str.upper, ["a", "b"]))
        ['A', 'B']
    """

    timeout: float = 0.0
    """The largest number of seconds of one item; 0 = automatic.

    Automatic limits follow from the durations of earlier items of the same step;
    `edanas.core.time_limits.StepLimits` computes them.
    """

    workers: int = 1
    """The number of items that are in work at once."""

    asynchronous: bool = False
    """True if the search gives a free worker the next candidate at once, before an iteration ends.

    It is the option `executor.asynchronous` of executors with several workers.
    """

    @abstractmethod
    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """Apply `function` to each item; yield the results in the items' order as they become available.

        The executor draws an item when a worker is free, or a few items ahead, since `items` may end early
        when the time limit is reached. Every drawn item has a result. If a worker dies, the result of its
        item is a `CandidateError`, which is yielded and not raised. The same holds for an item without a
        result in time.

        Args:
            function: A picklable function that raises nothing except `KeyboardInterrupt`, which this method
                passes on.
            items: Picklable arguments of `function`.
        """

    def as_completed(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[int, Answer | CandidateError]]:
        """Apply `function` to each item; yield the results in the order in which they become available.

        An item is drawn only when a worker is free, after all available results were yielded. By default,
        the order of `run` is used.

        Args:
            function: As for `run`.
            items: As for `run`.

        Yields:
            The number of an item, from 0 in the order of `items`, and its result.
        """
        yield from enumerate(self.run(function, items))

    def check(self) -> None:  # noqa: B027 - most executors need nothing besides this machine
        """Check that work can be sent to workers; a run calls it before it trains anything.

        Raises:
            ConfigError: It cannot, e.g. because no cluster answers.
        """

    def start(self) -> None:  # noqa: B027 - workers may start with the first call of `run`
        """Start workers of this machine before their function is known; a run calls it before it trains.

        The workers then import their libraries while the supernet is trained.
        """

    def waiting_for(self) -> str:
        """Return the items in progress as text, for a line about a run without progress; empty by default."""
        return ""

    def close(self) -> None:  # noqa: B027 - most executors hold nothing to give back
        """Release the workers; the executor is not used again."""


class Evaluator(ABC):
    """Measures candidates. `edanas.run.compose` makes an evaluator; a prepared evaluator is picklable.

    The attributes `removable`, `trains_supernet`, `keeps_profiles`, `judges` and `quantized` are
    capabilities: attributes of the class or of each object. A class that overrides `judge` or `schemes` gets
    `judges` or `keeps_profiles` automatically. A wrapper copies the capabilities of the evaluator that it
    wraps.

    Example:
        >>> from edanas.evaluation.shared import SharedEvaluation
        >>> SharedEvaluation.trains_supernet, SharedEvaluation.judges
        (True, True)
    """

    removable: bool = False
    """True if an exit profile also holds for schemes that remove exits from the profiled network.

    This requires that the weights stay the same. It also requires that neither the logits nor the confidence
    of an exit depend on the exits before it.
    """

    trains_supernet: bool = False
    """True if `prepare` trains a supernet, and `trainer` returns that training. The setting `teacher` and the
    command `edanas train-supernet` require it."""

    keeps_profiles: bool = False
    """True if candidates have exit profiles, and `profile`, `rescore` and `schemes` are implemented.

    Continuous thresholds require this capability.
    """

    judges: bool = False
    """True if `judge` is implemented."""

    quantized: bool = False
    """True if candidates are judged as networks in 8-bit integers; results then are judged so, too."""

    rungs: Sequence[float] = ()
    """Epochs at the end of each rung of a candidate's training, ascending; empty if no candidate is trained.

    With two rungs or more, `evaluate_in_rungs` is implemented.
    """

    reduction: int = 3
    """ASHA's reduction factor: about one candidate in so many goes on at the end of a rung."""

    quantized_epochs: int = 0
    """Number of epochs of training in integers that follow the fine-tuning of a result."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "keeps_profiles", "schemes")
        derive(cls, "judges", "judge")

    @abstractmethod
    def prepare(self, progress: Progress) -> None:
        """Do the work that precedes all evaluations, e.g. train the supernet; resume interrupted work."""

    @abstractmethod
    def evaluate(self, candidate: Candidate) -> Metrics:
        """Measure a candidate on the validation part.

        The result depends on the candidate and the seed, not on earlier evaluations. The network of a
        candidate may end at an exit point; `edanas.evaluation.network_builder.NetworkBuilder.staged` builds
        whole and cut backbones.

        Raises:
            Exception: Any error; the engine records it as the reason why this candidate failed.
        """

    def evaluate_in_rungs(self, candidate: Candidate, stops: Callable[[int, Metrics], bool]) -> Metrics:
        """Measure a candidate as `evaluate` does, and end its training early if `stops` says so.

        Without an early end, the metrics are those of `evaluate`.

        Args:
            candidate: The candidate.
            stops: Called at the end of each rung but the last with its number, from 0, and with the metrics
                of the network there. It returns true to end the training.

        Raises:
            Exception: As for `evaluate`.
        """
        raise NotImplementedError(f"{candidate.id}: {type(self).__name__} trains no candidate in rungs")

    def files(self) -> Sequence[str]:
        """Return patterns of the files that this evaluation leaves in the run's folder.

        `edanas run --overwrite` deletes these files. A run refuses a folder that contains such a file but no
        run. The archive stores the patterns before `prepare` is called.

        Returns:
            Glob patterns relative to the run's folder, e.g. `("supernet.pt", "states/*.npz")`. They match
            none of the files that a run writes itself.
        """
        return ()

    def trainer(self, progress: Progress) -> Any:
        """Return the supernet's training, an `edanas.training.sandwich.SandwichTraining` or a subclass.

        The checkpoint of the training is in the workbench's folder, and `files` includes it. The command
        `edanas train-supernet` runs the training in pieces.

        Args:
            progress: Shows progress bars.

        Raises:
            ConfigError: Always, unless an evaluation with `trains_supernet` overrides this.
        """
        raise ConfigError(f"evaluation: {type(self).__name__} trains no supernet")

    def teacher(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Return a teacher for the fine-tuning of the results; `None`, the default, means labels alone.

        The teacher takes prepared images (B, C, R, R), R pixels high and wide, and returns probabilities
        (B, K).
        """
        return None

    def profile(self, candidate: Candidate) -> ExitProfile | None:
        """Return the exit profile from which `evaluate` computed the metrics; `None` if there is none.

        The engine calls this right after `evaluate`, in the same process, and archives the profile.
        """
        return None

    def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
        """Return the metrics of a candidate on a backbone whose exit profile is known.

        No network runs.

        Args:
            candidate: A candidate that places exits only at exit points with a column in the profile.
            profile: The result of `profile` for a candidate with the same backbone.

        Raises:
            CandidateError: Always, unless an evaluation that keeps profiles overrides this.
        """
        raise CandidateError(
            f"{candidate.id}: {type(self).__name__} cannot compute metrics from an exit profile, here one of "
            f"{len(profile)} samples"
        )

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        """Return the metrics of a candidate with a hypothetical outcome; costs follow from its structure.

        No network runs and no weights are needed. Strategies call this hundreds of times between two
        evaluations, so a call should take less than a millisecond for a new backbone.

        Args:
            candidate: The candidate.
            outcome: The assumed accuracies and utilization.

        Raises:
            CandidateError: Always, unless an evaluation whose costs follow from the structure overrides this.
        """
        raise CandidateError(f"{candidate.id}: {type(self).__name__} cannot compute costs from the structure")

    def schemes(self, candidate: Candidate, profile: ExitProfile) -> Sequence[SelectionScheme]:
        """Return the selection schemes that are Pareto optimal on one backbone over continuous thresholds.

        Args:
            candidate: The profiled candidate; its scheme places the exits that may be used.
            profile: The result of `profile` for the candidate.

        Raises:
            CandidateError: Always, unless an evaluation that keeps profiles overrides this.
        """
        raise CandidateError(f"{candidate.id}: {type(self).__name__} keeps no exit profiles")

    @abstractmethod
    def passes(self) -> tuple[float, float]:
        """Return the numbers of forward passes in `prepare`, and in one call of `evaluate`.

        A forward pass of one sample counts as 1. Estimates of a run's duration use both numbers.
        """

    @abstractmethod
    def network(self, candidate: Candidate) -> ExitNetwork:
        """Return the candidate's EENN for further fine-tuning, with the weights that `evaluate` used."""
