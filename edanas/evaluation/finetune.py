"""Evaluation mode `finetune`, the paper's: every candidate is trained for a few epochs, then judged."""

from collections.abc import Callable

import torch

from edanas.core.contracts import Evaluator, Supernet
from edanas.core.hookspecs import hookimpl
from edanas.core.progress import Progress, Silent
from edanas.core.types import Candidate, Metrics
from edanas.evaluation.scoring import score
from edanas.evaluation.workbench import BACKWARD, Workbench
from edanas.exits.eenn import EENN
from edanas.exits.profiles import collect_profile
from edanas.training.finetune import finetune, steps_of


class FinetuneEvaluation(Evaluator):
    """Each candidate inherits the supernet's weights, gets its exits, and is trained jointly (Section IV-A).

    The steps of the paper: take the backbone with the available pre-trained weights, add heads where the
    selection scheme places exits, train all exits' losses together for the epochs of `training`, and
    evaluate.

    Args:
        workbench: The run's objects and data.
    """

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self._supernet: Supernet | None = None

    def prepare(self, progress: Progress) -> None:
        """Build the supernet and fill it with weights, if the settings name some.

        Raises:
            WeightsError: The weights cannot be had, or belong to another network.
        """
        bench = self.workbench
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("weights"))
            self._supernet = bench.provider.supernet(bench.parts.task)
        if bench.settings.weights:
            progress.say(bench.provider.load_weights(self._supernet, bench.settings.weights))

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        network = self.network(candidate)
        profile = collect_profile(network, self.workbench.parts.validation)
        return score(profile, candidate.scheme, self.workbench.anatomy(network))

    def passes(self) -> tuple[float, float]:
        """See `Evaluator.passes`."""
        bench = self.workbench
        training = BACKWARD * bench.settings.training.epochs * len(bench.parts.train)
        return 0.0, training + bench.judging_passes()

    def network(self, candidate: Candidate) -> EENN:
        """See `Evaluator.network`. It is trained anew, to the same weights."""
        if self._supernet is None:
            raise RuntimeError("`prepare` comes before the first candidate")
        bench = self.workbench
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("heads", candidate.id))
            staged = self._supernet.extract(candidate.backbone)
            heads = bench.fresh_heads(staged, candidate.scheme.placed)
        network = bench.network(staged, heads, candidate.scheme)
        training = bench.settings.training
        with Silent().task("", steps_of(bench.parts, training)) as bar:
            finetune(network, bench.parts, training, bench.scheme, bench.seed("train", candidate.id), bar)
        bench.recalibrate(network)
        return network


@hookimpl
def edanas_evaluations() -> dict[str, Callable[..., Evaluator]]:
    """This mode."""
    return {"finetune": FinetuneEvaluation}
