import numpy as np
import pytest
from generalization_gap import threshold_gap

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome

COSTS = Costs(stages=(100, 150), heads=(7,), last=20)


def profile(rows):
    """From (confidence of the exit, is the exit right, is the last exit right) for each sample."""
    confidence = np.array([[sure, 1.0] for sure, _, _ in rows], dtype=np.float32)
    return ExitProfile((0,), confidence, np.array([[early, last] for _, early, last in rows]))


SET_ON = profile([(0.9, True, True), (0.8, True, True), (0.3, False, True), (0.2, False, False)])
OTHERS = profile([(0.9, False, True), (0.4, True, True)])


def test_a_scheme_is_scored_on_both_profiles():
    gap = threshold_gap(SelectionScheme((0.5,)), SET_ON, OTHERS, COSTS)
    assert gap.samples == (4, 2)
    assert (gap.promised_accuracy.tolist(), gap.kept_accuracy.tolist()) == ([0.75], [0.5])
    # Half of the samples leave after 107; the others run the head in vain and everything else.
    assert gap.promised_cost.tolist() == gap.kept_cost.tolist() == [(107 + 277) / 2]
    assert (gap.accuracy_lost, gap.cost_added) == (0.25, 0.0)
    # The last exit is right for 3 of 4 and for both: the others are the easier ones.
    assert (gap.backbone_accuracy, gap.overfitting) == ((0.75, 1.0), 0.5)
    assert str(gap) == (
        "1 selection scheme set on 4 samples, measured on 2 others: accuracy -25.00 points "
        "(50.00 by overfitting), cost +0.0%"
    )


@pytest.mark.parametrize(("measure", "macs"), [("executed", executed_macs), ("ada", ada_macs)])
def test_a_front_is_scored_scheme_by_scheme(measure, macs):
    front = threshold_front(SET_ON, COSTS, 1, measure=measure)
    gap = threshold_gap(front, SET_ON, OTHERS, COSTS, measure)
    assert gap.promised_accuracy.tolist() == pytest.approx(front.accuracy.tolist())
    assert gap.promised_cost.tolist() == pytest.approx(front.cost.tolist())
    there = [outcome(OTHERS, scheme) for scheme in front.schemes]
    assert gap.kept_accuracy.tolist() == [each.accuracy for each in there]
    assert gap.kept_cost.tolist() == pytest.approx(
        [macs(COSTS, scheme, each.utilization) for scheme, each in zip(front.schemes, there, strict=True)]
    )
    assert gap.cost_added == pytest.approx(np.mean(gap.kept_cost / front.cost) - 1)


def test_the_fewer_samples_thresholds_are_set_on_the_more_is_lost():
    def many(samples, seed):
        rng = np.random.default_rng(seed)
        evidence = rng.normal(size=(samples, 1)) + np.array([0.8, 1.5]) + rng.normal(size=(samples, 2))
        return ExitProfile((0,), np.tanh(np.abs(evidence)).astype(np.float32), evidence > 0)

    elsewhere, lost = many(10_000, 99), []
    for samples in (50, 600):
        gaps = []
        for seed in range(10):
            here = many(samples, seed)
            front = threshold_front(here, COSTS, 1, limit=30)
            gaps.append(threshold_gap(front, here, elsewhere, COSTS).overfitting)
        lost.append(np.mean(gaps))
    assert lost[0] > 0.005
    assert lost[0] > 2 * abs(lost[1])


def test_no_scheme_has_no_gap():
    with pytest.raises(ValueError, match="one selection scheme or more"):
        threshold_gap((), SET_ON, OTHERS, COSTS)
