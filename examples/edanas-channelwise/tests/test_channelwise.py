"""The provider and the exits keep their contracts, agree with one plain network, and work in a search."""

import edanas
import pytest
import torch
from edanas.core.errors import ConfigError
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.supernets.baselines import VGG13
from edanas.supernets.fixed_network import FixedProvider
from edanas.testing import check_bundle, check_classifier, check_provider
from torch.nn import functional as F

from edanas_channelwise import ChannelwiseProvider, ColumnHead, LastColumn
from edanas_channelwise.cut_cnn import CutCnnProvider

TASK = Task(3, 5)
CHOICES = {"resolution": 9, "group1.width": 0.5, "group2.width": 1.0, "group3.width": 0.5}
WIDTHS = [(2, 3), (4, 6), (2, 3)]
"""Numbers of channels of each group in the two layers: half or all of 4 and of 6 channels."""


def provider():
    return ChannelwiseProvider(channels=(4, 6), groups=3, widths=(0.5, 1.0), resolutions=(9,))


def test_the_provider_conforms():
    check_provider(ChannelwiseProvider(channels=(4, 6), groups=3, resolutions=(8, 9)), backbones=0)


def test_the_exits_conform():
    check_classifier(LastColumn())


def test_the_bundle_conforms():
    check_bundle("channelwise", Registry(load_plugins()))


def block_weight(stages, layer, inputs):
    """Return the weight (all, all, 3, 3) of one convolution for all groups, zero for channels of later groups."""
    rows = []
    for stage in stages:
        weight = stage.layers[layer][0].weight
        rows.append(F.pad(weight, (0, 0, 0, 0, 0, inputs - weight.shape[1])))
    return torch.cat(rows)


def test_all_groups_together_are_one_plain_network_that_never_reads_a_later_group():
    torch.manual_seed(0)
    net = provider().build(Backbone.of(CHOICES), TASK).eval()
    images = torch.randn(2, 3, 9, 9)
    features, columns = images, []
    with torch.no_grad():
        for stage in net.stages:
            features = stage(features)
            columns.append(features[:, :, -1, 0])
        plain = F.conv2d(images, block_weight(net.stages, 0, 3), padding=1) / (1 + 1e-5) ** 0.5
        plain = (
            F.conv2d(plain.relu(), block_weight(net.stages, 1, 8), padding=1, stride=2) / (1 + 1e-5) ** 0.5
        )
        pooled = plain.relu().mean((2, 3))
    for column, channels in zip(columns, (3, 9, 12), strict=True):
        torch.testing.assert_close(column, pooled[:, :channels])
    torch.testing.assert_close(net(images), net.head.linear(pooled))


def test_a_group_costs_its_own_channels_alone():
    stages, last = trace(provider().build(Backbone.of(CHOICES), TASK), 3)
    read = (2, 6, 8)  # channels of the first layer in this and earlier groups
    expected = [
        9 * 3 * first * 81 + 9 * before * second * 25
        for (first, second), before in zip(WIDTHS, read, strict=True)
    ]
    assert [stage.macs for stage in stages] == expected
    assert last.macs == 12 * 5


@pytest.mark.parametrize(
    ("option", "value"), [("channels", ()), ("groups", 1), ("widths", (0.5, 1.5)), ("resolutions", (4,))]
)
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=rf"supernet\.{option}: found"):
        ChannelwiseProvider(**{option: value})


def test_exits_that_would_average_over_everything_are_refused(tmp_path):
    other = {"supernet": "channelwise", "classifier": "pool-linear"}
    with pytest.raises(ConfigError, match="pass on columns; allowed: last-column"):
        edanas.search(settings=other, out=tmp_path / "run")


SETTINGS = {
    "device": "cpu",
    "threads": 1,
    "surrogates": ["rbf"],
    "thresholds": [0.1, 0.4, "none"],
    "recalibration": 32,
    "supernet": {"name": "channelwise", "channels": [4, 8], "resolutions": [8]},
    "strategy": "random",
    "search": {"initial": 4, "iterations": 1, "per_iteration": 1, "results": 1},
    "training": {"epochs": 1, "batch_size": 256},
    "finetune": {"epochs": 0},
    "baseline": {"epochs": 0},
}


