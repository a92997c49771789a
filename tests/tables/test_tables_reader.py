import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from toy_tables import evaluator

from edanas.core.errors import CandidateError, TableError
from edanas.core.types import Backbone, Candidate, ExitProfile, SelectionScheme
from edanas.evaluation.scoring import score
from edanas.model.profiling import collect_profile
from edanas.thresholds.profiles import outcome

POINTS = (0, 1)
EVERYWHERE = SelectionScheme((0.0, 0.0))

THRESHOLDS = st.none() | st.floats(0, 1) | st.sampled_from([0.0, 0.3, 0.6, 1.0, 0.5, float(np.float16(0.7))])
SCHEMES = st.tuples(THRESHOLDS, THRESHOLDS).map(SelectionScheme)


def rounded(profile):
    """The oracle: a network's profile, rounded to the format's precision."""
    return ExitProfile(
        profile.points, profile.confidence.astype(np.float16).astype(np.float32), profile.correct
    )


@pytest.fixture(scope="module")
def networks(whole):
    """Some backbones, with their network's profiles on both parts and its costs."""
    bench = evaluator().workbench
    expected = []
    for backbone in list(whole.backbones)[::19]:
        network = evaluator().network(Candidate(backbone, EVERYWHERE))
        profiles = {
            part: rounded(collect_profile(network, getattr(bench.parts, part)))
            for part in ("validation", "test")
        }
        expected.append((backbone, profiles, bench.anatomy_of(backbone, POINTS)))
    return expected


@given(scheme=SCHEMES, which=st.integers(0, 5), part=st.sampled_from(["validation", "test"]))
@settings(max_examples=300)
def test_metrics_of_a_candidate_equal_those_of_its_network_rounded_to_float16(
    whole, networks, scheme, which, part
):
    backbone, profiles, anatomy = networks[which]
    expected = replace(score(profiles[part], scheme, anatomy), outputs=None)
    assert whole.metrics(Candidate(backbone, scheme), part) == expected


@given(scheme=SCHEMES)
@settings(max_examples=50)
def test_a_sample_exits_at_a_threshold_equal_to_its_confidence(whole, networks, scheme):
    backbone, profiles, anatomy = networks[1]
    profile = profiles["validation"]
    exact = SelectionScheme(
        tuple(
            None if t is None else float(profile.confidence[int(t * 39), i])
            for i, t in enumerate(scheme.thresholds)
        )
    )
    expected = replace(score(profile, exact, anatomy), outputs=None)
    assert whole.metrics(Candidate(backbone, exact)) == expected


@given(scheme=SCHEMES)
@settings(max_examples=20)
def test_a_stage_costs_nothing_if_the_next_one_reads_the_image_and_no_exit_is_between(
    whole, networks, scheme
):
    backbone, profiles, anatomy = networks[1]
    stages = tuple(replace(stage, reads_image=at > 0) for at, stage in enumerate(anatomy.stages))
    expected = score(profiles["validation"], scheme, replace(anatomy, stages=stages))
    table = copy.copy(whole)
    table.description = replace(whole.description, image_stages=(1, 2))
    table._backbone_costs = {}
    assert table.metrics(Candidate(backbone, scheme)) == replace(expected, outputs=None)


@given(scheme=SCHEMES, rows=st.lists(st.integers(0, 95), min_size=1, max_size=5))
@settings(max_examples=50)
def test_a_sweep_equals_the_metrics_of_each_backbone(whole, scheme, rows):
    leaving, right = whole.sweep(scheme, "validation", np.array(rows))
    for row, left, correct in zip(rows, leaving, right, strict=True):
        single = whole.outcome(row, scheme)
        assert tuple(left / 40) == single.utilization
        assert correct.sum() / 40 == single.accuracy
    everywhere = whole.sweep(scheme)
    assert everywhere[0].shape == everywhere[1].shape == (96, 3)
    assert (everywhere[0][rows] == leaving).all()


def test_a_profile_is_read_as_it_was_written(whole, networks):
    for backbone, profiles, _ in networks:
        for part, profile in profiles.items():
            stored = whole.profile(backbone, part)
            assert stored.points == POINTS
            assert (stored.confidence == profile.confidence).all()
            assert (stored.correct == profile.correct).all()
            assert outcome(stored, EVERYWHERE) == outcome(profile, EVERYWHERE)


def test_all_backbones_of_the_space_are_in_an_exhaustive_table_once(whole):
    assert whole.description.exhaustive
    assert len(set(whole.backbones)) == len(whole) == 96
    assert all(backbone in whole for backbone in whole.backbones)
    assert whole.space((0.5, None)).size() == 96 * 4


def test_a_backbone_is_found_in_any_order_of_its_choices(whole):
    backbone = whole.space().largest()
    turned = Backbone(tuple(reversed(backbone.choices)))
    scheme = SelectionScheme((0.4, None))
    assert whole.metrics(Candidate(turned, scheme)) == whole.metrics(Candidate(backbone, scheme))


def test_a_backbone_outside_the_table_is_refused_by_name(whole, half):
    backbone = whole.space().largest()
    missing = next(b for b in whole.backbones if b not in half)
    assert Candidate(missing, EVERYWHERE) not in half
    with pytest.raises(CandidateError, match=r"not in the table, which holds 48 of 96"):
        half.metrics(Candidate(missing, EVERYWHERE))
    other = Backbone((*backbone.choices[1:], ("resolution", 9)))
    assert Candidate(other, EVERYWHERE) not in whole
    with pytest.raises(CandidateError, match="resolution: found 9; allowed: 8, 12"):
        whole.metrics(Candidate(other, EVERYWHERE))
    with pytest.raises(CandidateError, match=r"'widht'.*Did you mean 'width'"):
        whole.metrics(Candidate(Backbone((("widht", 4),)), EVERYWHERE))
    short = Candidate(backbone, SelectionScheme((0.5,)))
    assert short not in whole
    with pytest.raises(
        CandidateError,
        match=r"exit2\.threshold: found a scheme with 1 exit points; the space of the table has 2",
    ):
        whole.metrics(short)
    with pytest.raises(TableError, match=r"Unknown part 'tset'\. Did you mean 'test'\?"):
        whole.metrics(Candidate(backbone, EVERYWHERE), "tset")


def test_a_pickled_table_is_opened_again(whole):
    candidate = Candidate(whole.space().largest(), SelectionScheme((0.4, 0.9)))
    assert pickle.loads(pickle.dumps(whole)).metrics(candidate) == whole.metrics(candidate)


def test_any_reader_of_safetensors_reads_it(whole):
    tensors = load_file(whole.path)
    assert {name: (str(a.dtype), a.shape) for name, a in tensors.items()} == {
        "genomes": ("int16", (96, 7)),
        **dict.fromkeys(("macs", "params", "activations"), ("int64", (96, 6))),
        "validation.confidence": ("float16", (96, 3, 40)),
        "validation.correct": ("uint8", (96, 3, 5)),
        "test.confidence": ("float16", (96, 3, 12)),
        "test.correct": ("uint8", (96, 3, 2)),
    }
    largest = tensors["macs"][-1]
    assert (
        largest[:3].sum() + largest[-1]
        == whole.metrics(Candidate(whole.space().largest(), EVERYWHERE)).backbone_macs
    )
