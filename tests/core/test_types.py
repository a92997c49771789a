import json
import pickle
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edanas.core.types import (
    Backbone,
    Candidate,
    Evaluation,
    ExitProfile,
    ImageSet,
    Metrics,
    SelectionScheme,
    Task,
)

CHOICES = {"resolution": 24, "width": 0.35, "stage1.depth": 2}
METRICS = Metrics(
    accuracy=0.9,
    utilization=(0.5, 0.0, 0.5),
    exit_accuracy=(0.8, None, 1.0),
    ada_macs=10.5,
    executed_macs=11.0,
    backbone_accuracy=0.95,
    backbone_macs=20,
    params=30,
    activations=40,
)

thresholds = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=6).map(tuple)


@given(thresholds)
def test_a_scheme_lists_its_placed_exits(values):
    scheme = SelectionScheme(values)
    assert scheme.placed == tuple(i for i, t in enumerate(values) if t is not None)
    assert scheme.exits == len(scheme.placed)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_threshold_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=r"threshold 2 is .*; allowed: 0 to 1, or none"):
        SelectionScheme((0.5, wrong))


def test_no_exit_is_not_threshold_one():
    assert SelectionScheme((1.0,)) != SelectionScheme((None,))
    assert SelectionScheme((1.0,)).exits == 1


def test_a_backbone_is_a_mapping_with_an_identity():
    backbone = Backbone.of(CHOICES)
    assert dict(zip(backbone, map(backbone.__getitem__, backbone), strict=True)) == CHOICES
    assert "width" in backbone
    assert "stage2.depth" not in backbone
    with pytest.raises(KeyError):
        backbone["stage2.depth"]
    assert backbone == Backbone.of(CHOICES)
    assert hash(backbone) == hash(Backbone.of(CHOICES))
    with pytest.raises(FrozenInstanceError):
        backbone.choices = ()


def test_ids_are_the_same_on_every_machine():
    backbone = Backbone.of(CHOICES)
    assert backbone.id == "d979984c00d8"
    assert Candidate(backbone, SelectionScheme((0.1, None))).id == "bedf4377abdc"


@given(st.permutations(list(CHOICES.items())))
def test_the_order_of_choices_does_not_change_an_id(items):
    scheme = SelectionScheme((0.1, None))
    backbone = Backbone(tuple(items))
    assert backbone.id == Backbone.of(CHOICES).id
    assert Candidate(backbone, scheme).id == Candidate(Backbone.of(CHOICES), scheme).id


@given(thresholds, thresholds)
def test_candidates_share_an_id_only_if_they_are_equal(one, other):
    first, second = (Candidate(Backbone.of(CHOICES), SelectionScheme(t)) for t in (one, other))
    assert (first.id == second.id) == (first == second)


@pytest.mark.parametrize("name", CHOICES)
def test_each_choice_counts(name):
    assert Backbone.of({**CHOICES, name: 7}).id != Backbone.of(CHOICES).id


def test_an_id_survives_json_and_pickling():
    candidate = Candidate(Backbone.of(CHOICES), SelectionScheme((0.1, None)))
    again = Backbone.of(json.loads(json.dumps(dict(candidate.backbone.choices))))
    assert again.id == candidate.backbone.id
    copy = pickle.loads(pickle.dumps(candidate))
    assert (copy, copy.id, copy.backbone["width"]) == (candidate, candidate.id, 0.35)


def test_metrics_survive_json():
    assert Metrics.from_dict(METRICS.to_dict()) == METRICS
    assert Metrics.from_dict(json.loads(json.dumps(METRICS.to_dict()))) == METRICS
    assert METRICS.to_dict() == asdict(METRICS)


def test_evaluations_of_different_durations_are_equal():
    candidate = Candidate(Backbone.of(CHOICES), SelectionScheme((None,)))
    first = Evaluation(candidate, 1, METRICS, seconds=1.0)
    assert first == Evaluation(candidate, 1, METRICS, seconds=9.0)
    assert first != Evaluation(candidate, 2, METRICS, seconds=1.0)
    assert first.ok
    assert not Evaluation(candidate, 1, None, "out of memory").ok


def profile(confidence, correct, points=(0, 2)):
    return ExitProfile(points, np.zeros(confidence, np.float32), np.zeros(correct, np.bool_))


def test_a_profile_has_a_column_for_each_point_and_the_last_exit():
    assert len(profile((5, 3), (5, 3))) == 5
    assert len(profile((5, 1), (5, 1), ())) == 5


@pytest.mark.parametrize(
    ("confidence", "correct"), [((5, 2), (5, 2)), ((5, 3), (5, 2)), ((4, 3), (5, 3)), ((5,), (5,))]
)
def test_a_profile_of_another_shape_is_refused(confidence, correct):
    with pytest.raises(ValueError, match=r"exit profile of .*; expected \(5, 3\) for exit points \(0, 2\)"):
        profile(confidence, correct)


@given(st.lists(st.integers(0, 6), max_size=10))
def test_a_subset_of_images_has_the_order_of_its_indices(indices):
    data = ImageSet(torch.arange(7)[:, None, None, None].byte(), torch.arange(7), ("a", "b"))
    subset = data.subset(np.array(indices, dtype=np.int64))
    assert subset.labels.tolist() == indices
    assert subset.images.flatten().tolist() == indices
    assert len(subset) == len(indices)
    assert subset.classes == data.classes


def test_a_subset_may_be_in_reverse():
    data = ImageSet(torch.arange(3)[:, None, None, None].byte(), torch.arange(3), ("a", "b"))
    assert data.subset(np.arange(3)[::-1]).labels.tolist() == [2, 1, 0]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_task_of_images(channels):
    data = ImageSet(torch.zeros(2, channels, 4, 4).byte(), torch.zeros(2).long(), ("a", "b", "c"))
    assert data.task == Task(channels, 3)
