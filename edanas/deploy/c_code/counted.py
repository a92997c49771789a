"""RAM and flash of a network as the search counts them, for comparison with the exported files."""

from edanas.core.contracts import ExitNetwork
from edanas.core.idle_stages import running_costs
from edanas.core.tracing import measure, trace


def counted_bytes(network: ExitNetwork) -> tuple[int, int] | None:
    """Return the bytes of RAM and of flash that follow from the structure of a network in int8.

    RAM is the largest number of bytes in use at once. While a head runs, the features stay in memory.

    Returns:
        Both numbers, or `None` if a stage or a head was not counted.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> counted_bytes(toy_network())
        (1440, 2344)
    """
    stages, last = trace(network.backbone, len(network.mean))
    heads = [measure(network.heads[str(at)], stages[at].shape) for at in network.scheme.placed]
    bodies = [stage.footprint for stage in running_costs(stages, network.scheme.placed)]
    exits = [head.footprint for head in (*heads, last)]
    footprints = [each for each in (*bodies, *exits) if each is not None]
    if len(footprints) < len(bodies) + len(exits):
        return None
    ram = max(each.held if at >= len(bodies) else each.ram for at, each in enumerate(footprints))
    return ram, sum(each.flash for each in footprints)
