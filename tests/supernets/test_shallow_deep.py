"""Exit points of Shallow-Deep networks against the positions in the public code of the source."""

import pytest
import torch

from edanas.core.errors import ConfigError
from edanas.core.types import Backbone, Task
from edanas.supernets.baselines import VGG13
from edanas.supernets.cascade import CascadeProvider
from edanas.supernets.shallow_deep import SHARES, ResNet56, ShallowDeepProvider, ends_at_shares
from edanas.testing.toy_networks import ToyProvider

TASK = Task(3, 10)


def test_resnet56_has_its_classifiers_after_the_blocks_of_the_public_code():
    """In the code: blocks 4 and 8 of the first nine, 3 and 7 of the next, 2 and 6 of the last."""
    provider = ShallowDeepProvider(ResNet56())
    stem = 1
    assert provider.ends == tuple(stem + block for block in (4, 8, 9 + 3, 9 + 7, 18 + 2, 18 + 6))


def test_vgg16_has_its_classifiers_after_the_convolutions_of_the_public_code():
    """In the code: after convolutions 2, 4, 6, 7, 9 and 10, on images of 32 pixels."""
    channels = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    sides = [32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2]
    macs = [
        9 * before * after * side**2
        for before, after, side in zip([3, *channels], channels, sides, strict=False)
    ]
    linear = 512 * 512 + 512 * 512 + 512 * 10
    assert ends_at_shares([*macs, linear], SHARES) == (2, 4, 6, 7, 9, 10)


def test_joined_stages_compute_the_network_and_weights_go_through():
    of = VGG13(width=0.05)
    provider = ShallowDeepProvider(of, at=(0.2, 0.6))
    backbone = Backbone((("resolution", 32),))
    whole, joined = of.supernet(TASK), provider.supernet(TASK)
    joined.load_state_dict(dict(zip(joined.state_dict(), whole.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 32, 32)
    for network in (whole, joined):
        network.eval()
    assert torch.equal(whole.view(backbone)(images), joined.view(backbone)(images))
    assert len(joined.view(backbone).stages) == provider.exit_points + 1 == 3
    apart, last = of.costs(backbone, TASK)
    together, same = provider.costs(backbone, TASK)
    assert sum(each.macs for each in apart) == sum(each.macs for each in together)
    assert last.macs == same.macs


def test_weights_of_the_network_are_loaded(tmp_path):
    of = ResNet56(width=0.25)
    provider = ShallowDeepProvider(of)
    torch.manual_seed(0)
    source = of.supernet(TASK)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    target = provider.supernet(TASK)
    provider.load_weights(target, str(tmp_path / "weights.pt"))
    pairs = zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_equal_exit_points_are_one():
    assert ends_at_shares([1, 98, 1], (0.1, 0.2, 0.9)) == (1, 2)


@pytest.mark.parametrize("at", [(), (0.5, 0.3), (0.0, 0.5), (0.5, 1.0)])
def test_shares_out_of_range(at):
    with pytest.raises(ConfigError, match=r"supernet.at: found .*; allowed: rising numbers above 0"):
        ShallowDeepProvider(ResNet56(width=0.1), at=at)


def test_a_provider_of_many_backbones_is_refused():
    with pytest.raises(ConfigError, match=r"supernet.of: found a CascadeProvider, which has many backbones"):
        ShallowDeepProvider(CascadeProvider(ToyProvider()))
