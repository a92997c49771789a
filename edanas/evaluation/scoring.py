"""Metrics of a selection scheme from an exit profile, without running a network."""

import math

from edanas.core.costs import Costs, ada_macs, backbone_macs, executed_macs, executed_per_exit
from edanas.core.types import Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.model.anatomy import Anatomy
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import Measure, restrict_profile

_TRADE_OFFS = 64
"""Most schemes of one backbone's front; those that add most hypervolume are returned."""


def score(profile: ExitProfile, scheme: SelectionScheme, anatomy: Anatomy) -> Metrics:
    """Return the metrics of `scheme` on the samples of `profile`.

    Raises:
        ValueError: The scheme places an exit that the profile lacks.
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
    """Return the schemes with continuous thresholds that are Pareto optimal in accuracy and multiply-adds.

    Args:
        profile: Exit profile of the candidate's backbone.
        candidate: Its scheme places the exits to choose among.
        anatomy: Costs of the backbone and of these heads.
        removable: Allow schemes without some of these exits.
        measure: `executed` or `ada`, the MACs to minimise.
    """
    scheme = candidate.scheme
    known = restrict_profile(profile, scheme.placed)
    points = len(scheme.thresholds)
    return threshold_front(
        known, anatomy.costs, points, removable=removable, measure=measure, limit=_TRADE_OFFS
    ).schemes


def metrics_of(result: Outcome, scheme: SelectionScheme, anatomy: Anatomy) -> Metrics:
    """Return the metrics of a network with the measured or predicted `result` under `scheme`."""
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
        exit_figures={name: _by_exit(figures, scheme) for name, figures in anatomy.figures.items()},
    )


def _by_exit(costs: Costs, scheme: SelectionScheme) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(macs) else macs for macs in executed_per_exit(costs, scheme).tolist())
