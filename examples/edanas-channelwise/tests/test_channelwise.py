"""The provider and the exits keep their contracts, agree with one plain network, and work in a search."""

import edanas
import pytest
import torch
from edanas.core.errors import ConfigError
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.testing import check_bundle, check_classifier, check_provider
from torch.nn import functional as F

from edanas_channelwise import ChannelwiseProvider, ColumnHead, LastColumn

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
}


def test_a_search_finds_exits_between_groups(tmp_path):
    result = edanas.search(plugin="channelwise", settings=SETTINGS, out=tmp_path / "run")
    network = edanas.load(result.folder / result.best()["model"])
    # A network that is cut after a group ends with the exit classifier there.
    assert all(isinstance(head, ColumnHead) for head in (*network.heads.values(), network.backbone.head))
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8)
    alone = torch.cat([network(image[None]).label for image in images])
    assert torch.equal(network(images).label, alone)
