"""Limits of RAM and flash: their constraints, and a check before training that a network can keep them."""

from collections.abc import Iterator, Sequence

from edanas.core.contracts import Constraint
from edanas.core.cut_backbones import cut
from edanas.core.device_profiles import DeviceProfile, device_profile
from edanas.core.errors import InfeasibleError
from edanas.core.feasible import Feasibility
from edanas.core.idle_stages import idle_stages
from edanas.core.settings import Component, Settings
from edanas.core.tracing import operators
from edanas.core.types import Candidate, Outcome, SelectionScheme
from edanas.evaluation.scoring import metrics_of
from edanas.evaluation.workbench import Workbench
from edanas.goals.constraints import Bound


def profile_of(settings: Settings) -> DeviceProfile | None:
    """Return the profile of the setting `device_profile`; `None` if it is empty.

    Raises:
        ConfigError: There is no such profile.
    """
    return device_profile(settings.device_profile) if settings.device_profile else None


def limit_components(settings: Settings, profile: DeviceProfile | None) -> Iterator[Component]:
    """Yield a bound for RAM and for flash: the limit that is set or the device's memory, if it is smaller."""
    for name, limit in (("ram", settings.max_ram), ("flash", settings.max_flash)):
        memory = float(getattr(profile, name)) if profile else 0.0
        if most := [each for each in (limit, memory) if each]:
            yield Component("bound", {"of": name, "at_most": min(most)})


def check_limits(workbench: Workbench, constraints: Sequence[Constraint]) -> None:
    """Check that the smallest network of the search space keeps each limit of RAM and flash.

    The smallest network has the first choices of all variables. If networks may be cut, it is cut after the
    first stage.

    Raises:
        InfeasibleError: It breaks a limit. The message names its value and the layer that needs most.
    """
    space, provider = workbench.space, workbench.provider
    limits = [each for each in constraints if isinstance(each, Bound) and each.footprints and not each.meters]
    if not limits:
        return
    backbone = space.whole().smallest()
    if space.cuts:
        backbone = cut(backbone, workbench.variables, 1)
    points = provider.exit_points
    candidate = Candidate(backbone, SelectionScheme((None,) * points))
    shares = (*((0.0,) * points), 1.0)
    anatomy = workbench.anatomy_of(backbone, ())
    outcome = Outcome(0.0, shares, (*((None,) * points), 0.0), 0.0)
    metrics = metrics_of(outcome, candidate.scheme, anatomy)
    for limit in limits:
        if limit.excess(candidate, metrics) > 0:
            raise InfeasibleError(
                f"constraints: {limit.describe(candidate, metrics)}. This is the smallest network of the "
                f"search space, so no network keeps the limit. {most_memory(workbench, candidate)} "
                "Raise the limit, or choose smaller widths or resolutions of the supernet"
            )


def with_layers(error: InfeasibleError, workbench: Workbench, limits: Feasibility) -> InfeasibleError:
    """Return the error with the layers of the nearest candidate that need most, if it breaks their limit."""
    if error.nearest is None or not limits.breaks_memory(error.nearest):
        return error
    return InfeasibleError(f"{error}. {most_memory(workbench, error.nearest)}")


def most_memory(workbench: Workbench, candidate: Candidate) -> str:
    """Return two sentences that name the layers of a network with the most RAM and with the most flash."""
    memory = workbench.anatomy_of(candidate.backbone, candidate.scheme.placed).memory(candidate.scheme)
    ram = memory.largest if memory else "unknown"
    return f"Most RAM: {ram}. Most flash: {_heaviest(workbench, candidate)}."


def _heaviest(workbench: Workbench, candidate: Candidate) -> str:
    """Return the operator with the most weights of a network without early exits, and its segment."""
    network = workbench.builder.with_every_head(candidate.backbone).backbone.cpu()
    ends, shape = network.ends, (workbench.parts.task.in_channels, network.resolution, network.resolution)
    stages, _ = workbench.segments(candidate.backbone)
    shapes = [shape, *(each.shape for each in stages[:ends])]
    idle, weights = idle_stages(network.image_stages, ()), []
    parts = [
        (stage, f"stage {at + 1}", shapes[at])
        for at, stage in enumerate(network.stages[:ends])
        if at not in idle
    ]
    for module, place, inputs in [*parts, (network.head, "the last exit", shapes[-1])]:
        graph = operators(module, inputs)
        weights += [
            (each.flash, f"{each.name} in {place} ({each.flash:,} bytes)") for each in graph.operators
        ]
    return max(weights, key=lambda pair: pair[0])[1]
