import itertools
import pickle
from dataclasses import asdict

import numpy as np
import pytest
import torch
from small_runs import CPU, parts, space, workbench

from edanas.core.contracts import Evaluator
from edanas.core.progress import Silent
from edanas.core.tracing import count_macs
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.scoring import score
from edanas.evaluation.shared import SharedEvaluation, edanas_evaluations
from edanas.model.anatomy import Anatomy
from edanas.model.profiling import collect_profile


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return workbench(tmp_path_factory.mktemp("run"), training__epochs=4)


@pytest.fixture(scope="module")
def evaluator(bench):
    evaluation = SharedEvaluation(bench)
    evaluation.prepare(Silent())
    return evaluation


def backbones(count=2):
    rng = np.random.default_rng(1)
    return [space().smallest(), space().largest(), *(space().sample_backbone(rng) for _ in range(count))]


SCHEMES = [
    SelectionScheme(thresholds)
    for thresholds in [
        (None, None, None, None),
        (0.05, None, None, None),
        (None, 0.05, None, 0.2),
        (0.2, 0.05, 0.2, 0.05),
    ]
]


def candidates():
    return [Candidate(b, s) for b, s in itertools.product(backbones(), SCHEMES)]


@pytest.fixture(scope="module")
def metrics(evaluator):
    return {c.id: evaluator.evaluate(c) for c in candidates()}


def test_the_order_of_candidates_does_not_matter(evaluator, metrics):
    shuffled = pickle.loads(pickle.dumps(evaluator))
    shuffled._profiles.clear()
    torch.rand(5)
    for at in np.random.default_rng(0).permutation(len(candidates())):
        candidate = candidates()[at]
        assert shuffled.evaluate(candidate) == metrics[candidate.id]


def test_a_new_process_measures_the_same(bench, metrics):
    """Only the checkpoint in the run folder is reused."""
    other = SharedEvaluation(pickle.loads(pickle.dumps(bench)))
    other.prepare(Silent())
    for candidate in candidates()[::3]:
        assert other.evaluate(candidate) == metrics[candidate.id]


def test_networks_differ_in_their_correct_samples(metrics):
    assert len({m.accuracy for m in metrics.values()}) > 4
    assert max(m.accuracy for m in metrics.values()) > 0.2


def one_by_one(network, data):
    """Correctness, exit and confidence of each sample, run alone through the stopping network."""
    out = [network(data.images[i]) for i in range(len(data))]
    right = [int(p.label) == int(label) for p, label in zip(out, data.labels, strict=True)]
    return right, [int(p.exit) for p in out]


@pytest.mark.parametrize("number", [1, 2, 3, 7, 15])
def test_a_scheme_is_scored_as_if_the_network_had_run(number, evaluator, metrics):
    candidate = candidates()[number]
    data, network = parts().validation, evaluator.network(candidate)
    profile = collect_profile(network, data)
    placed = [candidate.scheme.thresholds[i] for i in candidate.scheme.placed]
    gaps = np.abs(profile.confidence[:, :-1] - np.array(placed, dtype=np.float32))
    assert gaps.min() > 1e-6  # otherwise rounding, which depends on the batch size, could change exits
    right, exits = one_by_one(network, data)
    measured, count = metrics[candidate.id], len(data)
    assert measured.accuracy == sum(right) / count
    assert measured.utilization == tuple(exits.count(at) / count for at in range(5))
    for at in range(5):
        there = [r for r, e in zip(right, exits, strict=True) if e == at]
        assert measured.exit_accuracy[at] == (pytest.approx(sum(there) / len(there)) if there else None)
    side = int(candidate.backbone["resolution"])
    stages, features = [], torch.zeros(1, 1, side, side)
    heads = {}
    for index, stage in enumerate(network.backbone.stages):
        stages.append(count_macs(stage, tuple(features.shape)))
        features = stage(features)
        if index in candidate.scheme.placed:
            heads[index] = count_macs(network.heads[str(index)], tuple(features.shape))
    last = count_macs(network.backbone.head, tuple(features.shape))

    def spent(exit_, *, vain):
        until = sum(stages[: exit_ + 1]) + (last if exit_ == 4 else heads[exit_])
        return until + (sum(macs for at, macs in heads.items() if at < exit_) if vain else 0)

    assert measured.executed_macs == pytest.approx(sum(spent(e, vain=True) for e in exits) / count)
    assert measured.ada_macs == pytest.approx(sum(spent(e, vain=False) for e in exits) / count)
    assert measured.backbone_macs == sum(stages) + last
    assert measured.params == sum(p.numel() for p in network.parameters())


