"""EENet: its losses against the formulas of the paper in NumPy, its shares, and the budget on a network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.errors import CandidateError, ConfigError
from edanas.exits.eenet import EENet, budget_loss, divergence_loss, score_loss
from edanas.testing.setters import toy_calibration
from edanas.thresholds.exit_shares import ExitShares, affordable_shares
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import exit_costs

COSTS = (100.0, 250.0, 400.0)
POINTS = (0, 2, 3)


def exits(count: int, seed: int, classes: int = 4):
    """Return logits of three exits, of rising accuracy, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    logits = [torch.randn(count, classes, generator=generator) for _ in POINTS]
    for each, margin in zip(logits, (1.0, 2.0, 4.0), strict=True):
        each[torch.arange(count), labels] += margin * torch.rand(count, generator=generator)
    return logits, labels


def test_the_loss_is_that_of_the_paper():
    """Each term with loops over samples and exits, from the equations of Section 3."""
    rng = np.random.default_rng(0)
    q, correct = rng.uniform(0.05, 0.95, (6, 3)), rng.integers(0, 2, (6, 3)).astype(float)
    r = rng.dirichlet(np.ones(3), 6)
    first = divergence = cost = 0.0
    for k in range(3):
        for n in range(6):
            weight = r[n, k] / r[:, k].sum()
            entropy = -(correct[n, k] * np.log(q[n, k]) + (1 - correct[n, k]) * np.log(1 - q[n, k]))
            first += weight * entropy / 3
            target = q[n, k] ** 2 / (q[n] ** 2).sum()
            divergence += target * np.log(target / r[n, k]) / 18
            cost += r[n, k] * COSTS[k] / 6
    scores, assignment, labels = map(torch.tensor, (q, r, correct))
    assert score_loss(scores, labels, assignment).item() == pytest.approx(first)
    assert divergence_loss(scores, assignment, beta=2.0).item() == pytest.approx(divergence)
    prices = torch.tensor(COSTS, dtype=torch.float64)
    assert budget_loss(assignment, prices, 200.0).item() == pytest.approx(abs(cost - 200) / 200)


@pytest.mark.parametrize("budget", [150.0, 250.0, 350.0])
def test_shares_meet_the_budget_and_scores_separate(budget):
    logits, labels = exits(200, seed=1)
    criterion = EENet(steps=150, rate=0.02).build(4, 3)
    shares = criterion.assign(logits, labels, POINTS, COSTS, budget)
    assert sum(shares) == pytest.approx(1.0)
    assert np.dot(shares, COSTS) == pytest.approx(budget, rel=0.05)
    with torch.no_grad():
        fitted = criterion.after(logits[:2], POINTS[:2])
    correct = logits[1].argmax(dim=1) == labels
    assert fitted[correct].mean() > fitted[~correct].mean() + 0.05


def test_equal_samples_give_equal_scores_and_other_exits_keep_their_weights():
    logits, labels = exits(60, seed=2)
    first, again = EENet(steps=30).build(4, 3), EENet(steps=30).build(4, 3)
    untouched = first.weights[1].clone()
    for criterion in (first, again):
        criterion.assign(logits, labels, POINTS, COSTS, 250.0)
    assert torch.equal(first.weights, again.weights)
    assert torch.equal(first.weights[1], untouched)
    assert not torch.equal(first.weights[2], untouched)


def test_without_a_budget_all_samples_weigh_the_same():
    """The scores of one exit are then those of a cross-entropy, whose gradient vanishes."""
    logits, labels = exits(100, seed=3, classes=2)
    criterion = EENet(steps=400, decay=0.0).build(2, 0)
    criterion.fit(logits[:1], labels, (0,))
    weights = criterion.weights.detach().double().requires_grad_()
    probability = logits[0].double().softmax(dim=1)
    entropy = 1 + (probability * probability.log()).sum(dim=1) / np.log(2)
    features = torch.stack([*probability.T, probability.amax(dim=1), entropy, torch.ones(100)], dim=1)
    score = (features.double() @ weights[0]).clamp(1e-6, 1 - 1e-6)
    right = (logits[0].argmax(dim=1) == labels).double()
    torch.nn.functional.binary_cross_entropy(score, right).backward()
    assert weights.grad.abs().max() < 0.02


@settings(max_examples=50)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=5).filter(sum),
    st.floats(1.0, 100.0),
    st.floats(0.0, 1.0),
)
def test_affordable_shares_are_the_nearest_within_the_budget(weights, step, part):
    shares = np.array(weights) / sum(weights)
    costs = 50.0 + step * np.arange(len(shares))
    budget = costs[0] + part * (costs[-1] - costs[0])
    tilted = affordable_shares(shares, costs, budget)
    assert tilted.sum() == pytest.approx(1.0)
    assert tilted @ costs <= budget * (1 + 1e-9)
    if shares @ costs <= budget:
        assert tilted == pytest.approx(shares, abs=1e-9)
    else:
        assert tilted @ costs == pytest.approx(budget, rel=1e-6)


def test_each_exit_gets_its_share_of_the_samples_with_the_highest_scores():
    calibration = toy_calibration((0.5, None, 0.5, None), 60)
    shares = (0.25, 0.25, 0.5)
    calibration = replace(calibration, assigned=lambda _, profile=calibration.profile: (profile, shares))
    scheme = ExitShares(1000).choose(calibration).scheme
    used = outcome(calibration.profile, scheme).utilization
    assert [used[0], used[2], used[4]] == pytest.approx(shares, abs=1 / 60)
    first = np.sort(calibration.profile.confidence[:, 0])[::-1]
    assert scheme.thresholds[0] is not None
    assert first[14] >= scheme.thresholds[0] > first[15]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EENet(divergence=-1.0), "criterion.divergence: found -1.0; allowed: a number >= 0"),
        (lambda: EENet(rate=0.0), "criterion.rate: found 0.0; allowed: a number > 0"),
        (lambda: EENet(period=0), "criterion.period: found 0; allowed: 1 or more"),
        (lambda: ExitShares(), "'eenet' without max_macs"),
    ],
)
def test_options_out_of_range(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_a_budget_above_all_costs_is_that_of_the_last_exit():
    budgets = []
    calibration = toy_calibration((0.5, None, 0.5, None), 60)

    def assigned(budget, profile=calibration.profile):
        budgets.append(budget)
        return profile, (0.25, 0.25, 0.5)

    ExitShares("1G").choose(replace(calibration, assigned=assigned))
    assert budgets == [exit_costs(calibration.costs, (0, 2))[-1]]


def test_a_budget_below_the_first_exit_is_refused():
    with pytest.raises(CandidateError, match="max_macs: found"):
        ExitShares("1").choose(toy_calibration((0.5, None, 0.5, None), 60))
