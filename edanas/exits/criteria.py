"""Confidence criteria without weights, from the output of one exit or from the agreement of several exits."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from edanas.core.contracts import ConfidenceCriterion, Formula, SequenceCriterion
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl


class ScoreMargin(ConfidenceCriterion):
    """The largest class probability minus the second largest (Section IV-B of the paper); 1 for one class.

    Example:
        >>> float(ScoreMargin()(torch.tensor([[0.0, 0.0]])))
        0.0
    """

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the margin (B,), in [0, 1], for logits (B, K)."""
        scores = probabilities(logits)
        if scores.shape[1] == 1:
            return scores[:, 0]
        best = scores.topk(2, dim=1).values
        return best[:, 0] - best[:, 1]

    def formula(self) -> Formula:
        """See `ExitReader.formula`."""
        return Formula("score-margin")


class MaxProbability(ConfidenceCriterion):
    """The largest class probability; with K classes it is never below 1 / K."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the largest probability (B,), in [0, 1], for logits (B, K)."""
        return probabilities(logits).amax(dim=1)

    def formula(self) -> Formula:
        """See `ExitReader.formula`."""
        return Formula("max-probability")


class Entropy(ConfidenceCriterion):
    """One minus the normalised entropy: 1 - H / log K, with the entropy H of K class probabilities.

    In BranchyNet a sample exits where H is below a threshold. H is at most log K, so H / log K lies in [0, 1]
    for any number of classes. With one class the confidence is 1.

    Source: Teerapittayanon, McDanel and Kung, "BranchyNet: Fast inference via early exiting from deep neural
    networks", ICPR 2016.
    """

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the confidence (B,), in [0, 1], for logits (B, K)."""
        scores = probabilities(logits)
        if scores.shape[1] == 1:
            return scores[:, 0]
        entropy = -(scores * scores.clamp_min(torch.finfo(scores.dtype).tiny).log()).sum(dim=1)
        return (1.0 - entropy / math.log(scores.shape[1])).clamp(0.0, 1.0)

    def formula(self) -> Formula:
        """See `ExitReader.formula`."""
        return Formula("entropy")


_MOST_AGREEING = 1000
"""Largest number of agreeing exits, since each of them is a level of the confidence."""


class Patience(SequenceCriterion):
    """The number of consecutive exits with the same prediction, divided by `agreeing`; at most 1 (PABEE).

    The count ends at the current exit and includes it. With thresholds of 1, a sample exits where `agreeing`
    consecutive exits predict the same class. Lower thresholds require fewer exits, but two or more:
    thresholds are multiples of 1 / `agreeing`, from 2 / `agreeing`. Exits that are not placed do not count.

    Source: Zhou, Xu, Ge, McAuley, Xu and Wei, "BERT Loses Patience: Fast and robust inference with early
    exit", NeurIPS 2020.

    Args:
        agreeing: Number of agreeing exits at which the confidence is 1; 2 to 1,000.

    Raises:
        ConfigError: `agreeing` is out of range.
    """

    memory = True

    def __init__(self, agreeing: int = 2) -> None:
        if not 2 <= agreeing <= _MOST_AGREEING:
            raise ConfigError(f"criterion.agreeing: found {agreeing}; allowed: 2 to {_MOST_AGREEING}")
        self.agreeing = agreeing
        self.levels = tuple(float(np.float32(n) / np.float32(agreeing)) for n in range(2, agreeing + 1))

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`. The confidence is NaN where the current exit's output has a NaN."""
        labels = [answer.argmax(dim=1) for answer in answers]
        alike = torch.ones_like(labels[-1], dtype=torch.bool)
        run = torch.ones_like(labels[-1])
        for earlier in reversed(labels[:-1]):
            alike = torch.logical_and(alike, earlier == labels[-1])
            run = run + alike
        share = (run / self.agreeing).clamp(max=1.0)
        return torch.where(answers[-1].isnan().any(dim=1), float("nan"), share)

    def formula(self) -> Formula:
        """See `ExitReader.formula`."""
        return Formula("patience", (float(self.agreeing),))


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the class probabilities of logits: their softmax over the K classes.

    An infinite logit counts as the largest finite number, so several classes with infinite logits have equal
    probabilities. NaN stays NaN, so that a broken network is noticed.

    Args:
        logits: (B, K) floats of any precision.

    Returns:
        Probabilities (B, K), in float64 for float64 logits and in float32 otherwise.
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.nan_to_num(wide, nan=float("nan")).softmax(dim=1)


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """Register the built-in confidence criteria by name."""
    return {
        "score-margin": ScoreMargin,
        "max-probability": MaxProbability,
        "entropy": Entropy,
        "patience": Patience,
    }