def test_any_scheme_is_scored_from_a_profile_kept(bench, evaluator, metrics):
    """Scored by an evaluator without training, which has no network to run."""
    idle = SharedEvaluation(bench)
    for first in range(0, len(candidates()), len(SCHEMES)):
        profile = evaluator.profile(candidates()[first])
        for candidate in candidates()[first : first + len(SCHEMES)]:
            assert idle.rescore(candidate, profile) == metrics[candidate.id]


def test_a_candidate_without_exits_is_its_backbone(metrics):
    for candidate in candidates()[:: len(SCHEMES)]:
        measured = metrics[candidate.id]
        assert measured.utilization == (0.0, 0.0, 0.0, 0.0, 1.0)
        assert measured.accuracy == measured.backbone_accuracy == measured.exit_accuracy[-1]
        assert measured.ada_macs == measured.executed_macs == measured.backbone_macs


@pytest.mark.parametrize("number", [0, 2, 7, 11])
def test_the_network_of_a_candidate_has_the_candidate_s_metrics(number, bench, evaluator, metrics):
    candidate = candidates()[number]
    network = evaluator.network(candidate)
    assert network.scheme == candidate.scheme
    assert network.points == candidate.scheme.placed
    assert not any(module.training for module in network.modules())
    profile = collect_profile(network, bench.parts.validation)
    labels = bench.parts.validation.labels.numpy()
    assert score(profile, candidate.scheme, Anatomy.of(network, 1), labels) == metrics[candidate.id]


def test_a_returned_network_shares_no_weights_with_the_supernet(evaluator, metrics):
    candidate = candidates()[7]
    network = evaluator.network(candidate)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.5)
    copy = pickle.loads(pickle.dumps(evaluator))
    copy._profiles.clear()
    assert copy.evaluate(candidate) == metrics[candidate.id]


def test_evaluating_leaves_torch_s_generator_as_it_was(evaluator, tmp_path):
    state = torch.get_rng_state()
    copy = pickle.loads(pickle.dumps(evaluator))
    copy._profiles.clear()
    copy.evaluate(candidates()[1])
    copy.network(candidates()[2])
    SharedEvaluation(workbench(tmp_path, training__epochs=0)).prepare(Silent())
    assert torch.equal(torch.get_rng_state(), state)


def test_metrics_repeat_from_the_seed_and_read_train_and_validation_only(tmp_path, metrics):
    data = parts()
    nothing = type(data.test)(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0).long(), ())
    blind = type(data)(data.train, nothing, data.validation, nothing, data.mean, data.std)
    other = SharedEvaluation(workbench(tmp_path, blind, training__epochs=4))
    other.prepare(Silent())
    candidate = candidates()[3]
    assert asdict(other.evaluate(candidate)) == asdict(metrics[candidate.id])


def test_nothing_is_evaluated_before_it_is_prepared(bench):
    with pytest.raises(RuntimeError, match="`prepare` must be called before"):
        SharedEvaluation(bench).evaluate(candidates()[0])


def test_passes_equal_a_count_by_hand(evaluator, tmp_path):
    """Three backbones, forward and backward; then the recalibration sample and the validation part."""
    data = parts()
    assert evaluator.passes() == (3 * 3 * 4 * len(data.train), 48 + len(data.validation))
    more = SharedEvaluation(workbench(tmp_path, training__epochs=4, training__random_backbones=2))
    assert more.passes() == (4 * 3 * 4 * len(data.train), 48 + len(data.validation))


def test_the_evaluation_is_registered_as_shared(bench):
    evaluation = edanas_evaluations()["shared"](bench)
    assert isinstance(evaluation, Evaluator)
    assert evaluation.workbench.device == CPU
