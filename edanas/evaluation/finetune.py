"""Evaluation mode `finetune`, that of the paper: each candidate is trained for a few epochs."""

from collections.abc import Callable, Sequence

import torch

from edanas.core.contracts import Evaluator, Supernet
from edanas.core.hookspecs import hookimpl
from edanas.core.progress import Progress, Silent
from edanas.core.types import Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.evaluation.initial_weights import fill
from edanas.evaluation.network_trainer import BACKWARD
from edanas.evaluation.scoring import metrics_of, pareto_schemes, score
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_profile
from edanas.training.finetune import step_count


class FinetuneEvaluation(Evaluator):
    """Trains each candidate from the supernet's weights (Section IV-A of the paper).

    A candidate takes its backbone out of the supernet and gets a new head at each placed exit. The training
    scheme, `joint` in the paper, trains it for the epochs of `training`. Then it is evaluated on the
    validation part.

    Args:
        workbench: The run's objects and data.
    """

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self._supernet: Supernet | None = None
        self._latest: tuple[str, ExitProfile | None] = "", None

    def prepare(self, progress: Progress) -> None:
        """Build the supernet, and load weights if the settings name some.

        Raises:
            WeightsError: The weights are not available, or belong to another network.
            ConfigError: The last layers stay random, and `training.epochs` is 0.
        """
        bench = self.workbench
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("weights"))
            self._supernet = bench.provider.supernet(bench.parts.task)
        if message := fill(bench, self._supernet):
            progress.say(message)

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        profile = collect_profile(self.network(candidate), self.workbench.parts.validation)
        self._latest = candidate.id, profile
        return self.rescore(candidate, profile)

    def profile(self, candidate: Candidate) -> ExitProfile | None:
        """See `Evaluator.profile`; the profile has a column for each placed exit."""
        latest, profile = self._latest
        return profile if latest == candidate.id else None

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
        """See `Evaluator.passes`."""
        bench = self.workbench
        training = BACKWARD * bench.settings.training.epochs * len(bench.parts.train)
        return 0.0, training + bench.judging_passes()

    def network(self, candidate: Candidate) -> EENN:
        """See `Evaluator.network`; it is trained again, to weights that do not depend on the thresholds."""
        if self._supernet is None:
            raise RuntimeError("`prepare` comes before the first candidate")
        bench, names = self.workbench, (candidate.backbone.id, *candidate.scheme.placed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("heads", *names))
            staged = self._supernet.extract(candidate.backbone)
            heads = bench.fresh_heads(staged, candidate.scheme.placed)
            network = bench.network(staged, heads, candidate.scheme)
        training = bench.settings.training
        with Silent().task("", step_count(bench.parts, training)) as bar:
            bench.finetune(network, training, bench.seed("train", *names), bar)
        return network


@hookimpl
def edanas_evaluations() -> dict[str, Callable[..., Evaluator]]:
    """Return the evaluation mode `finetune`."""
    return {"finetune": FinetuneEvaluation}
