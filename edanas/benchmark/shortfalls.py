"""Remarks on forms whose early exits save less time than multiply-adds."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.benchmark.results import ByExit, FormBench
from edanas.core.costs import Costs, backbone_macs, executed_per_exit
from edanas.core.types import SelectionScheme

ENOUGH = 0.9
"""The fraction of the MACs ratio that a speed-up must reach; a form below it gets a remark."""

SMALL = 10e6
"""The number of multiply-adds of a backbone below which the fixed cost of operator calls matters."""


def shortfalls(forms: Sequence[FormBench], costs: Costs, scheme: SelectionScheme) -> tuple[str, ...]:
    """Return a remark on each form whose speed-up is below `ENOUGH` of the MACs ratio.

    Args:
        forms: The results of each form.
        costs: The costs of the network.
        scheme: The selection scheme of the network, with its thresholds.
    """
    macs_shares = executed_per_exit(costs, scheme) / backbone_macs(costs)
    pairs = [(_low_ratios(form), _largest_loss(form, macs_shares)) for form in forms]
    remarks = [f"{ratios}.{loss}" for ratios, loss in pairs if ratios]
    if remarks and backbone_macs(costs) < SMALL:
        remarks.append(
            f"Below {SMALL / 1e6:.0f}M multiply-adds much of the time goes into operator calls and the "
            "comparison of confidences, which take the same time for networks of every size."
        )
    return tuple(remarks)


def _low_ratios(form: FormBench) -> str:
    """Return a text with the batch sizes at which a form falls short of `ENOUGH`; empty if there is none."""
    fractions = [(each.batch_size, each.of_macs_ratio) for each in form.batches]
    low = [
        f"{fraction:.2f} in batches of {size}"
        for size, fraction in fractions
        if fraction and fraction < ENOUGH
    ]
    if not low:
        return ""
    return f"{form.name}: early exits save less time than multiply-adds, {', '.join(low)}"


def _largest_loss(form: FormBench, macs_shares: npt.NDArray[np.float64]) -> str:
    """Return a sentence on the exit that costs most time beyond its multiply-adds, for single samples.

    The sentence is empty without timings of single images, and if no exit costs more time.

    Args:
        form: The results of one form.
        macs_shares: (N + 1,) the share of the backbone's multiply-adds that run up to each of the N exit
            points, and up to the last exit.
    """
    backbone = next((each.backbone for each in form.batches if each.batch_size == 1), None)
    timed = [(each, each.timing.mean / backbone.mean) for each in form.exits if each.timing and backbone]
    if not timed:
        return ""
    worst, time_share = max(timed, key=lambda pair: pair[0].share * (pair[1] - macs_shares[pair[0].exit]))
    if time_share <= macs_shares[worst.exit]:
        return ""
    return (
        f" Most time is lost at {_exit_name(worst, form.exits)}: the network up to this exit has "
        f"{macs_shares[worst.exit]:.0%} of the backbone's multiply-adds and takes {time_share:.0%} of its "
        "time, for single samples."
    )


def _exit_name(each: ByExit, exits: Sequence[ByExit]) -> str:
    return "the last exit" if each is exits[-1] else f"exit {each.exit + 1}"
