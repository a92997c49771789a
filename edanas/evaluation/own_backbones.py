"""The backbones of results, each trained alone in the same way: the paper's NAS_n beside its EDANAS_n."""

from collections.abc import Sequence
from dataclasses import replace

from edanas.core.result_row import ResultRow
from edanas.core.types import Backbone, Candidate, SelectionScheme


def own_backbones(rows: Sequence[ResultRow]) -> list[Candidate]:
    """Return the backbones of finished networks as candidates without exits, each once, in order.

    The backbone of a cut network ends where the network ends.

    Args:
        rows: The early-exit networks of a run.
    """
    return list(dict.fromkeys(map(_alone, rows)))


def with_own_backbones(rows: Sequence[ResultRow], alone: Sequence[ResultRow]) -> list[ResultRow]:
    """Return early-exit networks with the fields `alone` and `alone_test_accuracy`.

    Args:
        rows: The early-exit networks of a run.
        alone: The finished networks of `own_backbones`; a backbone that could not be finished is missing.
    """
    by_id = {row.id: row for row in alone}
    compared = []
    for row in rows:
        own = by_id.get(_alone(row).id)
        known = None if own is None else own.test_accuracy
        compared.append(replace(row, alone=None if own is None else own.id, alone_test_accuracy=known))
    return compared


def _alone(row: ResultRow) -> Candidate:
    return Candidate(Backbone.of(row.backbone), SelectionScheme((None,) * len(row.thresholds)))
