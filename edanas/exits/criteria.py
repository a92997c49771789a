"""Confidence criteria without parameters: from the answer of one exit, or from the agreement of exits."""

import math
from collections.abc import Callable, Sequence

import torch

from edanas.core.contracts import ConfidenceCriterion, SequenceCriterion
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl


class ScoreMargin(ConfidenceCriterion):
    """The largest class probability minus the second largest (Section IV-B of the paper); 1 for one class.

    Example:
        >>> float(ScoreMargin()(torch.tensor([[0.0, 0.0]])))
        0.0
    """

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> margin (B,) in [0, 1]."""
        scores = probabilities(logits)
        if scores.shape[1] == 1:
            return scores[:, 0]
        best = scores.topk(2, dim=1).values
        return best[:, 0] - best[:, 1]


class MaxProbability(ConfidenceCriterion):
    """The largest class probability; never below 1 / K."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> the largest probability (B,) in [0, 1]."""
        return probabilities(logits).amax(dim=1)


class Entropy(ConfidenceCriterion):
    """1 - H / log K, where H is the entropy of the class probabilities (BranchyNet); 1 for one class.

    In Teerapittayanon, McDanel and Kung, "BranchyNet: Fast inference via early exiting from deep neural
    networks", ICPR 2016, a sample exits where H is below a threshold. Division by the largest entropy, log K,
    makes that a fraction for any number of classes.
    """

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> confidence (B,) in [0, 1]."""
        scores = probabilities(logits)
        if scores.shape[1] == 1:
            return scores[:, 0]
        entropy = -(scores * scores.clamp_min(torch.finfo(scores.dtype).tiny).log()).sum(dim=1)
        return (1.0 - entropy / math.log(scores.shape[1])).clamp(0.0, 1.0)


class Patience(SequenceCriterion):
    """The number of consecutive exits, this one last, with the same label, as a share of `agreeing` (PABEE).

    Zhou, Xu, Ge, McAuley, Xu and Wei, "BERT Loses Patience: Fast and robust inference with early exit",
    NeurIPS 2020. With thresholds of 1, a sample exits where `agreeing` exits have the same label; lower
    thresholds need fewer. Removed exits do not count.

    Args:
        agreeing: Number of exits, 2 or more.

    Raises:
        ConfigError: `agreeing` is out of range.
    """

    memory = True

    def __init__(self, agreeing: int = 2) -> None:
        if agreeing < 2:
            raise ConfigError(f"criterion.agreeing: found {agreeing}; allowed: 2 or more")
        self.agreeing = agreeing

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`. The confidence of a NaN answer is NaN."""
        labels = [answer.argmax(dim=1) for answer in answers]
        alike = torch.ones_like(labels[-1], dtype=torch.bool)
        run = torch.ones_like(labels[-1])
        for earlier in reversed(labels[:-1]):
            alike = torch.logical_and(alike, earlier == labels[-1])
            run = run + alike
        share = (run / self.agreeing).clamp(max=1.0)
        return torch.where(answers[-1].isnan().any(dim=1), float("nan"), share)


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the softmax over classes in at least float32; infinities count as the largest finite numbers.

    Infinite logits share the probability. NaN stays NaN, so that a broken network is noticed.

    Args:
        logits: (B, K) floats of any precision.

    Returns:
        (B, K), float64 for float64 logits, else float32.
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.nan_to_num(wide, nan=float("nan")).softmax(dim=1)


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """Return the built-in confidence criteria by name."""
    return {
        "score-margin": ScoreMargin,
        "max-probability": MaxProbability,
        "entropy": Entropy,
        "patience": Patience,
    }