def test_a_search_finds_exits_between_groups(tmp_path):
    result = edanas.search(plugin="channelwise", settings=SETTINGS, out=tmp_path / "run")
    network = edanas.load(result.folder / result.best()["model"])
    # A network that is cut after a group ends with the exit classifier there.
    assert all(isinstance(head, ColumnHead) for head in (*network.heads.values(), network.backbone.head))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8, generator=generator)
    alone = torch.cat([network(image[None]).label for image in images])
    assert torch.equal(network(images).label, alone)


def residual_net(in_channels, num_classes):
    from torchvision.models.resnet import BasicBlock

    shortcut = torch.nn.Sequential(torch.nn.Conv2d(8, 12, 1, 2, bias=False), torch.nn.BatchNorm2d(12))
    stem = torch.nn.Sequential(torch.nn.Conv2d(in_channels, 8, 3, padding=1), torch.nn.ReLU())
    depthwise = torch.nn.Sequential(torch.nn.Conv2d(12, 12, 3, padding=1, groups=12), torch.nn.Hardswish())
    head = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(12, num_classes)
    )
    return [stem, BasicBlock(8, 8), BasicBlock(8, 12, 2, shortcut), depthwise], head


def branching_net(in_channels, num_classes):
    class Shuffle(torch.nn.Module):
        def forward(self, features):
            return torch.cat([features, features], dim=1)

    stem = torch.nn.Sequential(torch.nn.Conv2d(in_channels, 8, 3), Shuffle())
    return [stem, torch.nn.Identity()], torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.LazyLinear(num_classes)
    )


class OwnNet(FixedProvider):
    exit_points = 3

    def __init__(self, make=residual_net):
        super().__init__((8, 10))
        self.make = make

    def parts(self, task):
        return self.make(task.in_channels, task.num_classes)


def test_the_cut_cnn_conforms():
    check_provider(CutCnnProvider(OwnNet(), groups=3, shares=(0.25, 0.5, 0.75)), backbones=0)


@pytest.mark.parametrize("make", ["residual", "vgg13"])
def test_the_groups_of_a_cnn_are_the_cnn_without_connections_to_earlier_groups(make):
    """The oracle is the given CNN itself, whose weights from later to earlier groups are set to zero."""
    of = OwnNet() if make == "residual" else VGG13(width=0.125, resolutions=(8,))
    provider = CutCnnProvider(of, groups=3)
    backbone = Backbone.of({"resolution": 8, "group1.share": 0.25, "group2.share": 0.75})
    torch.manual_seed(0)
    supernet = provider.supernet(TASK)
    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    supernet.eval()
    images = torch.randn(3, 3, 8, 8)
    networks = supernet.view(backbone), supernet.extract(backbone)
    cut = provider.cut(backbone)
    assert cut.shares == (0.25, 0.75, 1.0)
    columns = []
    for network in networks:
        features, own = images, []
        for stage in network.stages:
            features = stage(features)
            own.append(features[:, :, -1, 0])
        columns.append(own)
    for one, two in zip(*columns, strict=True):
        assert torch.allclose(one, two, atol=1e-6)
    cnn = supernet.cnn
    with torch.no_grad():
        for operation in cnn.operations:
            if not cnn.mixes(operation) or operation.inputs[0] == "image":
                continue
            weight = cnn.module(operation.module).weight
            for group in range(3):
                first, end = cut.bounds(weight.shape[0], group)
                weight[first:end, cut.bounds(weight.shape[1], group)[1] :] = 0.0
    *stages, _ = cnn.network.children()
    features = images
    for stage in stages:
        features = stage(features)
    pooled = features.mean((2, 3)) if features.ndim == 4 else features.flatten(1)
    assert torch.allclose(columns[0][-1], pooled, atol=1e-5)
    first, _, whole = columns[0]
    assert torch.equal(first, whole[:, : first.shape[1]])
    assert networks[1](images).shape == (3, 5)


def test_a_cnn_that_mixes_channels_otherwise_is_refused():
    with pytest.raises(ConfigError, match=r"the CNN has the operation 'cat' .* before its classifier"):
        CutCnnProvider(OwnNet(branching_net))
    with pytest.raises(ConfigError, match="which has many backbones"):
        CutCnnProvider(ChannelwiseProvider())
    with pytest.raises(ConfigError, match=r"supernet.groups: found 5; allowed: 2 to 4"):
        CutCnnProvider(OwnNet(), groups=5)
