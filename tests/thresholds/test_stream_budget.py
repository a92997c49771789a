"""Streams with a budget: a bound for any images, the budget for steady ones, and valid thresholds."""

import functools
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.errors import CandidateError, ConfigError
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.testing.setters import COSTS, toy_calibration
from edanas.thresholds.profiles import exit_columns, outcome
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.setters import Budgeted, Dynamic
from edanas.thresholds.stream_budget import HOLD, BudgetHolder, ThresholdPath
from edanas.thresholds.threshold_paths import calibrated_path, uncalibrated_path

SCHEME = SelectionScheme((0.5, None, 0.6, 0.7))
LEAVING = exit_costs(COSTS, SCHEME.placed)
CHEAPEST, DEAREST = float(LEAVING[0]), float(LEAVING[-1])
KINDS = st.sampled_from(["uncalibrated", "calibrated"])


def confidences(samples, seed, drift=0.0):
    """Return confidences (S, 3) of the placed exits; with drift, they are lower."""
    rng = np.random.default_rng(seed)
    evidence = np.array([1.0, 1.7, 2.1]) - 1.2 * rng.normal(size=(samples, 1)) - drift
    return np.tanh(np.abs(evidence + rng.normal(size=(samples, 3)))).astype(np.float32) * (1 - 0.3 * drift)


def batched(confidence, size):
    return [confidence[at : at + size] for at in range(0, len(confidence), size)]


@functools.cache
def known_path():
    confidence = confidences(200, seed=99)
    profile = ExitProfile(
        SCHEME.placed, np.pad(confidence, ((0, 0), (0, 1))), np.ones((200, 4), dtype=np.bool_)
    )
    return calibrated_path(confidence, SCHEME, LEAVING, outcome(profile, SCHEME).utilization)


def holder_for(kind, budget, horizon=200):
    if kind == "uncalibrated":
        return BudgetHolder(
            SCHEME, uncalibrated_path(SCHEME, LEAVING), LEAVING, budget, horizon, (CHEAPEST + DEAREST) / 2
        )
    return BudgetHolder(SCHEME, known_path(), LEAVING, budget, horizon)


def stream(holder, confidence, batch):
    """Return the executed MACs of each sample, with thresholds that move after each batch."""
    spent = []
    for part in batched(confidence, batch):
        rows = np.pad(part, ((0, 0), (0, 1)))
        profile = ExitProfile(SCHEME.placed, rows, np.ones(rows.shape, dtype=np.bool_))
        columns = exit_columns(profile, holder.scheme)
        spent += LEAVING[columns].tolist()
        exits = np.array([*SCHEME.placed, 4])[columns]
        holder.note(exits.tolist())
    return np.array(spent)


