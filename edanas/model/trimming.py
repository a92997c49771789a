"""Removal of exits and stages from a finished network."""

import copy
from collections.abc import Sequence

from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.idle_stages import idle_stages
from edanas.core.types import SelectionScheme, Variable
from edanas.model.eenn import EENN
from edanas.model.temperature import TEMPERATURES


def trimmed_network(
    network: EENN, scheme: SelectionScheme, end: int, variables: Sequence[Variable] = ()
) -> EENN:
    """Return a copy of a network that has only the placed exits of a scheme, and ends at an exit point.

    Args:
        network: The network, with a head for each exit that `scheme` places and at `end`.
        scheme: A scheme without thresholds from `end` on.
        end: Index of the exit point where the copy ends; N = the copy keeps the last exit.
        variables: The variables of the supernet provider, see `EENN.cut`.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> trimmed_network(toy_network(), SelectionScheme((None, None)), 0).points
        ()
    """
    values = network.description.get(TEMPERATURES, ())
    temperatures = dict(zip((*network.points, network.last_point), values, strict=False))
    shorter = network.cut(end + 1, variables) if end < network.exit_points else copy.deepcopy(network)
    shorter.heads = nn.ModuleDict({str(point): shorter.heads[str(point)] for point in scheme.placed})
    shorter.backbone = shorter.backbone.without_idle(scheme.placed)
    shorter.scheme = scheme
    if temperatures:
        points = *scheme.placed, shorter.last_point
        shorter.description[TEMPERATURES] = [temperatures[point] for point in points]
    return shorter


def removal_text(before: ExitNetwork, after: ExitNetwork, share: float = 0.0) -> str:
    """Return a sentence on the exits and stages of `before` that `after` lacks, with the bytes saved.

    The text is empty if the networks have equal exits and stages.

    Args:
        before: The network with all exits and stages.
        after: The network with the rest.
        share: The smallest fraction of the calibration samples at an exit that stays; 0 by default = any.
    """
    count = after.backbone.ends
    exits = [point + 1 for point in before.points if point not in (*after.points, count - 1)]
    beyond = range(count + 1, before.backbone.ends + 1)
    idle = idle_stages(after.backbone.image_stages, after.points)
    stages = sorted(at + 1 for at in idle - idle_stages(before.backbone.image_stages, before.points))
    parts = [_listed("exit", exits)] if exits else []
    parts += [_listed("stage", [*stages, *beyond])] if stages or beyond else []
    parts += ["the last exit"] if beyond else []
    if not parts:
        return ""
    small, large = weight_bytes(after), weight_bytes(before)
    end = f" The last exit is now the exit after stage {count}." if beyond else ""
    few = f"fewer than {share:.2%} of the calibration samples exit there"
    cause = few if share else "no sample uses them"
    return (
        f"Removed, because {cause}: {', '.join(parts)}.{end} The weights take {small:,} bytes in place of "
        f"{large:,}: {large - small:,} bytes ({1 - small / large:.0%}) less."
    )


def _listed(noun: str, numbers: Sequence[int]) -> str:
    """Return the numbers of exits or stages as text, such as `exit 2` or `stages 3, 4`."""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def weight_bytes(network: nn.Module) -> int:
    """Return the number of bytes of all weights of a network, as a `.safetensors` file stores them."""
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())
