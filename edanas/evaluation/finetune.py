"""Evaluation mode `finetune`, the paper's mode: each candidate is trained for a few epochs."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from edanas.core.contracts import Evaluator, Supernet
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.progress import Progress, SilentBar
from edanas.core.settings import TrainingSettings
from edanas.core.types import Candidate, ExitProfile, Metrics
from edanas.evaluation.initial_weights import load_initial_weights
from edanas.evaluation.network_trainer import Stops
from edanas.evaluation.quantised import check_quantisable, checked_epochs, quantised
from edanas.evaluation.scored_profiles import ScoredProfiles
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_profile
from edanas.training.finetune import step_count
from edanas.training.steps import Batches


class FinetuneEvaluation(ScoredProfiles):
    """Evaluation mode that trains each candidate from the supernet's weights (Section IV-A of the paper).

    The candidate's backbone inherits the supernet's weights, and each placed exit gets a new head. The run's
    training scheme (`joint` in the paper) trains the network for `training.epochs` epochs. The metrics are
    then measured on the validation part.

    Args:
        workbench: The run's objects and data.
        quantized: Judge candidates and results as networks in 8-bit integers.
        quantized_epochs: Number of epochs of training in integers that follow the fine-tuning of a result, if
            `quantized` is true.
        early_stopping: Number of rungs of a candidate's training. At the end of each rung but the last, the
            candidate is judged, and its training ends if too many earlier candidates were better there (ASHA;
            see `SearchStrategy.stopping`). With 1, the default, no training ends early.
        reduction: Ratio of the epochs of two rungs, and of the candidates that reach them; 2 or more.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        workbench: Workbench,
        *,
        quantized: bool = False,
        quantized_epochs: int = 0,
        early_stopping: int = 1,
        reduction: int = 3,
    ) -> None:
        if early_stopping < 1:
            raise ConfigError(f"evaluation.early_stopping: found {early_stopping}; allowed: 1 or more rungs")
        if reduction < 2:
            raise ConfigError(f"evaluation.reduction: found {reduction}; allowed: 2 or more")
        self.workbench, self.early_stopping, self.reduction = workbench, early_stopping, reduction
        self.quantized, self.quantized_epochs = quantized, checked_epochs(quantized_epochs)
        self.steps = 0
        """Number of steps of each candidate's training; 0 = the number of the settings."""
        self._supernet: Supernet | None = None
        self._latest: tuple[str, ExitProfile | None] = "", None

    def prepare(self, progress: Progress) -> None:
        """Build the supernet, and load the weights of the setting `weights` if it is not empty.

        Raises:
            WeightsError: The weights are not available, belong to another supernet, or were trained on
                held-out images.
            ConfigError: The last layers would stay random, since `training.epochs` is 0.
        """
        bench = self.workbench
        if self.quantized:
            check_quantisable(bench)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("weights"))
            self._supernet = bench.builder.supernet()
        if message := load_initial_weights(bench, self._supernet):
            progress.say(message)

    @property
    def rungs(self) -> tuple[float, ...]:  # type: ignore[override] # the time limit sets the steps
        """See `Evaluator.rungs`."""
        batches = len(Batches(self.workbench.parts, self.workbench.settings.training, 1, torch.device("cpu")))
        return tuple(steps / batches for steps in self._rung_steps())

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        return self._measured(candidate, self.network(candidate))

    def evaluate_in_rungs(self, candidate: Candidate, stops: Callable[[int, Metrics], bool]) -> Metrics:
        """See `Evaluator.evaluate_in_rungs`."""
        ends = self._rung_steps()[:-1]

        def ends_training(step: int, copy: Callable[[], Any]) -> bool:
            if step not in ends:
                return False
            with torch.random.fork_rng(devices=self._cuda_devices()):
                network = copy()
                self.workbench.recalibrate(network)
                self.workbench.fit(network)
                return stops(ends.index(step), self._measured(candidate, network.eval()))

        return self._measured(candidate, self._trained(candidate, ends_training))

    def _cuda_devices(self) -> list[torch.device]:
        device = self.workbench.device
        return [device] if device.type == "cuda" else []

    def _training(self) -> TrainingSettings:
        training = self.workbench.settings.training
        return replace(training, steps=self.steps or training.steps)

    def _rung_steps(self) -> list[int]:
        """Return the number of completed steps at the end of each rung, ascending."""
        steps = step_count(self.workbench.parts, self._training())
        shares = [self.reduction**left for left in range(self.early_stopping)]
        return sorted({math.ceil(steps / share) for share in shares})

    def _measured(self, candidate: Candidate, network: EENN) -> Metrics:
        """Return the metrics of a trained network, and keep its profile."""
        if self.quantized:
            network = quantised(self.workbench, network)
        profile = collect_profile(network, self.workbench.parts.validation)
        self._latest = candidate.id, profile
        return self.rescore(candidate, profile)

    def profile(self, candidate: Candidate) -> ExitProfile | None:
        """See `Evaluator.profile`; the profile has a column for each placed exit."""
        latest, profile = self._latest
        return profile if latest == candidate.id else None

    def passes(self) -> tuple[float, float]:
        """See `Evaluator.passes`."""
        bench = self.workbench
        training = bench.scheme.passes * bench.settings.training.images(len(bench.parts.train))
        return 0.0, training + bench.judging_passes()

    def network(self, candidate: Candidate) -> EENN:
        """See `Evaluator.network`. Each call trains the network again, through all rungs.

        The weights do not depend on the thresholds.

        Raises:
            RuntimeError: `prepare` has not been called.
        """
        return self._trained(candidate)

    def _trained(self, candidate: Candidate, stops: Stops = lambda _step, _copy: False) -> EENN:
        if self._supernet is None:
            raise RuntimeError("`prepare` must be called before the first candidate")
        bench, names = self.workbench, (candidate.backbone.id, *candidate.scheme.placed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(bench.seed("heads", *names))
            backbone, last = candidate.backbone, partial(bench.builder.head, choices=candidate.backbone)
            staged = bench.builder.staged(backbone, self._supernet.extract, last)
            heads = bench.fresh_heads(staged, candidate.scheme.placed, backbone)
            network = bench.network(staged, heads, candidate.scheme)
        bench.finetune(network, self._training(), bench.seed("train", *names), SilentBar(), stops=stops)
        return network


@hookimpl
def edanas_evaluations() -> dict[str, Callable[..., Evaluator]]:
    """Register the evaluation mode `finetune`."""
    return {"finetune": FinetuneEvaluation}