@st.composite
def any_confidences(draw):
    """Draw ties, zeros, jumps, high and low confidences; never exactly 1."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    parts = draw(
        st.lists(st.sampled_from(["zero", "high", "low", "mixed", "levels"]), min_size=1, max_size=5)
    )
    makers = {
        "zero": lambda n: np.zeros((n, 3)),
        "high": lambda n: np.full((n, 3), 0.9999),
        "low": lambda n: rng.random((n, 3)) * 0.1,
        "mixed": lambda n: rng.random((n, 3)) * 0.9999,
        "levels": lambda n: rng.integers(0, 3, (n, 3)) / 4,
    }
    parts = draw(st.lists(st.sampled_from(sorted(makers)), min_size=1, max_size=5))
    return np.concatenate([makers[part](draw(st.integers(1, 150))) for part in parts]).astype(np.float32)


@settings(max_examples=60)
@given(
    any_confidences(),
    KINDS,
    st.floats(CHEAPEST, DEAREST),
    st.sampled_from([(1, 40), (5, 40), (10, 200)]),
)
def test_consecutive_images_cost_the_budget_within_the_bound(confidence, kind, budget, sizes):
    batch, horizon = sizes
    holder = holder_for(kind, budget, horizon)
    spent = stream(holder, confidence, batch)
    sums = np.array([0.0, *np.cumsum(spent - budget)])[[*range(0, len(spent), batch), len(spent)]]
    farthest = np.abs(sums[:, None] - sums).max()
    assert farthest <= 1.75 * (DEAREST - CHEAPEST) * horizon + 1e-6


@settings(max_examples=60)
@given(
    any_confidences(),
    st.sampled_from(["uncalibrated", "calibrated"]),
    st.integers(1, 300),
    st.integers(8, 300),
)
def test_thresholds_are_always_valid_and_steps_bounded(confidence, kind, batch, horizon):
    holder = holder_for(kind, 500.0, horizon)
    for part in batched(confidence, batch):
        before = holder.position
        stream(holder, part, len(part))
        assert holder.scheme.placed == SCHEME.placed
        assert all(float(np.float32(t)) == t for t in holder.scheme.thresholds if t is not None)
        largest = min(len(part) / horizon, 0.125) * (DEAREST - CHEAPEST)
        assert abs(holder.position - before) <= largest + 1e-6


def test_confidences_of_exactly_one_stay_within_the_upper_bound():
    holder = holder_for("calibrated", 800.0, 100)
    spent = stream(holder, np.ones((3000, 3), dtype=np.float32), 10)
    assert spent.mean() == CHEAPEST
    harder = stream(holder, np.zeros((2000, 3), dtype=np.float32), 10)
    assert harder.mean() <= 800 + 1.75 * (DEAREST - CHEAPEST) * 100 / 2000


@pytest.mark.parametrize("kind", ["uncalibrated", "calibrated"])
@pytest.mark.parametrize("batch", [1, 32, 256])
@pytest.mark.parametrize("budget", [250.0, 500.0, 850.0])
def test_steady_images_cost_the_budget_also_after_a_drift(kind, batch, budget):
    holder = holder_for(kind, budget, 200)
    settling = 1500 if batch < 50 else 12_000  # a batch counts for an eighth of the horizon at most
    stream(holder, confidences(settling, seed=1), batch)
    assert stream(holder, confidences(3000, seed=2), batch).mean() == pytest.approx(budget, rel=0.03)
    stream(holder, confidences(settling, seed=3, drift=0.8), batch)
    assert stream(holder, confidences(3000, seed=4, drift=0.8), batch).mean() == pytest.approx(
        budget, rel=0.03
    )


def test_the_order_within_a_batch_does_not_matter():
    exits = [0, 4, 2, 2, 3, 4, 0, 0]
    positions = set()
    for order in itertools.islice(itertools.permutations(exits), 0, 40_000, 997):
        holder = holder_for("uncalibrated", 400.0)
        holder.note(list(order))
        positions.add(holder.position)
    assert len(positions) == 1
    holder = holder_for("uncalibrated", 400.0)
    before = holder.position
    holder.note([])
    assert holder.position == before


@pytest.mark.parametrize("kind", ["uncalibrated", "calibrated"])
def test_thresholds_rise_along_a_path(kind):
    path = holder_for(kind, 500.0).path
    rows = np.array([path.at(macs) for macs in np.linspace(CHEAPEST - 400, DEAREST + 400, 300)])
    assert (np.diff(rows, axis=0) >= 0).all()
    assert (rows[0] == 0).all()
    assert (rows[-1] == 1).all()


def test_a_position_on_the_path_is_the_cost_on_calibration_samples():
    holder = holder_for("calibrated", 500.0)
    confidence = confidences(200, seed=99)
    for macs in np.linspace(CHEAPEST, DEAREST, 12):
        rows = np.pad(confidence, ((0, 0), (0, 1)))
        profile = ExitProfile(SCHEME.placed, rows, np.ones(rows.shape, dtype=np.bool_))
        at = dict(zip(SCHEME.placed, holder.path.at(float(macs)), strict=True))
        columns = exit_columns(profile, SelectionScheme(tuple(at.get(point) for point in range(4))))
        assert LEAVING[columns].mean() == pytest.approx(macs, abs=0.02 * (DEAREST - CHEAPEST))


def test_dynamic_starts_as_budget_and_describes_its_holder():
    calibration = toy_calibration(SCHEME.thresholds, 120)
    choice = Dynamic(max_macs="0.5K", horizon=300).choose(calibration)
    assert choice.scheme == Budgeted(max_macs=500).choose(calibration).scheme
    values = json.loads(json.dumps(choice.notes[HOLD]))
    holder = BudgetHolder.from_dict(choice.scheme, values)
    assert (holder.budget, holder.horizon, holder.position) == (500.0, 300, 500.0)
    assert holder.to_dict() == choice.notes[HOLD]
    other = BudgetHolder.from_dict(choice.scheme, values, 300.0)
    assert (other.budget, other.position) == (300.0, 300.0)


@pytest.mark.parametrize(
    "damage",
    [
        {"exits": [0, 1]},
        {"leaving": [1.0, 2.0]},
        {"max_macs": 1e9},
        {"horizon": 0},
        {"path": {"macs": [1.0, 2.0], "thresholds": [[0.0] * 3, [2.0] * 3]}},
        {"path": {"macs": [2.0, 1.0], "thresholds": [[0.0] * 3, [1.0] * 3]}},
        {"path": {"macs": [], "thresholds": []}},
        {"path": {}},
        {"path": None},
    ],
)
def test_damaged_notes_are_refused(damage):
    values = holder_for("calibrated", 500.0).to_dict() | damage
    with pytest.raises((LookupError, TypeError, ValueError)):
        BudgetHolder.from_dict(SCHEME, values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"exits": [0, 1]}, r"exits: found \[0, 1\]; allowed: \[0, 2, 3\]"),
        ({"path": {"macs": [], "thresholds": []}}, r"path\.macs: found shape \(0,\); allowed: a list of one"),
        (
            {"path": {"macs": [1.0], "thresholds": [0.5]}},
            r"path\.thresholds: found shape .*; allowed: \(1, 3\)",
        ),
        (
            {"path": {"macs": [1.0], "thresholds": [[0, 0, 2]]}},
            r"path\.thresholds: found 0 to 2; allowed: 0 to 1",
        ),
        (
            {"path": {"macs": [1.0, 1.0], "thresholds": [[0] * 3] * 2}},
            r"path\.macs: .*; allowed: rising numbers",
        ),
    ],
)
def test_damaged_notes_are_named(damage, message):
    values = holder_for("calibrated", 500.0).to_dict() | damage
    with pytest.raises(ValueError, match=message):
        BudgetHolder.from_dict(SCHEME, values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 5.0}, "budget: found 5 MACs; allowed: 10 to 20, the costs of exiting at the first and"),
        ({"budget": float("nan")}, "budget: found nan MACs; allowed: 10 to 20"),
        ({"horizon": 7}, "horizon: found 7; allowed: 8 samples or more"),
        (
            {"leaving": [10.0]},
            "leaving: found 1 costs; allowed: 2, one for each placed exit and the last exit",
        ),
        ({"scheme": SelectionScheme((0.5, 0.5))}, "path: found thresholds of 1 exits; allowed: 2"),
        ({"scheme": SelectionScheme((None,))}, "scheme: found no placed exit; allowed: 1 exit or more"),
    ],
)
def test_each_wrong_argument_of_a_holder_is_named(arguments, message):
    path = ThresholdPath(np.array([10.0, 20.0]), np.array([[0.0], [1.0]]))
    fitting = {"scheme": SelectionScheme((0.5,)), "path": path, "leaving": [10.0, 20.0], "budget": 15.0}
    with pytest.raises(ValueError, match=f"^{message}"):
        BudgetHolder(**fitting | arguments)


def test_an_exit_that_is_not_placed_is_refused():
    with pytest.raises(ValueError, match="exited at exit point 1; allowed: 0, 2, 3, 4"):
        holder_for("uncalibrated", 500.0).note([0, 1])


def test_thresholds_do_not_move_if_no_image_costs_more_than_the_budget():
    calibration = toy_calibration(SCHEME.thresholds, 40)
    choice = Dynamic(max_macs="5K").choose(calibration)
    assert choice == Budgeted(max_macs="5K").choose(calibration)
    assert HOLD not in choice.notes


def test_budgets_that_cannot_be_held_are_refused():
    calibration = toy_calibration(SCHEME.thresholds, 40)
    with pytest.raises(CandidateError, match=r"^max_macs: found 50 MACs; possible with the placed exits"):
        Dynamic(max_macs="50").choose(calibration)
    with pytest.raises(ConfigError, match="'dynamic' without max_macs"):
        Dynamic()
    with pytest.raises(ConfigError, match=r"final_thresholds\.max_macs: found '0'"):
        Dynamic(max_macs="0")
    with pytest.raises(ConfigError, match=r"final_thresholds\.horizon: found 7; allowed: 8 samples or more"):
        Dynamic(max_macs="5M", horizon=7)
