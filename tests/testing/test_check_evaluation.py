"""The suite finds what is wrong with an evaluation mode."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from edanas.core.contracts import Evaluator
from edanas.core.errors import CandidateError
from edanas.core.progress import Progress
from edanas.core.types import Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.evaluation.shared import SharedEvaluation
from edanas.model.eenn import EENN
from edanas.testing import ConformanceError, check_evaluation


class Ordered(SharedEvaluation):
    """Charges later candidates more."""

    evaluated = 0

    def evaluate(self, candidate: Candidate) -> Metrics:
        self.evaluated += 1
        return replace(super().evaluate(candidate), activations=self.evaluated)


class Global(SharedEvaluation):
    """Draws weights from torch's global generator as it finds it."""

    def prepare(self, progress: Progress) -> None:
        super().prepare(progress)
        with torch.no_grad():
            for weight in self._network.parameters():  # type: ignore[union-attr]
                weight.mul_(1 + torch.rand(()))


class Unpicklable(SharedEvaluation):
    def prepare(self, progress: Progress) -> None:
        super().prepare(progress)
        self.rule = lambda metrics: metrics


class Forgetful(SharedEvaluation):
    """Leaves what it learned behind when it is sent."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None, "_profiles": {}}


class Restless(SharedEvaluation):
    """Trains on after a restart, though it was done."""

    def prepare(self, progress: Progress) -> None:
        path = self.workbench.folder / "restarts"
        restarts = len(path.read_text()) if path.exists() else 0
        path.write_text("x" * (restarts + 1))
        super().prepare(progress)
        with torch.no_grad():
            for weight in self._network.parameters():  # type: ignore[union-attr]
                weight.mul_(1.0 + restarts)


class WithoutScheme(SharedEvaluation):
    """Hands on a network whose exits do not fire."""

    def network(self, candidate: Candidate) -> EENN:
        network = super().network(candidate)
        network.scheme = SelectionScheme((None, None))
        return network


class OtherNetwork(SharedEvaluation):
    """Hands on another network than was judged."""

    def network(self, candidate: Candidate) -> EENN:
        network = super().network(candidate)
        torch.nn.init.zeros_(network.backbone.head.linear.weight)
        return network


class Optimist(SharedEvaluation):
    def evaluate(self, candidate: Candidate) -> Metrics:
        return replace(super().evaluate(candidate), accuracy=1.0)


class Free(SharedEvaluation):
    """Lets exits cost nothing but what Eq. 5 has."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        metrics = super().evaluate(candidate)
        return replace(metrics, executed_macs=0.5 * metrics.ada_macs)


class Lopsided(SharedEvaluation):
    def evaluate(self, candidate: Candidate) -> Metrics:
        metrics = super().evaluate(candidate)
        return replace(metrics, utilization=metrics.utilization[:-1])


class Half(SharedEvaluation):
    """Keeps a profile of every second sample."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        return self.rescore(candidate, super().profile(candidate))

    def profile(self, candidate: Candidate) -> ExitProfile:
        whole = super().profile(candidate)
        return ExitProfile(whole.points, whole.confidence[::2], whole.correct[::2])


class Unlike(SharedEvaluation):
    """Counts parameters otherwise when it scores a profile."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        return replace(super().evaluate(candidate), params=7)


class Endless(SharedEvaluation):
    def passes(self) -> tuple[float, float]:
        return float("inf"), 1.0


class Dreamer(SharedEvaluation):
    """Judges as if heads cost nothing."""

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        return replace(super().judge(candidate, outcome), executed_macs=1.0)


class Silent(SharedEvaluation):
    """Judges, though it declares that it does not."""

    judges = False


class Untidy(SharedEvaluation):
    """Leaves a file that it does not list."""

    def prepare(self, progress: Progress) -> None:
        super().prepare(progress)
        (self.workbench.folder / "scratch.npz").touch()


class Profileless(SharedEvaluation):
    """Declares profiles, and keeps none."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        return self.rescore(candidate, super().profile(candidate))

    def profile(self, candidate: Candidate) -> None:  # type: ignore[override]
        return None


class Trainerless(SharedEvaluation):
    """Declares a training of the supernet, and hands out none."""

    def prepare(self, progress: Progress) -> None:
        trainer = super().trainer(progress)
        trainer.run(progress)
        self._network = trainer.network

    def trainer(self, progress: Progress) -> Any:
        return None


class Unjudging(SharedEvaluation):
    """Leaves it at measuring."""

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        raise CandidateError("only a measurement tells")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Ordered, "Ordered: candidate 1 evaluated a second time has activations 1, then 15"),
        (Global, "candidate . in another run of the same seed has "),
        (Unpicklable, "pickling after `prepare` raises"),
        (
            Forgetful,
            "evaluate, thresholds .* raises RuntimeError: "
            "`prepare` must be called before the first candidate",
        ),
        (Restless, "after a restart in the same folder has"),
        (WithoutScheme, r"its network has the thresholds \("),
        (OtherNetwork, "its network predicts .* of 40 samples right"),
        (Optimist, "accuracy 1.0; exit accuracies weighted by utilization give"),
        (Free, "expected costs above 0, and executed MACs of at least ADA_MACS"),
        (Lopsided, r"utilization \(0.0, 0.0\), exit accuracy .*; expected 3 each"),
        (Half, "the profile has 20 samples and exit points .*; expected 40"),
        (Unlike, "candidate 1 .* scored again has params 7, then"),
        (Dreamer, "judge gives .*executed_macs=1.0.* for its own outcome; evaluate gave"),
        (Silent, "implements `judge`, and `judges` is False; expected True"),
        (Untidy, "leaves scratch.npz, which `files` does not match"),
        (Profileless, "`keeps_profiles` is True, but thresholds .* has no profile"),
        (Trainerless, "trainer gives a NoneType; expected a SandwichTraining"),
        (Endless, r"passes\(\) is \(inf, 1.0\)"),
        (lambda bench: bench, "returns a Workbench; expected an Evaluator"),
    ],
)
def test_a_fault_is_found(make: type[Evaluator], text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_evaluation(make)


def test_an_evaluation_need_not_judge() -> None:
    check_evaluation(Unjudging)
