"""Checks of a supernet provider's variables, for the suite of supernet providers."""

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SupernetProvider
from edanas.core.cut_backbones import first_stages
from edanas.core.space import SearchSpace
from edanas.core.tracing import trace
from edanas.core.types import Task
from edanas.testing.conformance import ConformanceError, reported_call, require

_TASK = Task(in_channels=1, num_classes=2)


def check_variables(provider: SupernetProvider) -> SearchSpace:
    """Check the variables of a provider, and return their search space.

    Raises:
        ConformanceError: The variables or `exit_channels` break the contract.
    """
    with reported_call(provider, "the search space of `variables()`"):
        variables, points = provider.variables(), provider.exit_points
        space = SearchSpace.of(provider, (0.5, None))
    require(provider, points >= 1, f"exit_points is {points}; expected 1 or more")
    by_name = {variable.name: variable for variable in variables}
    resolution = by_name.get("resolution")
    if resolution is None:
        raise ConformanceError(
            f"{type(provider).__name__}: no variable is named 'resolution'; found {', '.join(by_name)}"
        )
    sides = resolution.choices
    require(
        provider,
        resolution.parent is None and all(isinstance(side, int) and side > 0 for side in sides),
        f"resolution has the choices {sides} and the parent {resolution.parent}; expected whole numbers of "
        "pixels and no parent",
    )
    late = [v for v in variables if v.stage is not None and v.stage not in range(1, points + 2)]
    require(provider, not late, f"variables with stages that do not exist: {late}; found {points + 1} stages")
    require(provider, provider.variables() == variables, "`variables()` gives two results at two calls")
    channels = provider.exit_channels()
    require(
        provider,
        len(channels) == points and all(channels),
        f"exit_channels() is {channels} for {points} exit points; expected one or more for each",
    )
    return space


def check_costs(provider: SupernetProvider, space: SearchSpace) -> None:
    """Check that the choices of each variable are in the order of rising cost, in multiply-adds.

    A variable must leave the costs of the stages before its first stage unchanged.

    Raises:
        ConformanceError: A later choice gives a cheaper backbone than an earlier choice, or a choice changes
            an earlier stage.
    """

    def segments(genome: npt.NDArray[np.int64]) -> list[int]:
        backbone = space.backbone(space.canonical(genome))
        with reported_call(provider, f"the cost of {dict(backbone.choices)}"):
            stages, last = trace(provider.build(backbone, _TASK), _TASK.in_channels)
        return [segment.macs for segment in (*stages, last)]

    largest = space.counts - 1
    stages = segments(largest)
    whole, smallest = sum(stages), sum(segments(np.zeros_like(largest)))
    require(
        provider,
        whole >= smallest,
        f"the last choices give {whole} MACs, the first {smallest}; expected rising cost",
    )
    first = first_stages(provider.variables())
    for index, variable in enumerate(provider.variables()):
        after = whole
        for position in reversed(range(len(variable.choices) - 1)):
            genome = largest.copy()
            genome[index] = position
            other = segments(genome)
            cost, before = sum(other), first[variable.name] - 1
            require(
                provider,
                other[:before] == stages[:before],
                f"{variable.name}: its first stage is {variable.stage}, and {variable.choices[position]} "
                f"changes the costs of earlier stages from {stages[:before]} to {other[:before]}",
            )
            require(
                provider,
                cost <= after,
                f"{variable.name}: {variable.choices[position]} costs {cost} MACs, and the next choice "
                f"{variable.choices[position + 1]} costs {after}; expected rising cost",
            )
            after = cost
