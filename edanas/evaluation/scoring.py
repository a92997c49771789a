"""A selection scheme scored from an exit profile: no network runs."""

import math

from edanas.core.costs import Costs, ada_macs, backbone_macs, executed_macs, executed_per_exit
from edanas.core.types import Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.model.anatomy import Anatomy
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import Measure, restrict_profile

_TRADE_OFFS = 64
"""Schemes kept of one backbone's front at most: those that add most hypervolume."""


def score(profile: ExitProfile, scheme: SelectionScheme, anatomy: Anatomy) -> Metrics:
    """All metrics of `scheme` on the samples of `profile`.

    Raises:
        ValueError: The scheme places an exit that the profile does not have.
    """
    return metrics_of(outcome(profile, scheme), scheme, anatomy)


def pareto_schemes(
    profile: ExitProfile,
    candidate: Candidate,
    anatomy: Anatomy,
    *,
    removable: bool,
    measure: Measure = "executed",
) -> tuple[SelectionScheme, ...]:
    """The schemes over continuous thresholds that are Pareto optimal in accuracy and multiply-adds.

    Args:
        profile: Of the candidate's backbone.
        candidate: Its scheme places the exits that may stand.
        anatomy: Knows the heads of all of these.
        removable: Whether exits may be left out.
        measure: Whether executed MACs count, or ADA_MACS.
    """
    scheme = candidate.scheme
    known = restrict_profile(profile, scheme.placed)
    points = len(scheme.thresholds)
    return threshold_front(
        known, anatomy.costs, points, removable=removable, measure=measure, limit=_TRADE_OFFS
    ).schemes


def metrics_of(result: Outcome, scheme: SelectionScheme, anatomy: Anatomy) -> Metrics:
    """All metrics of a network whose exits behave like `result` under `scheme`, measured or predicted."""
    costs = anatomy.costs
    segments = [*anatomy.stages, *(anatomy.heads[index] for index in scheme.placed), anatomy.last]
    outputs = [segment.outputs for segment in segments if segment.outputs is not None]
    return Metrics(
        accuracy=result.accuracy,
        utilization=result.utilization,
        exit_accuracy=result.exit_accuracy,
        ada_macs=ada_macs(costs, scheme, result.utilization),
        executed_macs=executed_macs(costs, scheme, result.utilization),
        backbone_accuracy=result.backbone_accuracy,
        backbone_macs=backbone_macs(costs),
        params=sum(segment.params for segment in segments),
        activations=max(segment.activations for segment in segments),
        outputs=sum(outputs) if len(outputs) == len(segments) else None,
        exit_macs=_by_exit(costs, scheme),
        exit_figures={name: _by_exit(told, scheme) for name, told in anatomy.figures.items()},
    )


def _by_exit(costs: Costs, scheme: SelectionScheme) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(each) else each for each in executed_per_exit(costs, scheme).tolist())
