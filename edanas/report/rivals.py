"""Comparison of networks with single-exit networks of the same accuracy, cut networks included.

Accuracies on the validation part decide which networks are compared. Costs are those of the test.
"""

from collections.abc import Sequence
from dataclasses import replace

from edanas.core.result_row import ResultRow
from edanas.report.formatting import mega, percent


def find_rival(row: ResultRow, singles: Sequence[ResultRow]) -> ResultRow | None:
    """Return the cheapest network of `singles` with at least the validation accuracy of `row`.

    Of equally cheap networks, the most accurate is returned; `None` = no network is as accurate.
    """
    accurate = [single for single in singles if single.validation_accuracy >= row.validation_accuracy]
    return min(accurate, key=lambda one: (one.executed_macs, -one.validation_accuracy), default=None)


ALONE = "In brackets: the accuracy of the network's own backbone, trained alone in the same way."
"""Note on the accuracy of backbones, for a run with `finetune.backbones`."""


def backbone_accuracy_text(row: ResultRow) -> str:
    """Return the accuracy of the backbone in percent, and in brackets that of the backbone trained alone."""
    alone = "" if row.alone_test_accuracy is None else f" ({percent(row.alone_test_accuracy)})"
    return f"{percent(row.backbone_test_accuracy)}{alone}"


def with_rivals(rows: Sequence[ResultRow], singles: Sequence[ResultRow]) -> tuple[ResultRow, ...]:
    """Return early-exit networks with the fields `rival`, `rival_cost` and `saves_macs`.

    Args:
        rows: The early-exit networks of a run.
        singles: The single-exit networks of the same run.
    """
    compared = []
    for row in rows:
        rival = find_rival(row, singles)
        cost = None if rival is None else row.executed_macs / rival.executed_macs
        beside = replace(row, rival=None if rival is None else rival.id, rival_cost=cost)
        compared.append(replace(beside, saves_macs=beside.is_cheaper))
    return tuple(compared)


def comparison_text(row: ResultRow, singles: Sequence[ResultRow]) -> str:
    """Return a sentence that compares an early-exit network with its backbone and its rival.

    If the network executes no fewer multiply-adds than one of the two, the sentence says so.

    Args:
        row: The early-exit network, from `with_rivals`.
        singles: The single-exit networks of the same run.

    Example:
        >>> row = ResultRow(
        ...     id="a1", exits=1, thresholds=(0.9,), utilization=(0.6, 0.4), test_accuracy=0.97,
        ...     validation_accuracy=0.98, ada_macs=4e6, executed_macs=4.5e6, backbone_macs=9e6,
        ...     backbone_test_accuracy=0.975, params=1000,
        ... )
        >>> comparison_text(row, [])
        'No single-exit network of the search, cut ones included, is as accurate.'
    """
    rival = next((single for single in singles if single.id == row.rival), None)
    own = f"{percent(row.relative_cost, 0)}% of its own backbone's multiply-adds"
    other = "" if rival is None or row.rival_cost is None else _share_text(row.rival_cost, rival)
    if not row.is_cheaper:
        reasons = [own if row.relative_cost >= 1 else "", other if (row.rival_cost or 0) >= 1 else ""]
        return f"Early exits bring nothing here: the network executes {' and '.join(filter(None, reasons))}."
    if not other:
        return "No single-exit network of the search, cut ones included, is as accurate."
    return f"It executes {other}."


def _share_text(share: float, rival: ResultRow) -> str:
    cut = "" if rival.stages == len(rival.thresholds) + 1 else f" cut after stage {rival.stages},"
    return (
        f"{percent(share, 0)}% of the multiply-adds of the best single-exit network that is as accurate "
        f"on the validation part ({rival.id},{cut} {percent(rival.test_accuracy)}% at "
        f"{mega(rival.executed_macs)}M)"
    )
