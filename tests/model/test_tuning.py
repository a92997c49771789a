"""Tuning of small networks; the choice is compared with brute force over all thresholds."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import parts, space, workbench

import edanas
from edanas.core.costs import Costs, executed_macs
from edanas.core.errors import ConfigError, DataError
from edanas.core.types import SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.guaranteed_drop import guaranteed_scheme
from edanas.model.part_latency import latency_costs
from edanas.model.profiling import collect_profile
from edanas.model.temperature import apply_temperatures
from edanas.model.trimming import trimmed_network, weight_bytes
from edanas.model.tuning import used_part
from edanas.thresholds.optimism import estimate_expectation
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.trimming import trim_on_samples


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """One division of the samples instead of five, for speed."""
    monkeypatch.setattr("edanas.thresholds.optimism._REPEATS", 1)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return workbench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def network(bench):
    """Return a network with two heads and random outcomes."""
    backbone = space().sample_backbone(np.random.default_rng(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, (0, 2))
    eenn = bench.network(staged, heads, SelectionScheme((0.5, None, 0.5, None)))
    bench.recalibrate(eenn)
    eenn.description = bench.describe(backbone)
    return eenn.eval()


SAMPLES = parts().test


def brute_force(network):
    """Return (executed MACs, accuracy) of every set of exits and every split of these samples."""
    profile, costs = collect_profile(network, SAMPLES), Anatomy.of(network, 1).costs
    columns = [[*sorted({*map(float, column), 1.0}), None] for column in profile.confidence[:, :-1].T]
    figures = []
    for first, second in itertools.product(*columns):
        scheme = SelectionScheme((first, None, second, None))
        scores = outcome(profile, scheme)
        figures.append((executed_macs(costs, scheme, scores.utilization), scores.accuracy))
    return np.array(figures)


def test_no_thresholds_are_better_within_a_budget(network):
    every = brute_force(network)
    for share in (0.1, 0.5, 0.9):
        limit = float(np.quantile(np.unique(every[:, 0]), share))
        tuning = edanas.tune(network, SAMPLES, max_macs=limit)
        assert tuning.macs.here <= limit * (1 + 1e-9)
        assert tuning.accuracy.here == pytest.approx(every[every[:, 0] <= limit, 1].max())
        least = float(np.quantile(every[:, 1], share))
        tuning = edanas.tune(network, SAMPLES, min_accuracy=least)
        assert tuning.accuracy.here >= least - 1e-9
        assert tuning.macs.here == pytest.approx(every[every[:, 1] >= least - 1e-9, 0].min())


def test_reported_figures_are_those_of_the_network(network):
    old = network.scheme
    limit = float(np.median(brute_force(network)[:, 0]))
    tuning = edanas.tune(network, SAMPLES, max_macs=limit)
    answers = tuning.network.predict(SAMPLES.images)
    assert torch.equal(answers.label, network.predict(SAMPLES.images).label)
    assert tuning.network.scheme == tuning.scheme
    assert tuning.old == old
    assert tuning.thresholds == tuning.scheme.thresholds
    assert tuning.accuracy.here == pytest.approx((answers.label == SAMPLES.labels).float().mean().item())
    shares = [(answers.exit == at).float().mean().item() for at in range(5)]
    assert [share.here for share in tuning.after.shares] == pytest.approx(shares)
    assert tuning.macs.low <= tuning.macs.new <= tuning.macs.high
    assert tuning.accuracy.low <= tuning.accuracy.new <= tuning.accuracy.high
    assert any("28 samples are few" in remark for remark in tuning.remarks)
    assert tuning.latency is None


def test_a_written_network_keeps_its_weights_and_has_the_new_thresholds(network, tmp_path):
    tuning = edanas.tune(network, SAMPLES, min_accuracy=0.01)
    described, _ = tuning.write(tmp_path / "net-tuned")
    again = edanas.load(described)
    assert again.scheme == tuning.scheme
    weights = tuning.network.state_dict()
    assert all(torch.equal(again.state_dict()[name], value) for name, value in weights.items())
    assert again.description["tuning"]["samples"] == 28
    expected = tuning.network.predict(SAMPLES.images)
    for one, other in zip(again.predict(SAMPLES.images), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("labels", [True, False])
def test_exits_and_stages_that_no_sample_uses_are_removed(network, labels, tmp_path):
    whole = copy.deepcopy(network)
    first = float(exit_costs(costs_of(network), (0, 2))[0])
    samples = SAMPLES if labels else confidences(network)
    tune = edanas.tune if labels else edanas.retune
    tuning = tune(network, samples, max_macs=first * 1.0001)
    assert (tuning.network.backbone.ends, tuning.scheme.placed) == (1, ())
    assert network.backbone.ends == 5
    expected = network.predict(SAMPLES.images)
    _, weights = tuning.write(tmp_path / "cut")
    again = edanas.load(weights)
    for cut in (tuning.network, again, again.freeze()):
        answers = cut.predict(SAMPLES.images)
        assert torch.equal(answers.label, expected.label)
        assert set(answers.exit.tolist()) == {4}
    assert [share.here for share in tuning.after.shares] == [0, 0, 0, 0, 1]
    assert tuning.macs.low == tuning.macs.new == tuning.macs.high == first
    assert again.description["tuning"]["shares"] == [0, 0, 0, 0, 1]
    saved = weight_bytes(network) - weight_bytes(tuning.network)
    assert saved > 0.5 * weight_bytes(network)
    remark = tuning.remarks[-1]
    assert "Removed, because no sample uses them: exit 3, stages 2, 3, 4, 5, the last exit." in remark
    assert f"{saved:,} bytes" in remark
    unchanged = tune(whole, samples, max_macs=first * 1.0001, keep_stages=True)
    assert unchanged.network is whole
    assert unchanged.network.points == (0, 2)
    if labels:
        assert torch.equal(whole.predict(SAMPLES.images).label, expected.label)
    assert not any("Removed" in remark for remark in unchanged.remarks)
    size = unchanged.write(tmp_path / "whole")[1].stat().st_size - weights.stat().st_size
    assert size == pytest.approx(saved, rel=0.1)


def test_a_cut_network_can_be_tuned_again(network):
    limit = float(exit_costs(costs_of(network), (0, 2))[1])
    once = edanas.tune(network, SAMPLES, max_macs=limit, seed=1).network
    again = edanas.tune(once, SAMPLES, min_accuracy=0.01)
    answers = again.network.predict(SAMPLES.images)
    assert again.accuracy.here == pytest.approx((answers.label == SAMPLES.labels).float().mean().item())


@pytest.mark.parametrize("calibrated", [True, False])
def test_temperatures_stay_with_their_exits(network, calibrated, tmp_path):
    if calibrated:
        apply_temperatures(network, (0.5, 2.0, 4.0))
    for middle in (1.0, 0.0):
        network.scheme = (0.01, None, middle, None)
        smaller = trimmed_network(
            network, *trim_on_samples(collect_profile(network, SAMPLES), network.scheme)
        )
        loaded = edanas.load(SafetensorsExporter().export(smaller, tmp_path / "net")[0])
        expected, answers = network.predict(SAMPLES.images), loaded.predict(SAMPLES.images)
        assert torch.equal(answers.label, expected.label)
        assert torch.equal(answers.confidence, expected.confidence)


def test_a_latency_budget_is_met_by_the_same_arithmetic(network, monkeypatch):
    macs = costs_of(network)
    thrice = Costs(
        tuple(3 * each for each in macs.stages), tuple(h and 3 * h for h in macs.heads), 3 * macs.last
    )
    monkeypatch.setattr("edanas.model.tuning.latency_costs", lambda network, batch_size: thrice)
    limit = float(np.median(brute_force(network)[:, 0]))
    by_macs = edanas.tune(network, SAMPLES, max_macs=limit)
    by_time = edanas.tune(network, SAMPLES, max_latency=3e-9 * limit)
    assert by_time.scheme == by_macs.scheme
    assert by_time.quantities == ("max_macs", "max_latency")
    assert by_time.macs == by_macs.macs
    assert by_time.latency.here == pytest.approx(3e-9 * by_macs.macs.here)
    assert by_time.front.cost == pytest.approx(3e-9 * by_macs.front.cost)


def test_every_separable_part_has_a_latency(network):
    old = network.scheme
    costs = latency_costs(network, batch_size=2)
    assert [head is not None for head in costs.heads] == [True, False, True, False]
    assert [stage > 0 for stage in costs.stages] == [True, False, True, False, True]
    assert costs.last > 0
    assert network.scheme == old


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_macs": 1}, r"possible on these samples: .* MACs \(.*accuracy\) to"),
        ({"min_accuracy": 1.0}, r"found 100\.00% accuracy; possible on these samples: at most"),
        ({"max_latency": "1us"}, "max_latency: found 0.001 ms; possible on these samples"),
        ({"max_latency": "1ms", "batch_size": 0}, "batch_size: found 0"),
        (
            {"max_drop": "1%"},
            r"max_drop: found 1% with 95% confidence; possible .* needs at least 616 samples",
        ),
        ({"max_drop": 2}, "max_drop: found '2'; allowed: more than 0 and less than 1, .* Did you mean '2%'"),
        ({"max_drop": "1%", "confidence": "sure"}, "confidence: found 'sure'"),
        ({"max_macs": "1M", "confidence": "95%"}, "confidence: found '95%' with max_macs"),
    ],
)
def test_the_error_of_an_impossible_budget_names_the_possible_range(network, options, message):
    old = network.scheme
    with pytest.raises(ConfigError, match=message):
        edanas.tune(network, SAMPLES, **options)
    assert network.scheme == old


def test_an_accuracy_drop_is_guaranteed_for_the_network_without_unused_exits(network):
    tuning = edanas.tune(copy.deepcopy(network), SAMPLES, max_drop=0.3, confidence="80%")
    profile = collect_profile(network, SAMPLES)
    assert tuning.required == pytest.approx(profile.correct[:, -1].mean() - 0.3)
    assert "With 80% confidence, the drop on new samples of the same kind is at most" in tuning.remarks[0]
    # The decisions on other images are those of the tested scheme, which the smaller network must keep.
    network.scheme = guaranteed_scheme(
        profile, 4, tuning.budget, lambda scheme, part: used_part(network, scheme, part)
    )[0]
    before, after = network(parts().train.images), tuning.network(parts().train.images)
    assert torch.equal(before.label, after.label)
    assert torch.equal(before.confidence, after.confidence)


def test_a_network_without_exits_has_no_accuracy_drop(network):
    single = trimmed_network(network, SelectionScheme((None,) * 4), 4)
    with pytest.raises(ConfigError, match="max_drop: the network has no early exits"):
        edanas.tune(single, SAMPLES, max_drop=0.1)


@pytest.mark.parametrize("budget", [{"max_macs": "100G"}, {"max_latency": "1000s"}])
def test_a_budget_above_the_largest_cost_is_kept_and_reported_once(network, budget):
    labelled, unlabelled = copy.deepcopy(network), copy.deepcopy(network)
    tuning = edanas.tune(labelled, SAMPLES, **budget)
    assert tuning.accuracy.here == pytest.approx(brute_force(network)[:, 1].max())
    other = edanas.retune(unlabelled, confidences(network), **budget)
    assert other.after.shares[-1].here == 1
    for each in (tuning, other):
        assert sum("holds with all thresholds: a sample costs at most" in text for text in each.remarks) == 1


def test_a_near_miss_of_the_unit(network):
    dearest = brute_force(network)[:, 0].max() / 1e3
    with pytest.raises(ConfigError, match=f"Did you mean '{int(dearest)}k'"):
        edanas.tune(network, SAMPLES, max_macs=int(dearest))


def test_too_few_samples(network):
    with pytest.raises(DataError, match="samples: found 9; allowed: 10 or more"):
        edanas.tune(network, SAMPLES.subset(np.arange(9)), min_accuracy=0.01)


def confidences(network, count=400, seed=0):
    rng = np.random.default_rng(seed)
    return rng.beta(2, 3, (count, len(network.points) + 1)).astype(np.float32)


def possible(network, share):
    """Return MACs at a share of the range from the first exit to the last, and the ends of the range."""
    costs = Anatomy.of(network, 1).costs
    ends = [
        executed_macs(costs, SelectionScheme((0.5, None, 0.5, None)), used)
        for used in ([1, 0, 0, 0, 0], [0, 0, 0, 0, 1])
    ]
    return ends[0] + share * (ends[1] - ends[0]), ends


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_without_labels_a_budget_is_held(network, share):
    values = confidences(network)
    limit, (low, high) = possible(network, share)
    tuning = edanas.retune(network, values, max_macs=limit)
    assert limit - (high - low) / len(values) <= tuning.macs.here <= limit
    assert tuning.scheme.placed == (0, 2)
    assert np.isnan(tuning.accuracy.new)
    assert tuning.front is None
    assert any("they have no labels" in remark for remark in tuning.remarks)
    fresh = estimate_expectation(
        replace_profile(network, confidences(network, 20_000, seed=1)), tuning.scheme, [costs_of(network)]
    )
    assert tuning.macs.low <= fresh.costs[0].here <= tuning.macs.high


def costs_of(network):
    return Anatomy.of(network, 1).costs


def replace_profile(network, values):
    profile = collect_profile(network, SAMPLES)
    return replace(profile, confidence=values, correct=np.zeros(values.shape, dtype=np.bool_))


def test_the_source_of_relative_strictness(network):
    values, limit = confidences(network), possible(network, 0.5)[0]
    own = edanas.retune(network, values, max_macs=limit)
    assert any("the old thresholds on these samples" in remark for remark in own.remarks)
    by_shares = edanas.retune(network, values, max_macs=limit, shares=[0.1, 0, 0.8, 0, 0.1])
    other = edanas.retune(network, values, max_macs=limit, shares=[0.6, 0, 0.1, 0, 0.3])
    assert by_shares.after.shares[0].here < other.after.shares[0].here
    network.description["tuning"] = {"samples": 100, "shares": [0.1, 0, 0.8, 0, 0.1]}
    by_notes = edanas.retune(network, values, max_macs=limit)
    assert by_notes.after.shares[0].here == pytest.approx(by_shares.after.shares[0].here, abs=0.02)
    assert any("record of the tuning on labelled samples" in remark for remark in by_notes.remarks)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_macs": 1}, ConfigError, "possible with the placed exits: .* .all samples exit at exit 1"),
        ({}, ConfigError, "budget: found none"),
        ({"shares": [0.5, 0.5]}, ConfigError, r"shares: found \[0.5, 0.5\]; allowed: 5 fractions"),
        ({"samples": np.zeros((20, 2))}, DataError, r"confidences: found shape \(20, 2\); allowed: \(S, 3\)"),
        ({"samples": np.full((20, 3), np.nan)}, DataError, "not finite"),
        ({"samples": np.zeros((5, 3))}, DataError, "samples: found 5; allowed: 10 or more"),
    ],
)
def test_wrong_input_without_labels(network, options, error, message):
    samples = options.pop("samples", confidences(network))
    budget = {} if not options and error is ConfigError else {"max_macs": possible(network, 0.5)[0]}
    with pytest.raises(error, match=message):
        edanas.retune(network, samples, **{**budget, **options})


def test_a_network_without_exits_cannot_be_retuned(network):
    network.scheme = (None,) * 4
    with pytest.raises(ConfigError, match="no early exits"):
        edanas.retune(network, confidences(network), max_macs="1M")
