"""Early-exit failure prediction (EEFP): a figure of merit of confidences, and the setter `eefp`.

A calibrated confidence estimates whether an exit is correct. To stop is right in another case, too: if no
later exit is correct, the computation that follows is in vain. Confidences should rank samples by that.

Source: Kubaty, Szatkowski, Choczyński, Nalisnick and Wójcik, "Rethinking calibration for early-exit neural
networks", PMLR 306, 2026. Only its abstract was at hand: a figure that "accounts for both prediction
correctness and the cost of further computation", and a light adjustment of the intermediate classifiers in
place of calibration. The label of a sample, the area under the ROC curve, the loss and its weights are ours.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Answers, Calibration, Rescaling, ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ExitProfile
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.setters import Static

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def stop_is_right(correct: Booleans) -> Booleans:
    """Return whether to stop is right (S, E - 1): the exit is correct, or no later exit is correct.

    Args:
        correct: Correctness (S, E) of each exit; the last column is the last exit.

    Example:
        >>> stop_is_right(np.array([[False, True], [False, False], [True, False]])).tolist()
        [[False], [True], [True]]
    """
    later = np.logical_or.accumulate(correct[:, :0:-1], axis=1)[:, ::-1]
    return np.asarray(correct[:, :-1] | ~later)


def failure_prediction(profile: ExitProfile, points: Sequence[int]) -> float | None:
    """Return the mean over exits of the area under the ROC curve of confidence for `stop_is_right`.

    It is 1 if every sample for which to stop is right has a higher confidence than every other sample, and
    0.5 for confidences without information.

    Args:
        profile: Exit profile of samples.
        points: Exit points of the placed exits.

    Returns:
        The figure; `None` if no exit has samples of both kinds.

    Example:
        >>> correct = np.array([[True, True], [False, True]])
        >>> failure_prediction(ExitProfile((0,), np.float32([[0.9, 1], [0.2, 1]]), correct), (0,))
        1.0
    """
    columns = [profile.points.index(point) for point in points]
    labels = stop_is_right(profile.correct[:, [*columns, -1]])
    areas = [
        _area(profile.confidence[:, column], labels[:, at])
        for at, column in enumerate(columns)
        if 0 < labels[:, at].sum() < len(labels)
    ]
    return float(np.mean(areas)) if areas else None


def _area(scores: npt.NDArray[np.float32], labels: Booleans) -> float:
    """Return the area under the ROC curve, from the ranks of the scores."""
    from scipy.stats import rankdata

    positive = int(labels.sum())
    above = rankdata(scores)[labels].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(labels) - positive)))


def rescale(answers: Answers, costs: Floats, penalty: float) -> tuple[Rescaling, ...]:
    """Return a factor and an offset for each logit of each early exit, which improve EEFP.

    They minimise a cross-entropy, a convex function, plus a penalty. Its target is the label of a sample, and
    the exit's own prediction if the exit and all later exits are wrong. Such a sample weighs as much as the
    share of the multiply-adds that the exit saves; other samples weigh 1.

    Args:
        answers: Logits and labels of calibration samples.
        costs: (E,) multiply-adds of a sample that exits at each exit.
        penalty: Factor of the squared distance from factors of 1 and offsets of 0, per sample.
    """
    import torch

    from edanas.numerics.minimization import minimise

    predictions = answers.logits.argmax(axis=2)
    correct = predictions == answers.labels[:, None]
    vain = stop_is_right(correct) & ~correct[:, :-1]
    saved = 1.0 - costs / costs[-1]
    results = []
    for at in range(len(costs) - 1):
        logits = torch.from_numpy(answers.logits[:, at].astype(np.float64))
        targets = torch.from_numpy(np.where(vain[:, at], predictions[:, at], answers.labels))
        weights = torch.from_numpy(np.where(vain[:, at], saved[at], 1.0))
        factors = torch.ones(logits.shape[1], dtype=torch.float64, requires_grad=True)
        offsets = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)

        def loss(
            factors: torch.Tensor = factors,
            offsets: torch.Tensor = offsets,
            logits: torch.Tensor = logits,
            targets: torch.Tensor = targets,
            weights: torch.Tensor = weights,
        ) -> torch.Tensor:
            each = torch.nn.functional.cross_entropy(logits * factors + offsets, targets, reduction="none")
            distance = (factors - 1).square().sum() + offsets.square().sum()
            return (weights * each).mean() + penalty * distance

        minimise([factors, offsets], loss)
        rounded = (each.detach().float().tolist() for each in (factors, offsets))
        results.append(Rescaling(*map(tuple, rounded)))
    return tuple(results)


class FailurePrediction(Static):
    """Early exits adjusted for their own correctness and the cost of going on, then `static` thresholds.

    The logits of each early exit get factors and offsets; see `rescale`. They are folded into the last linear
    layer of the head, so that the network costs and is exported as before. Predictions may change.

    Args:
        accuracy_drop: See `Static`.
        caution: See `Static`.
        penalty: Factor of the penalty on the adjustment; above 0.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, accuracy_drop: float = 0.0, caution: int = 12, penalty: float = 0.01) -> None:
        super().__init__(accuracy_drop, caution)
        if not 0 < penalty < float("inf"):
            raise ConfigError(f"final_thresholds.penalty: found {penalty}; allowed: a number > 0")
        self.penalty = penalty

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        if calibration.rescaled is None:
            raise CandidateError("final_thresholds: 'eefp' cannot adjust the heads of this network")
        answers, costs = calibration.answers(), exit_costs(calibration.costs, calibration.profile.points)
        rescalings = rescale(answers, costs, self.penalty)
        adjusted = Calibration(**{**vars(calibration), "profile": calibration.rescaled(rescalings)})
        return ThresholdChoice(super().choose(adjusted).scheme, rescalings=rescalings)


@hookimpl
def edanas_threshold_setters() -> dict[str, Callable[..., ThresholdSetter]]:
    """Register the setter by name."""
    return {"eefp": FailurePrediction}
