"""Evaluation mode `shared`: candidates inherit the weights of a supernet that is trained once."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edanas.core.contracts import Evaluator, StagedBackbone
from edanas.core.hookspecs import hookimpl
from edanas.core.progress import Progress
from edanas.core.tracing import exit_points
from edanas.core.types import Backbone, Candidate, ExitProfile, Metrics, SelectionScheme
from edanas.evaluation.initial_weights import load_initial_weights
from edanas.evaluation.network_trainer import relative_costs
from edanas.evaluation.quantised import check_quantisable, checked_epochs, quantised
from edanas.evaluation.scored_profiles import ScoredProfiles
from edanas.evaluation.teacher_targets import attach_teacher, teacher_of_results
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_profile
from edanas.training.distillation import StoredTeacher, Teacher
from edanas.training.sandwich import SandwichTraining, SupernetWithExits, resized
from edanas.training.shrinking_training import ShrinkingTraining

CHECKPOINT = "supernet.pt"
"""Name of the checkpoint of the supernet's training, inside the run folder."""


class SharedEvaluation(ScoredProfiles):
    """Evaluation mode in which candidates inherit the weights of a supernet that is trained once.

    The supernet is trained with all its exits. The weights of a candidate's backbone are copied out of it,
    and the BatchNorm statistics are recomputed. One pass over the validation part gives the exit profile,
    from which every selection scheme of the backbone is scored.

    Args:
        workbench: The run's objects and data.
        quantized: Judge candidates and results as networks in 8-bit integers.
        quantized_epochs: Number of epochs of training in integers that follow the fine-tuning of a result, if
            `quantized` is true.

    Raises:
        ConfigError: `quantized_epochs` is negative.
    """

    trains_supernet = True

    def __init__(self, workbench: Workbench, *, quantized: bool = False, quantized_epochs: int = 0) -> None:
        self.workbench = workbench
        self.quantized, self.quantized_epochs = quantized, checked_epochs(quantized_epochs)
        self.removable = not workbench.memory
        self._network: SupernetWithExits | None = None
        self._teacher: StoredTeacher | None = None
        self._profiles: dict[tuple[str, tuple[int, ...]], ExitProfile] = {}

    def prepare(self, progress: Progress) -> None:
        """Build the supernet, load the weights of the setting `weights` if it is not empty, and train it.

        Raises:
            WeightsError: The weights or the teacher are not available, do not fit the run, or were trained on
                held-out images.
            ConfigError: The last layers or the criterion would stay random, since `training.epochs` is 0.
            RunError: The checkpoint of the training is damaged.
        """
        if self.quantized:
            check_quantisable(self.workbench)
        trainer = self.trainer(progress)
        trainer.run(progress)
        self._network = trainer.network

    def files(self) -> Sequence[str]:
        """See `Evaluator.files`: the checkpoint, and the partial files of an interrupted write."""
        return CHECKPOINT, f".{CHECKPOINT}.*.partial", str(Path(CHECKPOINT).with_suffix(".partial"))

    def trainer(self, progress: Progress) -> SandwichTraining:
        """See `Evaluator.trainer`. This builds the supernet, and loads the weights of the setting `weights`.

        Raises:
            WeightsError: The weights or the teacher are not available, do not fit the run, or were trained on
                held-out images.
            ConfigError: The last layers or the criterion would stay random, since `training.epochs` is 0.
            RunError: The checkpoint of the training is damaged.
        """
        bench = self.workbench
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("weights"))
            supernet = bench.builder.supernet()
            task, criterion = bench.parts.task, bench.fresh_criterion()
            rule = bench.builder.inference() if bench.inference.corrects else None
            network = SupernetWithExits(supernet, bench.provider, bench.classifier, task, criterion, rule)
        checkpoint = bench.folder / CHECKPOINT
        # A checkpoint holds all weights, so that a resumed training does not need the initial weights.
        if not checkpoint.exists() and (message := load_initial_weights(bench, supernet, network)):
            progress.say(message)
        kind = ShrinkingTraining if bench.settings.training.shrinking else SandwichTraining
        trainer = kind(
            network.to(bench.device),
            bench.space,
            bench.parts,
            bench.settings.training,
            bench.scheme,
            criterion,
            bench.settings.seed,
            checkpoint,
        )
        trainer.kernels.report = progress.say
        if bench.scheme.uses_costs:
            largest = bench.builder.with_every_head(trainer.largest)
            trainer.costs = relative_costs(largest, task.in_channels)
        if bench.settings.teacher:
            trainer.resume()
            # A finished training needs no teacher.
            if not trainer.finished:
                attach_teacher(bench, trainer, progress)
        return trainer

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        return self.rescore(candidate, self.profile(candidate))

    def profile(self, candidate: Candidate) -> ExitProfile:
        """See `Evaluator.profile`. The profile has a column for every exit point before the last exit.

        If exits depend on earlier exits, it has columns for the placed exits only.
        """
        every = tuple(range(self.workbench.stages_of(candidate.backbone) - 1))
        return self._profile(candidate.backbone, every if self.removable else candidate.scheme.placed)

    def passes(self) -> tuple[float, float]:
        """See `Evaluator.passes`."""
        bench, settings = self.workbench, self.workbench.settings.training
        images = settings.images(len(bench.parts.train))
        training = sum(settings.passes) * bench.scheme.passes * images
        return training, bench.judging_passes()

    def teacher(self) -> Teacher:
        """See `Evaluator.teacher`.

        The teacher is that of the setting `teacher`; without one, the supernet's largest backbone, at its own
        resolution.
        """
        bench = self.workbench
        if self._teacher is None and bench.settings.teacher:
            self._teacher = teacher_of_results(bench)
        if self._teacher is None:
            largest = bench.space.whole().largest()
            # Without earlier exits, a last exit that reads them would be another classifier.
            points = tuple(range(bench.provider.exit_points)) if bench.inference.corrects else ()
            network = self._inherit(largest, points).freeze()
            device = torch.device(bench.device)
            self._teacher = StoredTeacher(_LastExit(network), bench.parts, device, network.resolution)
        return self._teacher

    def network(self, candidate: Candidate) -> EENN:
        """See `Evaluator.network`.

        Raises:
            RuntimeError: `prepare` has not been called.
        """
        network = self._inherit(candidate.backbone, candidate.scheme.placed)
        network.scheme = candidate.scheme
        return network

    def _profile(self, backbone: Backbone, points: tuple[int, ...]) -> ExitProfile:
        """Return the exit profile of a backbone with heads at `points`, computed once."""
        key = backbone.id, points
        if key not in self._profiles:
            network = self._inherit(backbone, points)
            if self.quantized:
                network = quantised(self.workbench, network)
            self._profiles[key] = collect_profile(network, self.workbench.parts.validation)
        return self._profiles[key]

    def _inherit(self, backbone: Backbone, points: tuple[int, ...]) -> EENN:
        """Return a network with the supernet's weights and heads at `points`, recalibrated and fitted."""
        if self._network is None:
            raise RuntimeError("`prepare` must be called before the first candidate")
        trained, shapes = self._network, exit_points(self.workbench.segments(backbone)[0])

        def head(_: StagedBackbone, index: int) -> nn.Module:
            return trained.head(index, shapes[index].channels, backbone)

        with torch.no_grad():
            staged = self.workbench.builder.staged(
                backbone, trained.supernet.extract, lambda whole, index: copy.deepcopy(head(whole, index))
            )
        heads = {index: head(staged, index) for index in points}
        scheme = SelectionScheme(tuple(1.0 if index in points else None for index in range(len(shapes))))
        network = self.workbench.network(staged, heads, scheme, trained.criterion, trained.inference)
        self.workbench.recalibrate(network)
        self.workbench.fit(network)
        return network


@dataclass(frozen=True)
class _LastExit:
    """A teacher: the last exit of a network."""

    network: EENN

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (B, K) of K classes for B normalised images (B, C, R, R)."""
        network = self.network
        logits = network.prepared_logits(resized(images, network.resolution))
        points = (*network.points, network.last_point)
        return network.inference.corrected_for_training(logits, points)[-1].softmax(1)


@hookimpl
def edanas_evaluations() -> dict[str, Callable[..., Evaluator]]:
    """Register the evaluation mode `shared`."""
    return {"shared": SharedEvaluation}
