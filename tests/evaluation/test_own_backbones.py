"""The own backbone of each result, trained alone in the same way."""

from dataclasses import replace

from finishings import candidates

from edanas.core.progress import Silent
from edanas.core.types import Backbone
from edanas.evaluation.own_backbones import own_backbones, with_own_backbones
from edanas.report.rivals import backbone_accuracy_text

EARLY = candidates()[:1]


def test_backbones_are_trained_once_and_found_again(finisher):
    finishing = finisher()
    progress_rows, _ = finishing.finish(EARLY, "Finishing", Silent())
    twice = [*progress_rows, replace(progress_rows[0], id="again")]
    bare = own_backbones(twice)
    assert len(bare) == len({Backbone.of(row.backbone).id for row in twice})
    assert all(not each.scheme.placed for each in bare)
    alone, failures = finishing.finish(bare, "Alone", Silent())
    assert failures == []
    compared = with_own_backbones(twice, alone)
    for before, row in zip(twice, compared, strict=True):
        (own,) = (each for each in alone if each.id == row.alone)
        assert own.exits == 0 and own.backbone == before.backbone
        assert own.executed_macs == own.backbone_macs == before.backbone_macs
        assert row.alone_test_accuracy == own.test_accuracy
        assert backbone_accuracy_text(row).endswith(f"({100 * own.test_accuracy:.1f})")
    (lost, *_) = with_own_backbones(twice, [])
    assert (lost.alone, lost.alone_test_accuracy) == (None, None)
