"""Searched heads: genes, canonical genomes, weight sharing, costs, and a run that searches them."""

import itertools

import numpy as np
import pytest
import torch

from edanas.core.errors import ConfigError
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Backbone, Candidate, ExitPoint, SelectionScheme, Variable
from edanas.exits.searched import KINDS, Searched, SearchedHead
from edanas.testing import check_classifier

WIDTH = Variable("width", (1, 2))


def space(*, thresholds=(0.5, None), points=2, cut=False, layers=1):
    return SearchSpace((WIDTH, *Searched(layers).variables(points)), thresholds, points, cut=cut)


def every_canonical(searched):
    raw = itertools.product(*(range(count) for count in searched.counts))
    return {searched.canonical(np.array(genome)).tobytes() for genome in raw}


SPACES = {
    "exits may be left out": space(),
    "no exit is the first choice": space(thresholds=(None, 0.5, 0.9), points=1, layers=2),
    "networks may end early": space(cut=True),
    "thresholds are continuous": space(thresholds=CONTINUOUS),
    "every exit is placed": space(thresholds=(0.2, 0.5)),
}


@pytest.mark.parametrize("searched", SPACES.values(), ids=SPACES)
def test_genomes_and_size_agree_with_all_combinations_of_choices(searched):
    genomes = [genome.tobytes() for genome in searched.genomes()]
    assert len(genomes) == len(set(genomes)) == searched.size()
    assert set(genomes) == every_canonical(searched)


@pytest.mark.parametrize("searched", SPACES.values(), ids=SPACES)
def test_genomes_and_candidates_translate_into_each_other(searched):
    genomes = list(searched.genomes())
    candidates = [searched.decode(genome) for genome in genomes]
    assert len({candidate.id for candidate in candidates}) == len(genomes)
    for genome, candidate in zip(genomes, candidates, strict=True):
        assert np.array_equal(searched.encode(candidate), genome)
        near = searched.neighbours(genome)
        assert len(np.unique(near, axis=0)) == len(near)
        assert not (near == genome).all(axis=1).any()


def test_the_head_of_an_exit_that_is_not_placed_is_no_gene():
    searched = space()
    choices = {"width": 1, "exit1.layers": 1, "exit1.layer1.kind": 4, "exit2.layers": 0}
    placed, bare = SelectionScheme((0.5, 0.5)), SelectionScheme((None, 0.5))
    first = searched.decode(searched.encode(Candidate(Backbone.of(choices), placed)))
    assert first.backbone["exit1.layer1.kind"] == 4
    second = searched.decode(searched.encode(Candidate(Backbone.of(choices), bare)))
    assert second.backbone["exit1.layers"] == 0
    assert "exit1.layer1.kind" not in second.backbone


def test_the_last_exit_of_a_cut_network_has_genes():
    searched = space(cut=True)
    backbone = Backbone.of({"stages": 1, "width": 1, "exit1.layers": 1, "exit1.layer1.kind": 2})
    candidate = Candidate(backbone, SelectionScheme((None, None)))
    assert searched.decode(searched.encode(candidate)) == candidate


def test_a_supernet_s_space_has_every_head_in_full():
    whole = space().whole()
    assert [whole.largest()[f"exit{n}.layers"] for n in (1, 2)] == [1, 1]
    assert [whole.smallest()[f"exit{n}.layers"] for n in (1, 2)] == [0, 0]


@pytest.mark.parametrize("kinds", [(), (1,), (2, 3), (4, 1)])
def test_every_structure_is_a_head(kinds):
    check_classifier(SearchedHead(kinds, channels=4))


def test_costs_rise_with_the_order_of_the_kinds():
    from edanas.core.tracing import measure

    heads = [SearchedHead((kind,), 32).build(ExitPoint(0, 16, 8, 8), 10) for kind in KINDS]
    macs = [measure(head, (16, 8, 8)).macs for head in heads]
    assert macs == sorted(set(macs))
    # By hand: 4 x 4 outputs of 32 channels from 16 channels, then 32 x 10 for the linear layer.
    cells = 16
    assert macs[0] == cells * 16 * 32 + 320
    assert macs[1] == cells * (9 * 16 + 16 * 32) + 320
    assert macs[3] == cells * 9 * 16 * 32 + 320


def test_views_share_weights_and_equal_the_built_head():
    shared = Searched(layers=2, channels=4).shared(ExitPoint(1, 6, 4, 4), 3).eval()
    choices = Backbone.of({"exit2.layers": 2, "exit2.layer1.kind": 3, "exit2.layer2.kind": 1})
    view = shared.view(choices)
    built = Searched(2, 4).chosen(choices, 1).build(ExitPoint(1, 6, 4, 4), 3).eval()
    built.load_state_dict(view.state_dict())
    features = torch.randn(5, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(view(features), built(features))
    own = {id(parameter) for parameter in shared.parameters()}
    assert {id(parameter) for parameter in view.parameters()} <= own
    other = shared.view(Backbone.of({"exit2.layers": 1, "exit2.layer1.kind": 3}))
    assert other[0] is view[0]
    assert other[-1] is not view[-1]


@pytest.mark.parametrize(("options", "field"), [({"layers": 0}, "layers"), ({"channels": 0}, "channels")])
def test_wrong_options_are_named(options, field):
    with pytest.raises(ConfigError, match=rf"classifier\.{field}: found 0; allowed: "):
        Searched(**options)
