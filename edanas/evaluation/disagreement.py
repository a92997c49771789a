"""Disagreement of a network's exits: the confusion metric of Shallow-Deep networks, and overthinking."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Answers, ExitNetwork
from edanas.core.types import ImageSet
from edanas.model.calibration import collect_logits

Floats = npt.NDArray[np.float64]


def disagreement(network: ExitNetwork, reference: ImageSet, samples: ImageSet) -> dict[str, Any]:
    """Return the field `disagreement` of a `ResultRow`.

    The disagreement of a sample sums the L1 distances of the early exits' class probabilities from those of
    the last exit. It is normalised by mean and standard deviation of reference samples.

    Source: Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and mitigating network
    overthinking", ICML 2019, Section 5.2.

    Args:
        network: A network with one early exit or more.
        reference: Images of the train part.
        samples: Labelled images.

    Returns:
        A dictionary with three keys.

        - `correct`, `wrong`: mean normalised disagreement on the samples that the last exit classifies
          correctly, and on the other samples; `None` if there are none.
        - `overthinking`: fraction of the samples that the last exit classifies wrongly, and an early exit
          correctly.
    """
    usual = disagreement_scores(collect_logits(network, reference).logits)
    return summarise(collect_logits(network, samples), float(usual.mean()), float(usual.std()))


def disagreement_scores(logits: npt.NDArray[np.float32]) -> Floats:
    """Return the disagreement (S,) of samples, not normalised, from logits (S, E, K) of E exits.

    Example:
        >>> both = np.array([[[9.0, 0.0], [0.0, 9.0]], [[9.0, 0.0], [9.0, 0.0]]], dtype=np.float32)
        >>> disagreement_scores(both).round(2).tolist()
        [2.0, 0.0]
    """
    from scipy.special import softmax

    probabilities = softmax(logits.astype(np.float64), axis=2)
    distances: Floats = np.abs(probabilities - probabilities[:, -1:]).sum(axis=(1, 2))
    return distances


def summarise(answers: Answers, mean: float, deviation: float) -> dict[str, Any]:
    """Return the dictionary of `disagreement` for logits and labels.

    Args:
        answers: Logits of every exit, and labels.
        mean: Mean disagreement of the reference samples.
        deviation: Standard deviation of the disagreement of the reference samples; 0 = all are equal.
    """
    scores = (disagreement_scores(answers.logits) - mean) / (deviation or 1.0)
    correct = answers.logits.argmax(axis=2) == answers.labels[:, None]
    last, early = correct[:, -1], correct[:, :-1].any(axis=1)
    return {
        "correct": float(scores[last].mean()) if last.any() else None,
        "wrong": float(scores[~last].mean()) if not last.all() else None,
        "overthinking": float((early & ~last).mean()),
    }
