"""Where early exits save less time than multiply-adds, and what is known of why."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.benchmark.results import ByExit, FormBench
from edanas.core.costs import Costs, backbone_macs, executed_per_exit
from edanas.core.types import SelectionScheme

ENOUGH = 0.9
"""The share of the MACs ratio from which on nothing is said."""

SMALL = 10e6
"""Multiply-adds of a backbone below which what an operator costs before it computes anything weighs much."""


def shortfalls(forms: Sequence[FormBench], costs: Costs, scheme: SelectionScheme) -> tuple[str, ...]:
    """A remark on each form that falls short of what multiply-adds promise.

    Args:
        forms: As measured.
        costs: Multiply-adds of the network.
        scheme: Its thresholds.
    """
    promised = executed_per_exit(costs, scheme) / backbone_macs(costs)
    said = [(_where(form), _lost(form, promised)) for form in forms]
    remarks = [f"{where}.{lost}" for where, lost in said if where]
    if remarks and backbone_macs(costs) < SMALL:
        remarks.append(
            f"Below {SMALL / 1e6:.0f}M multiply-adds much of the time goes into calling operators and asking "
            "exits, whatever they compute."
        )
    return tuple(remarks)


def _where(form: FormBench) -> str:
    """The batch sizes at which it falls short, with the shares; empty for none."""
    short = [(each.batch_size, each.of_macs_ratio) for each in form.batches]
    told = [f"{share:.2f} in batches of {size}" for size, share in short if share and share < ENOUGH]
    if not told:
        return ""
    return f"{form.name}: early exits save less time than multiply-adds promise, {', '.join(told)}"


def _lost(form: FormBench, promised: npt.NDArray[np.float64]) -> str:
    """At which exit single images lose most of it, all that leave there together; empty if that is unknown.

    Args:
        form: With batches of 1 or without.
        promised: The share of the backbone's multiply-adds until each exit point and the last exit.
    """
    backbone = next((each.backbone for each in form.batches if each.batch_size == 1), None)
    timed = [(each, each.timing.mean / backbone.mean) for each in form.exits if each.timing and backbone]
    if not timed:
        return ""
    worst, took = max(timed, key=lambda found: found[0].share * (found[1] - promised[found[0].exit]))
    if took <= promised[worst.exit]:
        return ""
    return (
        f" Most is lost at {_name(worst, form.exits)}: until there it is {promised[worst.exit]:.0%} of the "
        f"backbone's multiply-adds and {took:.0%} of its time, for single images."
    )


def _name(found: ByExit, exits: Sequence[ByExit]) -> str:
    return "the last exit" if found is exits[-1] else f"exit {found.exit + 1}"
