import pickle

import numpy as np
import pytest
import torch
from small_runs import equal_states, parts, space, workbench

from edanas.core.errors import ConfigError, WeightsError
from edanas.core.progress import Silent
from edanas.core.types import Candidate, DataParts, ImageSet, SelectionScheme
from edanas.evaluation.finetune import FinetuneEvaluation, edanas_evaluations
from edanas.evaluation.scoring import score
from edanas.model.anatomy import Anatomy
from edanas.model.profiling import collect_profile


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    evaluation = FinetuneEvaluation(workbench(tmp_path_factory.mktemp("run"), training__epochs=2))
    evaluation.prepare(Silent())
    return evaluation


def candidate(*thresholds, seed=0):
    return Candidate(space().sample_backbone(np.random.default_rng(seed)), SelectionScheme(thresholds))


BARE = candidate(None, None, None, None)
TWO = candidate(0.05, None, 0.2, None)
OTHER = candidate(None, 0.2, None, None, seed=3)


def test_the_same_metrics_in_any_order_and_in_another_process(evaluator):
    first = [evaluator.evaluate(each) for each in (BARE, TWO, OTHER)]
    torch.rand(3)
    again = pickle.loads(pickle.dumps(evaluator))
    assert [again.evaluate(each) for each in (OTHER, TWO, BARE)] == first[::-1]


def test_weights_repeat_bit_for_bit_and_torch_s_generator_is_left_alone(evaluator):
    state = torch.get_rng_state()
    first = evaluator.network(TWO)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert equal_states(first, evaluator.network(TWO))


@pytest.mark.parametrize("candidate", [BARE, TWO, OTHER])
def test_only_placed_exits_have_heads(candidate, evaluator):
    network = evaluator.network(candidate)
    assert network.points == candidate.scheme.placed
    assert network.scheme == candidate.scheme
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("candidate", [BARE, TWO])
def test_a_candidate_is_trained_from_the_supernet_s_weights(candidate, evaluator, tmp_path):
    """Also a candidate without exits, which has the loss of the last exit alone."""
    untrained = FinetuneEvaluation(workbench(tmp_path, training__epochs=0))
    untrained.prepare(Silent())
    start, end = (
        dict(evaluation.network(candidate).named_parameters()) for evaluation in (untrained, evaluator)
    )
    extracted = dict(evaluator._supernet.extract(candidate.backbone).named_parameters())
    for name, value in extracted.items():
        assert torch.equal(start[f"backbone.{name}"], value)
    assert start.keys() == end.keys()
    assert [name for name in start if torch.equal(start[name], end[name])] == []


def test_training_raises_the_accuracy(tmp_path):
    evaluations = [FinetuneEvaluation(workbench(tmp_path, training__epochs=n)) for n in (0, 10)]
    for evaluation in evaluations:
        evaluation.prepare(Silent())
    untrained, trained = (evaluation.evaluate(BARE).accuracy for evaluation in evaluations)
    assert trained > untrained + 0.15


def test_metrics_are_those_of_the_trained_network(evaluator):
    network = evaluator.network(TWO)
    profile = collect_profile(network, parts().validation)
    assert evaluator.evaluate(TWO) == score(
        profile, TWO.scheme, Anatomy.of(network, 1), parts().validation.labels.numpy()
    )


def test_other_thresholds_on_the_same_exits_are_scored_from_the_profile(evaluator):
    """Training does not use thresholds, so that the metrics are those of a network with the other ones."""
    first = evaluator.evaluate(TWO)
    profile = evaluator.profile(TWO)
    # About half of the samples leave at the first exit, whatever its confidences are.
    scheme = SelectionScheme((float(np.median(profile.confidence[:, 0])), None, 0.05, None))
    other = Candidate(TWO.backbone, scheme)
    assert evaluator.rescore(TWO, profile) == first
    again = evaluator.rescore(other, profile)
    assert evaluator.evaluate(other) == again
    assert again.utilization != first.utilization
    assert evaluator.profile(TWO) is None  # only the latest one is kept
    assert equal_states(evaluator.network(TWO), evaluator.network(other))


def test_only_the_train_and_validation_parts_are_read(evaluator, tmp_path):
    data = parts()
    nothing = ImageSet(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0).long(), ())
    blind = DataParts(data.train, nothing, data.validation, nothing, data.mean, data.std)
    other = FinetuneEvaluation(workbench(tmp_path, blind, training__epochs=2))
    other.prepare(Silent())
    assert other.evaluate(TWO) == evaluator.evaluate(TWO)


def test_another_seed_gives_other_metrics(evaluator, tmp_path):
    other = FinetuneEvaluation(workbench(tmp_path, training__epochs=2, seed=1))
    other.prepare(Silent())
    assert not equal_states(other.network(BARE), evaluator.network(BARE))


def test_missing_weights_are_refused(tmp_path):
    evaluation = FinetuneEvaluation(workbench(tmp_path, weights=str(tmp_path / "none.pt")))
    with pytest.raises(WeightsError, match=r"none\.pt"):
        evaluation.prepare(Silent())


def test_nothing_is_evaluated_before_it_is_prepared(tmp_path):
    with pytest.raises(RuntimeError, match="`prepare` must be called before"):
        FinetuneEvaluation(workbench(tmp_path)).evaluate(BARE)


def test_passes_equal_a_count_by_hand(evaluator):
    data = parts()
    assert evaluator.passes() == (0.0, 3 * 2 * len(data.train) + 48 + len(data.validation))


def test_the_evaluation_is_registered_as_finetune():
    assert edanas_evaluations() == {"finetune": FinetuneEvaluation}


@pytest.fixture(scope="module")
def stepwise(tmp_path_factory):
    bench = workbench(tmp_path_factory.mktemp("rungs"), training__epochs=2, training__ema=0.5)
    evaluation = FinetuneEvaluation(bench, early_stopping=2, reduction=2)
    evaluation.prepare(Silent())
    return evaluation


def test_rungs_change_nothing_unless_a_training_ends_there(stepwise):
    partial = []
    assert stepwise.rungs == (1.0, 2.0)
    whole = stepwise.evaluate_in_rungs(TWO, lambda rung, metrics: bool(partial.append((rung, metrics))))
    assert whole == stepwise.evaluate(TWO)
    ((rung, first),) = partial
    assert rung == 0
    assert first != whole
    # A training that ends has the metrics, and the profile, of the network that was judged.
    assert stepwise.evaluate_in_rungs(TWO, lambda *_: True) == first
    assert stepwise.rescore(TWO, stepwise.profile(TWO)) == first


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"early_stopping": 0}, "evaluation.early_stopping: found 0; allowed: 1 or more"),
        ({"reduction": 1}, "evaluation.reduction: found 1; allowed: 2 or more"),
    ],
)
def test_rungs_out_of_range_are_refused(options, text, tmp_path):
    with pytest.raises(ConfigError, match=text):
        FinetuneEvaluation(workbench(tmp_path), **options)
