"""Thresholds of a finished network, set on the calibration part, and the removal of exits without samples."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edanas.core.contracts import ExitNetwork, ThresholdSetter
from edanas.core.cut_backbones import cut
from edanas.core.errors import CandidateError
from edanas.core.feasible import Feasibility
from edanas.core.types import Candidate, ExitProfile, Metrics, SelectionScheme
from edanas.evaluation.scoring import score
from edanas.evaluation.workbench import Workbench
from edanas.model.anatomy import Anatomy
from edanas.model.calibration import calibrate
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_profile
from edanas.model.temperature import apply_temperatures
from edanas.model.trimming import trimmed_network
from edanas.thresholds.agreement import AGREE
from edanas.thresholds.budgets import Budget, loose_budget_text, unreachable_budget_message
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.stream_budget import HOLD
from edanas.thresholds.trimming import trim_on_samples


@dataclass(frozen=True)
class Settled:
    """A network with its final thresholds, and its results on the calibration part.

    Args:
        network: The network.
        candidate: Its backbone, with the searched thresholds of its exits.
        anatomy: The costs of the network.
        calibration: Metrics on the calibration part; `None` if the thresholds were not set there.
    """

    network: ExitNetwork
    candidate: Candidate
    anatomy: Anatomy
    calibration: Metrics | None = None


@dataclass(frozen=True)
class FinalThresholds:
    """Sets the thresholds of networks, and removes the exits that too few calibration samples use.

    The setting `min_exit_share` is the smallest fraction of the samples at an exit.

    Args:
        workbench: The run's objects and data.
        setter: Sets the thresholds on the calibration part.
        limits: The run's constraints.
    """

    workbench: Workbench
    setter: ThresholdSetter
    limits: Feasibility

    def settle(self, candidate: Candidate, network: ExitNetwork, drop: float) -> Settled:
        """Set thresholds and remove exits in turn, until enough calibration samples use every exit.

        Exits stay if the setter's guarantee holds for its own thresholds only.

        Args:
            candidate: The searched candidate.
            network: Its trained network. It is changed in place, and copied if exits are removed.
            drop: Accuracy, a fraction, that the candidate lost in the search against its last exit.

        Raises:
            CandidateError: No thresholds of the network meet the setter's requirement.
        """
        state = Settled(network, candidate, self.workbench.anatomy(network))
        if not candidate.scheme.placed:
            return state
        state, profile = self._calibrated(state, drop)
        if self.setter.fixed:
            return state
        required = float(profile.correct[:, -1].mean()) - drop
        while True:
            scheme, end = self._trim_scheme(state.network.scheme, profile)
            if scheme == state.network.scheme or not isinstance(state.network, EENN):
                return state
            state = self._trimmed(state, state.network, scheme, end)
            if not scheme.placed:
                return state
            state, profile = self._set_anew(state, required)

    def loose_budget(self, network: ExitNetwork) -> str:
        """Return a remark if no sample can cost more than the setter's budget, else an empty text."""
        placed, limit = network.scheme.placed, self.setter.max_macs
        if math.isinf(limit) or not placed:
            return ""
        costs = exit_costs(self.workbench.anatomy(network).costs, placed)
        return loose_budget_text(Budget("max_macs", limit), float(costs[0]), float(costs[-1]))

    def _trim_scheme(self, scheme: SelectionScheme, profile: ExitProfile) -> tuple[SelectionScheme, int]:
        """Return the scheme without unused exits, and the exit point where the network ends.

        If later exits read earlier ones by a criterion that is not fitted to their absence, only the exits
        after the last used one are removed.
        """
        criterion, share = self.workbench.criterion, self.workbench.settings.min_exit_share
        removable = not criterion.memory or criterion.fits
        trimmed, end = trim_on_samples(profile, scheme, share, removable=removable)
        used = trim_on_samples(profile, scheme, share)[0].placed
        last = max(used, default=-1) if not removable else len(scheme.thresholds)
        thresholds = (each if at <= last else None for at, each in enumerate(trimmed.thresholds))
        return SelectionScheme(tuple(thresholds)), end

    def _trimmed(self, state: Settled, network: EENN, scheme: SelectionScheme, end: int) -> Settled:
        """Return the network with the exits of `scheme` alone, which ends at the exit point `end`."""
        bench, candidate = self.workbench, state.candidate
        variables = bench.variables
        smaller = trimmed_network(network, scheme, end, variables)
        for moving in (HOLD, AGREE):
            smaller.description.pop(moving, None)
        searched = (
            None if now is None else before
            for now, before in zip(scheme.thresholds, candidate.scheme.thresholds, strict=True)
        )
        backbone = candidate.backbone
        if end < len(scheme.thresholds):
            backbone = cut(backbone, variables, end + 1)
        rest = Candidate(backbone, SelectionScheme(tuple(searched)))
        anatomy = bench.anatomy(smaller)
        profile = collect_profile(smaller, bench.parts.calibration)
        calibration = score(profile, scheme, anatomy) if state.calibration else None
        return Settled(smaller, rest, anatomy, calibration)

    def _set_anew(self, state: Settled, required: float) -> tuple[Settled, ExitProfile]:
        """Return the network with thresholds for its remaining exits, and its calibration profile.

        The accuracy may fall to `required`. If the setter's requirement cannot be met without the removed
        exits, the thresholds stay.
        """
        network, samples = copy.deepcopy(state.network), self.workbench.parts.calibration
        apply_temperatures(network, ())
        self.workbench.fit(network)
        profile = collect_profile(network, samples)
        drop = max(0.0, float(profile.correct[:, -1].mean()) - required)
        try:
            return self._calibrated(replace(state, network=network), drop)
        except CandidateError:
            return state, collect_profile(state.network, samples)

    def _calibrated(self, state: Settled, drop: float) -> tuple[Settled, ExitProfile]:
        """Return the network with the setter's thresholds, and its calibration profile.

        The threshold setter may choose thresholds that break a constraint on the cost. If the thresholds of
        the search violate the constraints less on the calibration part, the network keeps them, unless the
        setter guarantees something of its own.
        """
        network, candidate, anatomy = state.network, state.candidate, state.anatomy
        parts = self.workbench.parts
        samples = parts.own_calibration if self.setter.fixed else parts.calibration
        if not self.setter.resets:
            return state, collect_profile(network, samples)
        profile = calibrate(network, samples, anatomy.costs, self.setter, drop)
        reset, searched = (score(profile, scheme, anatomy) for scheme in (network.scheme, candidate.scheme))
        finished = Candidate(candidate.backbone, network.scheme)
        violation = self.limits.violation(finished, reset)
        if not self.setter.fixed and self.limits.violation(candidate, searched) < violation:
            network.scheme, reset = candidate.scheme, searched
        return replace(state, calibration=reset), profile


def budget_shortfall(workbench: Workbench, setter: ThresholdSetter, candidates: Sequence[Candidate]) -> str:
    """Return a message if no thresholds of any candidate can keep the budget of a threshold setter.

    The text is empty if a candidate can keep it, has no exits and so no thresholds, or if there is no budget.

    Args:
        workbench: The run's objects and data.
        setter: The threshold setter of the results.
        candidates: The candidates. The message names the cost of the one whose first exit is the cheapest.
    """
    placed = [(each.backbone, each.scheme.placed) for each in candidates]
    if math.isinf(setter.max_macs) or not placed or not all(points for _, points in placed):
        return ""
    costs = [(exit_costs(workbench.anatomy_of(*each).costs, each[1]), each[1]) for each in placed]
    cheapest = min(costs, key=lambda each: float(each[0][0]))
    message = unreachable_budget_message(Budget("max_macs", setter.max_macs), *cheapest)
    return f"final_thresholds.{message}" if message else ""
