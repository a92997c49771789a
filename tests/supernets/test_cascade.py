import pytest
import torch

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.space import SearchSpace
from edanas.core.tracing import count_macs, measure
from edanas.core.types import Backbone, ExitPoint, SelectionScheme, Task
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
