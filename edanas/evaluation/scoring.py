"""Metrics of a selection scheme from an exit profile. No network runs."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs, ada_macs, backbone_macs, executed_macs, executed_per_exit
from edanas.core.idle_stages import running_costs
from edanas.core.types import Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.model.anatomy import Anatomy
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import Measure, restrict_profile

_TRADE_OFFS = 64
"""Maximum number of schemes from the front of one backbone: the schemes that add most to the hypervolume."""


def score(
    profile: ExitProfile,
    scheme: SelectionScheme,
    anatomy: Anatomy,
    labels: npt.NDArray[np.int64] | None = None,
) -> Metrics:
    """Return the metrics of a selection scheme on the samples of an exit profile.

    Args:
        profile: The exit profile of the network or of its backbone.
        scheme: The selection scheme to score.
        anatomy: The costs of the network's stages and heads.
        labels: Label (S,) of each of the S samples, for the balanced accuracy; `None` = unknown.

    Raises:
        ValueError: The profile is empty, or has no column for a placed exit of the scheme.
    """
    return metrics_of(outcome(profile, scheme, labels), scheme, anatomy)


def pareto_schemes(
    profile: ExitProfile,
    candidate: Candidate,
    anatomy: Anatomy,
    *,
    removable: bool,
    measure: Measure = "executed",
    levels: tuple[float, ...] = (),
) -> tuple[SelectionScheme, ...]:
    """Return the selection schemes of a backbone that are Pareto optimal in accuracy and multiply-adds.

    Thresholds are continuous: any number in [0, 1]. At most 64 schemes are returned, by rising cost.

    Args:
        profile: Exit profile of the candidate's backbone.
        candidate: A candidate. The returned schemes use only the exits that its scheme places.
        anatomy: Costs of the backbone and of the heads at the placed exits.
        removable: `True` = a returned scheme may omit placed exits; `False` = it uses all of them.
        measure: The MACs to minimise: `executed` (default) or `ada`.
        levels: See `ConfidenceCriterion.levels`; an archive does not store them.
    """
    scheme = candidate.scheme
    known = replace(restrict_profile(profile, scheme.placed), levels=levels)
    points = len(scheme.thresholds)
    return threshold_front(
        known, anatomy.costs, points, removable=removable, measure=measure, limit=_TRADE_OFFS
    ).schemes


def metrics_of(result: Outcome, scheme: SelectionScheme, anatomy: Anatomy) -> Metrics:
    """Return the metrics of a network: accuracies and utilization from `result`, and costs from `anatomy`.

    Args:
        result: The measured or predicted outcome of `scheme`.
        scheme: The network's selection scheme.
        anatomy: The costs of the network's stages and heads.
    """
    costs = anatomy.costs
    running = running_costs(anatomy.stages, scheme.placed)
    segments = [*running, *(anatomy.heads[index] for index in scheme.placed), anatomy.last]
    memory = anatomy.memory(scheme)
    outputs = [segment.outputs for segment in segments if segment.outputs is not None]
    return Metrics(
        accuracy=result.accuracy,
        utilization=result.utilization,
        exit_accuracy=result.exit_accuracy,
        ada_macs=ada_macs(costs, scheme, result.utilization),
        executed_macs=executed_macs(costs, scheme, result.utilization),
        backbone_accuracy=result.backbone_accuracy,
        balanced_accuracy=result.balanced_accuracy,
        backbone_macs=backbone_macs(costs),
        params=sum(segment.params for segment in segments),
        activations=max(segment.activations for segment in segments),
        outputs=sum(outputs) if len(outputs) == len(segments) else None,
        exit_macs=_by_exit(costs, scheme),
        exit_figures={name: _by_exit(figures, scheme) for name, figures in anatomy.figures.items()},
        ram=memory.ram if memory else None,
        flash=memory.flash if memory else None,
        exit_ram=memory.exit_ram if memory else (),
    )


def _by_exit(costs: Costs, scheme: SelectionScheme) -> tuple[float | None, ...]:
    """Return the cost of a sample by its exit, in the unit of `costs`; `None` where no exit is placed."""
    return tuple(None if math.isnan(macs) else macs for macs in executed_per_exit(costs, scheme).tolist())
