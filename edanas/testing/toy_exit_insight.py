"""Exit profiles by a formula, to test surrogate models that read exit profiles."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitInsight
from edanas.core.cut_backbones import first_stages, stages_of
from edanas.core.space import Genomes, SearchSpace
from edanas.core.types import Candidate, ExitProfile, Outcome
from edanas.testing.toy_search import toy_space
from edanas.thresholds.profiles import outcome

_SAMPLES = 60


def toy_archive(
    count: int, seed: int = 0, exit_points: int = 2, *, cut: bool = False
) -> tuple[SearchSpace, Genomes]:
    """Return a toy space, and up to `count` distinct random genomes of the space.

    Args:
        count: The largest number of genomes.
        seed: The seed of the genomes.
        exit_points: Number of exit points.
        cut: True if networks may end at an exit point.

    Returns:
        The space, and the genomes (samples, genes).
    """
    space = toy_space(exit_points=exit_points, cut=cut)
    drawn = space.sample(np.random.default_rng(seed), 2 * count)
    first = np.unique(drawn, axis=0, return_index=True)[1]
    return space, drawn[np.sort(first)][:count]


def toy_profile(
    candidate: Candidate, space: SearchSpace | None = None, *, own_exits: bool = False
) -> ExitProfile:
    """Return an exit profile of 60 samples, by a formula.

    Confidence and accuracy rise with the sizes of the kernels before the exit, the resolution, the exit, and
    the ease of the sample.

    Args:
        candidate: A candidate of `toy_space`.
        space: The space, whose variables tell the stage of each kernel. `None`, the default, means that
            all kernels lie before the first exit.
        own_exits: True for a profile of the placed exits, False (the default) for one of all exit points.
    """
    points = len(candidate.scheme.thresholds)
    end = stages_of(candidate.backbone, points + 1) - 1
    placed = candidate.scheme.placed if own_exits else tuple(range(end))
    rng = np.random.default_rng(0)
    ease, luck = rng.random(_SAMPLES), rng.random((_SAMPLES, points + 1))
    first = first_stages(space.variables) if space is not None else {}
    columns = [*placed, end]
    confidence = []
    for at in columns:
        names = [n for n in candidate.backbone if "kernel" in n and first.get(n, 1) <= at + 1]
        kernels = sum(float(candidate.backbone[name]) for name in names)
        strength = kernels / 21 + float(candidate.backbone["resolution"]) / 100
        confidence.append(np.clip(0.6 * strength * ease * (1 + 0.3 * at) - 0.02, 0.0, 1.0))
    correct = [luck[:, at] < 0.3 + 0.6 * chance for at, chance in zip(columns, confidence, strict=True)]
    return ExitProfile(placed, np.stack(confidence, axis=1).astype(np.float32), np.stack(correct, axis=1))


def toy_insight(space: SearchSpace, genomes: Genomes, *, own_exits: bool = False) -> ExitInsight:
    """Return the exit insight of genomes, with `toy_cost` as the objective.

    Args:
        space: The space of the genomes.
        genomes: Genomes (samples, genes).
        own_exits: See `toy_profile`.
    """
    profiles = {
        genome.tobytes(): toy_profile(space.decode(genome), space, own_exits=own_exits) for genome in genomes
    }
    return ExitInsight(space, profiles, toy_cost)


def toy_cost(candidate: Candidate, outcome: Outcome) -> float:
    """Return the mean multiply-adds of a sample plus a penalty for wrong predictions, by a formula."""
    kernels = [float(candidate.backbone[name]) for name in candidate.backbone if "kernel" in name]
    whole = float(candidate.backbone["resolution"]) * sum(kernel**2 for kernel in kernels)
    paths = np.arange(1, len(outcome.utilization) + 1) / len(outcome.utilization)
    return whole * (float(paths @ outcome.utilization) + 1.0 - outcome.accuracy)


def toy_values(insight: ExitInsight, genomes: Genomes) -> npt.NDArray[np.float64]:
    """Return the objective value of each genome, from its profile of all exits."""
    values = []
    for genome in genomes:
        candidate = insight.space.decode(genome)
        profile = toy_profile(candidate, insight.space)
        values.append(insight.value(candidate, outcome(profile, candidate.scheme)))
    return np.array(values)


def with_random_profiles(insight: ExitInsight, genomes: Sequence[Genomes]) -> ExitInsight:
    """Return a copy of `insight` in which the profiles of `genomes` are random."""
    profiles = dict(insight.profiles)
    for genome in genomes:
        profile = profiles.get(genome.tobytes())
        if profile is not None:
            noise = np.random.default_rng(1).random(profile.confidence.shape)
            profiles[genome.tobytes()] = ExitProfile(
                profile.points, noise.astype(np.float32), noise > np.float64(0.5)
            )
    return ExitInsight(insight.space, profiles, insight.value)
