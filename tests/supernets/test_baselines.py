import pytest
import torch

from edanas.core.errors import CandidateError, ConfigError
from edanas.core.types import Backbone, Task
from edanas.supernets.baselines import EECNN, VGG13, AlexNet, ResNet8, ResNet18

CIFAR = Task(in_channels=3, num_classes=10)
AT_32 = Backbone.of({"resolution": 32})

EXITS = [(EECNN, 1), (AlexNet, 5), (VGG13, 9), (ResNet18, 9), (ResNet8, 1)]
"""The numbers of exit classifiers in the paper, Section V-B."""


def conv(side, kernel, before, after):
    return side**2 * kernel**2 * before * after


def backbone_macs(network):
    stages, last = network().costs(AT_32, CIFAR)
    return sum(stage.macs for stage in stages) + last.macs


@pytest.mark.parametrize(("network", "exits"), EXITS)
def test_the_numbers_of_exits_are_the_papers(network, exits):
    stages, last = network().costs(AT_32, CIFAR)
    assert network().exit_points == len(stages) - 1 == exits
    assert last.shape == (10, 1, 1)


def test_the_standalone_cnns_costs_follow_from_its_description():
    """32 and 64 filters of 5x5, halved twice, 1,024 and 10 units; the exit follows the first halving."""
    stages, last = EECNN().costs(AT_32, CIFAR)
    assert [stage.macs for stage in stages] == [conv(32, 5, 3, 32), conv(16, 5, 32, 64)]
    assert last.macs == 8 * 8 * 64 * 1024 + 1024 * 10
    assert stages[0].shape == (32, 16, 16)


def test_multiply_adds_follow_from_the_publications_tables():
    """From the channels in the tables of Krizhevsky, Simonyan, and He, at the sides of 32-pixel images."""
    alexnet = [(16, 3, 64), (8, 64, 192), (4, 192, 384), (4, 384, 256), (4, 256, 256)]
    assert backbone_macs(AlexNet) == (
        sum(conv(side, 3, before, after) for side, before, after in alexnet) + (1024 + 4096) * 4096 + 40960
    )
    vgg, before = 5120, 3
    for side, channels in ((32, 64), (16, 128), (8, 256), (4, 512), (2, 512)):
        vgg += conv(side, 3, before, channels) + conv(side, 3, channels, channels)
        before = channels
    assert backbone_macs(VGG13) == vgg
    resnet = conv(32, 3, 3, 64) + 4 * conv(32, 3, 64, 64) + 5120
    for side, channels in ((16, 128), (8, 256), (4, 512)):
        resnet += conv(side, 3, channels // 2, channels) + 3 * conv(side, 3, channels, channels)
        resnet += conv(side, 1, channels // 2, channels)
    assert backbone_macs(ResNet18) == resnet
    tiny = conv(32, 3, 3, 16) + 2 * conv(32, 3, 16, 16) + 640
    for side, channels in ((16, 32), (8, 64)):
        tiny += conv(side, 3, channels // 2, channels) + conv(side, 3, channels, channels)
        tiny += conv(side, 1, channels // 2, channels)
    assert backbone_macs(ResNet8) == tiny == 12_501_632  # MLPerf Tiny states 12.5M


def test_resnet_has_as_many_parameters_as_the_usual_one_for_small_images():
    stages, last = ResNet18().costs(AT_32, CIFAR)
    assert sum(stage.params for stage in (*stages, last)) == 11_173_962


def test_width_scales_channels():
    assert VGG13(width=0.25).exit_channels() == tuple(
        (channels,) for channels in (16, 16, 32, 32, 64, 64, 128, 128, 128)
    )


def test_views_at_two_resolutions_share_weights_and_keep_their_own_mode():
    provider = VGG13(width=0.05, resolutions=(16, 8))
    small, large = (Backbone.of({"resolution": side}) for side in (8, 16))
    supernet = provider.supernet(CIFAR).eval()
    judging, learning = supernet.view(small), supernet.view(large).train()
    assert {id(p) for p in judging.parameters()} == {id(p) for p in supernet.parameters()}
    images = torch.rand(2, 3, 8, 8)
    expected = judging(images)
    before = {name: tensor.clone() for name, tensor in supernet.named_buffers()}
    assert torch.equal(judging(images), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.named_buffers())
    learning(torch.rand(2, 3, 16, 16))
    assert any(not torch.equal(tensor, before[name]) for name, tensor in supernet.named_buffers())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EECNN(resolutions=()), r"supernet\.resolutions: found \(\); allowed"),
        (lambda: AlexNet(width=0), r"supernet\.width: found 0; allowed"),
    ],
)
def test_options_out_of_range_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("choices", [{}, {"resolution": 64}, {"resolution": 32, "width": 1}])
def test_a_backbone_of_another_space_is_refused(choices):
    with pytest.raises(CandidateError, match=r"allowed: resolution, one of \(32,\)"):
        EECNN().costs(Backbone.of(choices), CIFAR)


def test_an_early_view_reads_means_and_cells():
    _, head = ResNet8(width=0.25, early_view=True).parts(CIFAR)
    features = torch.rand(2, 16, 8, 8)
    cells = head.view(features).relu()
    assert cells.shape == (2, 8, 4, 4)
    expected = head.of_mean(features.mean((2, 3))) + head.of_cells(cells.flatten(1))
    assert torch.allclose(head(features), expected, atol=1e-5)
    assert head(features[..., :3, :3]).shape == (2, 10)
