"""A nested search problem without networks: continuous thresholds, and exit profiles by a formula."""

import hashlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchProblem
from edanas.core.costs import Costs, ada_macs
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Backbone, Candidate, ExitProfile, Outcome
from edanas.testing.toy_search import toy_problem, toy_space
from edanas.thresholds.fronts import threshold_front

EXIT_POINTS = 2
"""Number of exit points of the backbones."""


def toy_backbones(layers: int = 3) -> SearchSpace:
    """Return the toy space with continuous thresholds and two exit points; three layers give 78 backbones."""
    discrete = toy_space(layers, exit_points=0)
    return SearchSpace(discrete.variables, CONTINUOUS, EXIT_POINTS)


def toy_backbone_profile(backbone: Backbone, samples: int = 40) -> ExitProfile:
    """Return a profile in which later exits and larger kernels are more accurate.

    Right predictions have higher confidence than wrong predictions.
    """
    seed = int.from_bytes(hashlib.sha256(backbone.id.encode()).digest()[:4], "little")
    noise = np.random.default_rng(seed).normal(size=(samples, EXIT_POINTS + 1))
    difficulty = np.linspace(-1.5, 1.5, samples)[:, None]
    strength = np.log(_macs(backbone)) / 2 - 3 + 0.5 * np.arange(EXIT_POINTS + 1)
    margin = strength - difficulty + 0.4 * noise
    confidence = 1 - np.exp(-np.abs(margin + 0.2 * noise[:, ::-1]))
    return ExitProfile(tuple(range(EXIT_POINTS)), confidence.astype(np.float32), margin > 0)


def toy_costs(backbone: Backbone) -> Costs:
    """Return the costs of a backbone: three equal stages, two heads, and the last exit."""
    third = _macs(backbone) // (EXIT_POINTS + 1)
    return Costs((third,) * (EXIT_POINTS + 1), (20,) * EXIT_POINTS, 10)


def toy_nested_problem(space: SearchSpace | None = None, seed: int = 0, initial: int = 12) -> SearchProblem:
    """Return a nested search problem with two objectives, error and ADA_MACS.

    Args:
        space: The search space; by default `toy_backbones()`.
        seed: The seed of the search.
        initial: Number of candidates in the initial archive.
    """

    def judge(candidate: Candidate, outcome: Outcome) -> list[float]:
        costs = toy_costs(candidate.backbone)
        return [1 - outcome.accuracy, ada_macs(costs, candidate.scheme, outcome.utilization)]

    def front(candidate: Candidate, profile: ExitProfile) -> npt.NDArray[np.float64]:
        thresholds = threshold_front(profile, toy_costs(candidate.backbone), EXIT_POINTS, measure="ada")
        return np.stack([1 - thresholds.accuracy, thresholds.cost], axis=1)

    return replace(toy_problem(space or toy_backbones(), seed, initial), judge=judge, front=front)


def _macs(backbone: Backbone) -> int:
    kernels = [backbone[name] for name in backbone if name.endswith("kernel")]
    return int(backbone["resolution"] ** 2 * sum(kernel**2 for kernel in kernels))
