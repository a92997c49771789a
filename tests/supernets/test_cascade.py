import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.space import SearchSpace
from edanas.core.tracing import count_macs, measure
from edanas.core.types import Backbone, Candidate, ExitPoint, SelectionScheme, Task
from edanas.exits.classifiers import CarriedLogits
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.supernets.cascade import CascadeProvider
from edanas.testing.toy_networks import ToyProvider

TASK = Task(in_channels=3, num_classes=5)
TOY = ToyProvider(resolutions=(8,))
SMALL = {"resolution": 8, "width": 4, "depth": 1, "layer1.kernel": 1, "layer2.kernel": 1, "layer3.kernel": 1}
LARGE = {**SMALL, "width": 8, "layer1.kernel": 3}


def cascade_of(*members):
    choices = {"resolution": 8}
    for number, member in enumerate(members, 1):
        choices |= {f"net{number}.{name}": v for name, v in member.items() if name != "resolution"}
    return Backbone.of(choices)


def macs(member):
    return count_macs(TOY.build(Backbone.of(member), TASK), (3, 8, 8))


@pytest.mark.parametrize("order", [(SMALL, LARGE), (LARGE, SMALL)])
def test_exits_return_their_networks_logits_the_smallest_first(order):
    provider = CascadeProvider(TOY)
    supernet = provider.supernet(TASK).eval()
    view = supernet.view(cascade_of(*order))
    images = torch.randn(4, 3, 8, 8)
    alone = [supernet.supernet.extract(Backbone.of(each)).eval()(images) for each in (SMALL, LARGE)]
    carried = CarriedLogits().build(ExitPoint(0, 1, 25, 8), 5)
    first = view.stages[0](images)
    torch.testing.assert_close(carried(first), alone[0])
    torch.testing.assert_close(view(images), alone[1], rtol=1e-4, atol=1e-5)
    # What it passes on depends on nothing but the image and the network's own logits.
    assert torch.equal(first[:, 0, :24].reshape(4, 3, 8, 8), images)


def test_a_sample_that_goes_on_pays_for_both_networks_and_for_no_head():
    provider = CascadeProvider(TOY)
    stages, last = provider.costs(cascade_of(LARGE, SMALL), TASK)
    assert [stage.macs for stage in stages] == [macs(SMALL), macs(LARGE)]
    head = measure(CarriedLogits().build(ExitPoint(0, *stages[0].shape), 5), stages[0].shape)
    costs = Costs.of(stages, {0: head}, last)
    scheme = SelectionScheme((0.5,))
    expected = macs(SMALL) + 0.25 * macs(LARGE)
    assert ada_macs(costs, scheme, (0.75, 0.25)) == executed_macs(costs, scheme, (0.75, 0.25)) == expected


def test_three_networks_and_more_classes_than_pixels_in_a_row():
    task = Task(in_channels=1, num_classes=19)
    provider = CascadeProvider(TOY, networks=3)
    space = SearchSpace(provider.variables(), (0.5, None), provider.exit_points)
    assert provider.exit_points == 2
    net = provider.build(space.largest(), task).eval()
    stages, _ = provider.costs(space.largest(), task)
    assert net.stages[0](torch.randn(2, 1, 8, 8)).shape[1:] == stages[0].shape == (1, 8 + 3, 8)
    assert net(torch.randn(2, 1, 8, 8)).shape == (2, 19)


def test_a_network_s_conditions_hold_within_it():
    by_name = {variable.name: variable for variable in CascadeProvider(TOY).variables()}
    assert by_name["net2.layer4.kernel"].parent == "net2.depth"
    assert [name for name in by_name if "resolution" in name] == ["resolution"]


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(2, 3))
def test_cascades_of_the_same_networks_are_one_candidate(random, networks):
    provider = CascadeProvider(TOY, networks=networks)
    inner = SearchSpace(TOY.variables(), "continuous", TOY.exit_points)
    rng = np.random.default_rng(random.randrange(2**31))
    members = [dict(inner.sample_backbone(rng).choices) for _ in range(networks)]
    forms = {provider.canonical(cascade_of(*order)) for order in itertools.permutations(members)}
    (form,) = forms
    assert provider.canonical(form) == form
    chosen = provider.members(form)
    assert len(set(chosen)) == networks
    assert {Backbone.of(each) for each in members} <= set(chosen)


def test_no_cascade_runs_a_network_twice():
    space = SearchSpace.of(CascadeProvider(TOY), (0.5, None))
    provider = CascadeProvider(TOY)
    largest, smallest = (provider.members(each) for each in (space.largest(), space.smallest()))
    inner = SearchSpace(TOY.variables(), "continuous", TOY.exit_points)
    assert largest[1] == inner.largest() and largest[0] != largest[1]
    assert smallest[0] == inner.smallest() and smallest[0] != smallest[1]
    # The first network of the largest cascade is the largest of all others that differ in one choice.
    near = [inner.backbone(row) for row in inner.neighbours(inner.counts - 1)]
    assert macs(dict(largest[0].choices)) == max(macs(dict(each.choices)) for each in near)
    genomes = list(space.genomes())
    assert len({space.decode(row).id for row in genomes}) == len(genomes) < space.size()


def test_a_cut_cascade_is_its_first_networks():
    provider = CascadeProvider(TOY)
    space = SearchSpace.of(provider, (0.5, None), cut=True)
    form = provider.canonical(Backbone((("stages", 1), *cascade_of(LARGE, SMALL).choices)))
    assert form["stages"] == 1 and provider.members(form)[0] == Backbone.of(SMALL)
    other = Backbone((("stages", 1), *cascade_of(SMALL, {**LARGE, "layer2.kernel": 3}).choices))
    assert provider.canonical(other) == form
    assert np.array_equal(*(space.encode(Candidate(b, SelectionScheme((None,)))) for b in (other, form)))


def test_a_provider_of_a_single_network_has_no_cascade():
    with pytest.raises(
        ConfigError, match=r"supernet\.of: found a provider with 1 network of each resolution"
    ):
        Registry(load_plugins()).create("supernet provider", "cascade:eecnn", {})


def test_the_text_form_names_the_provider():
    cascade = Registry(load_plugins()).create("supernet provider", "cascade:ofa-mbv3", {"networks": 3})
    assert cascade.exit_points == 2


def test_wrong_options_are_one_clear_error():
    with pytest.raises(
        ConfigError, match=r"supernet\.networks: found 1; allowed: a whole number from 2 to 8"
    ):
        CascadeProvider(TOY, networks=1)
    provider = CascadeProvider(TOY)
    with pytest.raises(WeightsError, match="is not this provider's supernet"):
        provider.load_weights(TOY.supernet(TASK), "any")
