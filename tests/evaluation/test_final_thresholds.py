"""Removal of exits from finished networks by their calibration samples."""

import pytest
import torch
from finishings import Medians, candidates, rows
from small_runs import RecordedBars, parts

import edanas
from edanas.core.contracts import ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.final_thresholds import budget_shortfall
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.setters import Budgeted, Calibrated, Dynamic


class Fixed(ThresholdSetter):
    """Given thresholds at the placed exits; after the first choice, it may refuse."""

    def __init__(self, thresholds, *, once=False):
        self.thresholds, self.once, self.choices = thresholds, once, 0

    def choose(self, calibration):
        self.choices += 1
        if self.once and self.choices > 1:
            raise CandidateError("once is enough")
        placed = calibration.scheme.placed
        chosen = (each if at in placed else None for at, each in enumerate(self.thresholds))
        return ThresholdChoice(SelectionScheme(tuple(chosen)))


EARLY = candidates()[0]  # exits 1 and 3


def test_the_cheapest_first_exit_decides_on_a_budget(finisher):
    bench = finisher().workbench
    chosen = [Candidate(each, EARLY.scheme) for each in (bench.space.largest(), bench.space.smallest())]
    costs = bench.anatomy_of(chosen[1].backbone, EARLY.scheme.placed).costs
    least = costs.stages[0] + costs.heads[0]
    message = budget_shortfall(bench, Budgeted(max_macs=least - 1), chosen)
    assert f"possible with the placed exits: {least / 1e3:.4g}k MACs" in message
    assert not budget_shortfall(bench, Budgeted(max_macs=least), chosen)
    assert not budget_shortfall(bench, Budgeted(max_macs=1), [*chosen, candidates()[1]])  # without exits
    assert not budget_shortfall(bench, Budgeted(min_accuracy=1), chosen)


def test_a_network_that_all_samples_leave_is_cut(finisher):
    finishing, progress = finisher(setter=Fixed((1.0, None, 0.0, None))), RecordedBars()
    lines = []
    progress.say = lines.append
    ((row,), failures) = finishing.finish([EARLY], "Finishing", progress)
    assert failures == []
    assert (row.exits, row.stages, row.utilization) == (0, 3, (0, 0, 0, 0, 1))
    assert row.executed_macs == row.ada_macs == row.backbone_macs
    assert row.test_accuracy == row.backbone_test_accuracy
    assert row.model == f"models/eenn-0-{EARLY.id}.json"
    assert row.stage_macs[3:] == (0, 0)
    network = edanas.load(finishing.workbench.folder / row.model)
    assert not [name for name in network.state_dict() if name.startswith(("backbone.stages.3", "heads"))]
    assert row.params == sum(weight.numel() for weight in network.parameters())
    answers = network.predict(parts().test.images)
    assert row.test_accuracy == float((answers.label == parts().test.labels).double().mean())
    assert any("exit 1, stages 4, 5, the last exit. The last exit is now the exit after" in x for x in lines)


@pytest.mark.parametrize(("share", "exits", "stages"), [(0.0, 2, 5), (0.2, 2, 5), (0.3, 1, 3), (0.6, 0, 1)])
def test_exits_with_a_small_share_are_removed_and_thresholds_set_anew(finisher, share, exits, stages):
    """Half of 20 samples exit at exit 1, a quarter at exit 3, and a quarter at the last exit."""
    (row,) = rows(finisher(setter=Medians(), min_exit_share=share), [EARLY])
    assert (row["exits"], row["backbone"].get("stages", 5)) == (exits, stages)
    assert row["model"].startswith(f"models/eenn-{exits}-")


def test_thresholds_stay_if_they_cannot_be_set_anew(finisher):
    setter = Fixed((0.0001, None, 1.0, None), once=True)
    (row,) = rows(finisher(setter=setter), [EARLY])
    assert setter.choices == 2 or row["exits"] == 0
    assert row["thresholds"][2:] == [None, None]


@pytest.mark.parametrize("calibrated", [True, False])
def test_files_of_trimmed_networks_repeat_the_figures(finisher, calibrated):
    finishing = finisher(setter=Calibrated())
    if not calibrated:
        costs = finishing.workbench.anatomy_of(EARLY.backbone, EARLY.scheme.placed).costs
        finishing.setter = Dynamic(max_macs=float(exit_costs(costs, EARLY.scheme.placed).mean()))
    finished, failures = finishing.finish([EARLY], "Finishing", RecordedBars())
    assert failures == []
    for row in finished:
        network = edanas.load(finishing.workbench.folder / row.model)
        answers = network.predict(parts().test.images)
        assert row.test_accuracy == float((answers.label == parts().test.labels).double().mean())
        assert row.utilization == tuple(float((answers.exit == at).double().mean()) for at in range(5))
        assert torch.isfinite(answers.confidence).all()
        placed = [at for at, threshold in enumerate(row.thresholds) if threshold is not None]
        assert list(network.points) == placed
