"""Evaluation mode `shared`: one training of the supernet with all its exits, inherited by every candidate."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from edanas.core.contracts import Evaluator
from edanas.core.hookspecs import hookimpl
from edanas.core.progress import Progress
from edanas.core.tracing import exit_points
from edanas.core.types import Backbone, Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.evaluation.initial_weights import fill
from edanas.evaluation.network_trainer import BACKWARD
from edanas.evaluation.scoring import metrics_of, pareto_schemes, score
from edanas.evaluation.teachers import outside_teacher
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_profile
from edanas.training.distillation import Teacher
from edanas.training.sandwich import SandwichTraining, SupernetWithExits, resized

CHECKPOINT = "supernet.pt"
"""The supernet's weights in a run's folder."""


class SharedEvaluation(Evaluator):
    """Candidates inherit the weights of a supernet trained once with all its exits.

    A backbone is cut out, its BatchNorm statistics are recomputed, and one pass over the validation part
    gives its exit profile; every selection scheme on it is scored from that.

    Args:
        workbench: The run's objects and data.
    """

    trains_supernet = True

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self.removable = not workbench.memory
        self._network: SupernetWithExits | None = None
        self._teacher: EENN | None = None
        self._profiles: dict[tuple[str, tuple[int, ...]], ExitProfile] = {}

    def prepare(self, progress: Progress) -> None:
        """Build the supernet, fill it with weights if the settings name some, and train it.

        Raises:
            WeightsError: The weights cannot be had, or belong to another network.
            ConfigError: Weights leave something random, and `training.epochs` is 0.
            RunError: The training's checkpoint is damaged.
        """
        trainer = self.trainer(progress)
        trainer.run(progress)
        self._network = trainer.network

    def files(self) -> Sequence[str]:
        """See `Evaluator.files`: the checkpoint, and what an interrupted write of it leaves."""
        return CHECKPOINT, str(Path(CHECKPOINT).with_suffix(".partial")), f"{CHECKPOINT}.partial"

    def trainer(self, progress: Progress) -> SandwichTraining:
        """What trains the supernet, which is built and filled with weights if the settings name some.

        Raises:
            WeightsError: The weights, or the teacher, cannot be had, or belong to another network or data.
            ConfigError: Weights leave something random, and `training.epochs` is 0.
            RunError: The training's checkpoint is damaged.
        """
        bench = self.workbench
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("weights"))
            supernet = bench.provider.supernet(bench.parts.task)
            task, criterion = bench.parts.task, bench.fresh_criterion()
            network = SupernetWithExits(supernet, bench.provider, bench.classifier, task, criterion)
        checkpoint = bench.folder / CHECKPOINT
        # A checkpoint holds all weights, and the file they came from may be gone by now.
        if not checkpoint.exists() and (said := fill(bench, supernet, network)):
            progress.say(said)
        trainer = SandwichTraining(
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
        if bench.settings.teacher:
            trainer.resume()
            # Where nothing is left to learn, the teacher may be gone.
            if not trainer.finished:
                trainer.teacher, said = outside_teacher(bench)
                progress.say(said)
        return trainer

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        return self.rescore(candidate, self.profile(candidate))

    def profile(self, candidate: Candidate) -> ExitProfile:
        """See `Evaluator.profile`: a column for every exit point or, with a memory, the placed ones."""
        every = tuple(range(self.workbench.provider.exit_points))
        return self._profile(candidate.backbone, every if self.removable else candidate.scheme.placed)

    def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
        """See `Evaluator.rescore`."""
        return score(profile, candidate.scheme, self.workbench.anatomy_of(candidate.backbone, profile.points))

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        """See `Evaluator.judge`."""
        anatomy = self.workbench.anatomy_of(candidate.backbone, candidate.scheme.placed)
        return metrics_of(outcome, candidate.scheme, anatomy)

    def schemes(self, candidate: Candidate, profile: ExitProfile) -> Sequence[SelectionScheme]:
        """See `Evaluator.schemes`."""
        anatomy = self.workbench.anatomy_of(candidate.backbone, candidate.scheme.placed)
        measure = self.workbench.measure
        return pareto_schemes(profile, candidate, anatomy, removable=self.removable, measure=measure)

    def passes(self) -> tuple[float, float]:
        """See `Evaluator.passes`: the largest, the smallest and random backbones train in each step."""
        bench, settings = self.workbench, self.workbench.settings.training
        training = (2 + settings.random_backbones) * BACKWARD * settings.epochs * len(bench.parts.train)
        return training, bench.judging_passes()

    def teacher(self) -> Teacher:
        """See `Evaluator.teacher`: the supernet's largest backbone, at the size that it reads."""
        if self._teacher is None:
            self._teacher = self._inherit(self.workbench.space.largest(), ())
        network = self._teacher

        def answers(images: torch.Tensor) -> torch.Tensor:
            return network.logits(resized(images, network.resolution))[-1].softmax(1)

        return answers

    def network(self, candidate: Candidate) -> EENN:
        """See `Evaluator.network`."""
        network = self._inherit(candidate.backbone, candidate.scheme.placed)
        network.scheme = candidate.scheme
        return network

    def _profile(self, backbone: Backbone, points: tuple[int, ...]) -> ExitProfile:
        key = backbone.id, points
        if key not in self._profiles:
            network = self._inherit(backbone, points)
            self._profiles[key] = collect_profile(network, self.workbench.parts.validation)
        return self._profiles[key]

    def _inherit(self, backbone: Backbone, points: tuple[int, ...]) -> EENN:
        if self._network is None:
            raise RuntimeError("`prepare` comes before the first candidate")
        with torch.no_grad():
            staged = self._network.supernet.extract(backbone)
        places = exit_points(self.workbench.segments(backbone)[0])
        heads = {at: self._network.head(at, places[at].channels) for at in points}
        scheme = SelectionScheme(tuple(1.0 if at in points else None for at in range(len(places))))
        network = self.workbench.network(staged, heads, scheme, self._network.criterion)
        self.workbench.recalibrate(network)
        self.workbench.fit(network)
        return network


@hookimpl
def edanas_evaluations() -> dict[str, Callable[..., Evaluator]]:
    """This mode."""
    return {"shared": SharedEvaluation}
