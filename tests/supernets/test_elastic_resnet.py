import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from edanas.core.errors import CandidateError, ConfigError, WeightsError
from edanas.core.space import SearchSpace
from edanas.core.tracing import trace
from edanas.core.types import Backbone, SelectionScheme, Task
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.plugins.resnet_sm import QUICK
from edanas.supernets.dense_space import strides_for
from edanas.supernets.elastic_resnet import ElasticResNetProvider

GREY, RGB = Task(in_channels=1, num_classes=5), Task(in_channels=3, num_classes=10)
SIZES = {"widths": (0.25, 0.5, 1.0), "depths": (1, 3), "channels": (8, 16, 16, 24, 32)}
SMALL = ElasticResNetProvider(resolutions=(8, 12), **SIZES)
POOLED = ElasticResNetProvider(resolutions=(8, 12), downsampling="pooled", activation="gelu", **SIZES)


def space(provider):
    return SearchSpace(provider.variables(), (0.1, None), provider.exit_points)


def backbones(provider, count):
    rng, drawn = np.random.default_rng(0), space(provider)
    return [drawn.smallest(), drawn.largest(), *(drawn.sample_backbone(rng) for _ in range(count))]


def randomised(supernet):
    with torch.no_grad():
        for tensor in supernet.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.copy_(0.5 + torch.rand_like(tensor))
    return supernet.eval()


def total(provider, backbone, task):
    stages, last = provider.costs(backbone, task)
    return sum(stage.macs for stage in stages) + last.macs


def by_hand(tensors, backbone, images, strides, channels, *, pooled=False):
    """The outputs of a backbone by the definition of its blocks, from the supernet's tensors."""

    def normalised(prefix, features, outputs, stride=1, pool=1):
        weight = tensors[f"{prefix}.conv.weight"][:outputs, : features.shape[1]]
        out = F.conv2d(features, weight, stride=stride, padding=weight.shape[-1] // 2)
        out = F.max_pool2d(out, pool, ceil_mode=True)
        scale, offset, mean, variance = (
            tensors[f"{prefix}.bn.{name}"][:outputs, None, None]
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (out - mean) / (variance + 1e-5).sqrt() * scale + offset

    def block(prefix, features, outputs, stride):
        if pooled:
            out = normalised(f"{prefix}.main", features, outputs, pool=stride)
            return F.gelu(out if prefix.endswith((".0", "stem")) else out + features)
        out = normalised(f"{prefix}.main", features, outputs, stride)
        if prefix.endswith(".0"):
            smaller = F.avg_pool2d(features, stride, ceil_mode=True)
            out += normalised(f"{prefix}.shortcut.1", smaller, outputs)
        elif prefix != "stem":
            out += features
        return torch.relu(out)

    features = block("stem", images, max(4, int(channels[0] * backbone["stage1.width"] / 8 + 0.5) * 4), 1)
    outputs = []
    for stage, stride in enumerate(strides):
        count = max(4, int(channels[stage] * backbone[f"stage{stage + 1}.width"] / 4 + 0.5) * 4)
        for layer in range(backbone[f"stage{stage + 1}.depth"]):
            features = block(f"stages.{stage}.{layer}", features, count, stride if layer == 0 else 1)
        outputs.append(features)
    weight = tensors["last_exit.linear.weight"][:, : features.shape[1]]
    return outputs, features.mean((2, 3)) @ weight.T + tensors["last_exit.linear.bias"]


def test_variables_name_their_stage():
    variables = ElasticResNetProvider(resolutions=(16, 32)).variables()
    names = [f"stage{stage}.{part}" for stage in range(1, 6) for part in ("width", "depth")]
    assert [variable.name for variable in variables] == ["resolution", *names]
    assert [variable.stage for variable in variables] == [None, *(s for s in range(1, 6) for _ in range(2))]
    assert not any(variable.parent for variable in variables)


@pytest.mark.parametrize("provider", [SMALL, POOLED], ids=["strided", "pooled"])
@pytest.mark.parametrize("backbone", backbones(SMALL, 6), ids=lambda backbone: backbone.id)
def test_views_and_copies_equal_the_definition(backbone, provider):
    torch.manual_seed(0)
    supernet = randomised(provider.supernet(GREY))
    images = torch.randn(3, 1, backbone["resolution"], backbone["resolution"])
    tensors, strides = supernet.state_dict(), (2, 2, 1, 1, 1)
    features, expected = by_hand(
        tensors, backbone, images, strides, SIZES["channels"], pooled=provider is POOLED
    )
    assert expected.std() > 1e-3
    for net in (supernet.view(backbone), supernet.extract(backbone)):
        with torch.no_grad():
            torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(net.stages[0](images), features[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "form", [{}, {"stem": "whitened", "pooling": "max"}], ids=["convolution", "whitened"]
)
@pytest.mark.parametrize("downsampling", ["strided", "pooled"])
@pytest.mark.parametrize(
    ("sides", "task"), [((8,), GREY), ((16, 27), RGB), ((48,), RGB), ((130,), GREY)], ids=str
)
def test_costs_equal_those_of_the_built_network(sides, task, downsampling, form):
    provider = ElasticResNetProvider(resolutions=sides, downsampling=downsampling, **form, **SIZES)
    for backbone in backbones(provider, 3):
        assert provider.costs(backbone, task) == trace(provider.build(backbone, task), task.in_channels)


def test_sizes_reach_from_the_smallest_to_the_largest_useful():
    of_photographs = ElasticResNetProvider()
    smallest, largest = backbones(of_photographs, 0)
    stages, _ = of_photographs.costs(smallest, RGB)
    assert sum(stage.macs for stage in stages[:-1]) <= 0.5e6
    assert total(of_photographs, largest, RGB) >= 40e6


def test_derived_strides_leave_features_of_2_to_4_pixels():
    for side in range(8, 257):
        stem, stages = strides_for([side])
        last = side
        for stride in (stem, *stages):
            last = -(-last // stride)
        assert 2 <= last <= 4, side


def test_derived_strides_suit_all_sides_of_a_space():
    for smaller, larger in itertools.product((8, 12, 20), (32, 64, 1024)):
        stem, stages = strides_for([larger, smaller])
        for stride in (stem, *stages):
            smaller = -(-smaller // stride)
        assert smaller >= 2
    assert ElasticResNetProvider(resolutions=(1024,)).space.stem_stride <= 4


def test_small_images_are_halved_twice():
    assert strides_for([8]) == (1, (2, 2, 1, 1, 1))
    assert strides_for([32]) == (1, (2, 2, 1, 2, 1))


def test_the_smallest_network_for_digits_has_at_most_20_000_multiply_adds():
    options = {name: value for name, value in QUICK["supernet"].items() if name != "name"}
    provider = ElasticResNetProvider(**options)
    stages, _ = provider.costs(space(provider).smallest(), GREY)
    # A network may end after any stage.
    assert stages[0].macs + stages[1].macs <= 20_000


def test_strides_can_be_set():
    provider = ElasticResNetProvider(resolutions=(16,), stem_stride=2, stage_strides=(1, 1, 2, 1, 1), **SIZES)
    stages, _ = provider.costs(space(provider).smallest(), GREY)
    assert [stage.shape[1] for stage in stages] == [8, 8, 4, 4, 4]


def test_shortcuts_and_normalisation_leave_no_operator_after_freezing():
    torch.manual_seed(0)
    backbone = space(SMALL).largest()
    net = randomised(SMALL.supernet(GREY)).extract(backbone)
    scheme = SelectionScheme((None,) * 4)
    eenn = EENN(net, {}, scheme, ScoreMargin(), torch.zeros(1), torch.ones(1), tuple("abcde")).eval()
    images = torch.randn(4, 1, net.resolution, net.resolution)
    with torch.no_grad():
        expected = eenn.prepared_logits(images)[-1]
        frozen = eenn.freeze()
        torch.testing.assert_close(frozen.prepared_logits(images)[-1], expected, rtol=1e-4, atol=1e-4)
    kinds = {type(module).__name__ for module in frozen.modules()}
    assert "Conv2d" in kinds
    assert "BatchNorm2d" not in kinds


def test_training_a_view_trains_the_shared_slices_only():
    torch.manual_seed(0)
    supernet = SMALL.supernet(GREY)
    backbone = space(SMALL).smallest()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    images = torch.randn(8, 1, backbone["resolution"], backbone["resolution"])
    supernet.view(backbone)(images).square().sum().backward()
    gradient = supernet.stages[0][0].main.conv.weight.grad
    assert gradient[:4, :4].abs().min() > 0
    assert not gradient[4:].any()
    assert not gradient[:, 4:].any()
    mean = supernet.stages[0][0].main.bn.running_mean
    assert mean[:4].abs().min() > 0
    assert torch.equal(mean[4:], before["stages.0.0.main.bn.running_mean"][4:])


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_whitened_stem_is_shared_fixed_and_has_uncorrelated_outputs(stride):
    form = {"stem": "whitened", "stem_stride": stride, "pooling": "max"}
    provider = ElasticResNetProvider(resolutions=(12,), **form, **SIZES)
    torch.manual_seed(0)
    supernet, images = provider.supernet(RGB), torch.randn(200, 3, 12, 12).cumsum(2).cumsum(3) / 12
    supernet.initialise(images)
    side = 2 * stride
    filters = supernet.stem.main.conv.weight[:12]
    outputs = F.conv2d(images, filters).transpose(0, 1).flatten(1).detach().double()
    covariance = outputs @ outputs.T / outputs.shape[1]
    assert filters.shape[2:] == (side, side)
    torch.testing.assert_close(covariance, torch.diag(covariance.diag()), atol=1e-3, rtol=0)
    assert (covariance.diag() <= 1.001).all()
    assert covariance[0, 0] > 0.99
    for backbone in backbones(provider, 1):
        for network in (supernet.view(backbone), supernet.extract(backbone), provider.build(backbone, RGB)):
            conv = next(each for each in network.modules() if isinstance(each, torch.nn.Conv2d))
            assert not conv.weight.requires_grad
            assert sum(each.requires_grad for each in network.parameters()) > 10
        copy = supernet.extract(backbone).stages[0][0].main.conv.weight
        torch.testing.assert_close(copy, supernet.stem.main.conv.weight)
        supernet.eval()
        view, own = supernet.view(backbone), supernet.extract(backbone)
        torch.testing.assert_close(view(images), own(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (8, 8)}, "supernet.channels: found 2 numbers; allowed: 5, one for each stage"),
        ({"channels": (8, 8, 8, 8, 2)}, "supernet.channels: found 2; allowed: whole numbers from 4 to 2048"),
        ({"channels": 8}, "supernet.channels: found 8; allowed: a list of whole numbers"),
        ({"stage_strides": (2, 2, 1)}, "supernet.stage_strides: found 3 numbers; allowed: 5"),
        ({"stage_strides": (2, 2, 1, 1, 5)}, "supernet.stage_strides: found 5; allowed: whole numbers"),
        ({"stem_stride": 5}, "supernet.stem_stride: found 5; allowed: a whole number from 0 to 4"),
        ({"depths": (0, 1)}, "supernet.depths: found 0; allowed: whole numbers from 1 to 8"),
        ({"widths": (0.5, 0.5)}, r"supernet.widths: found \(0.5, 0.5\); allowed: distinct numbers"),
        ({"resolutions": (3,)}, "supernet.resolutions: found 3; allowed: whole numbers from 4 to 1024"),
        ({"dropout": 1.0}, "supernet.dropout: found 1.0; allowed: a number >= 0 and < 1"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        ElasticResNetProvider(**options)


def test_a_choice_outside_of_the_space_is_named():
    choices = dict(space(SMALL).smallest().choices)
    with pytest.raises(CandidateError, match=r"stage3.depth: found 2; allowed: \(1, 3\)"):
        SMALL.costs(Backbone.of(choices | {"stage3.depth": 2}), GREY)
    del choices["stage2.width"]
    with pytest.raises(CandidateError, match=r"stage2\.width: found nothing"):
        SMALL.build(Backbone.of(choices), GREY)


def test_weights_of_a_colour_supernet_fit_grey_images_and_other_classes(tmp_path):
    colour = SMALL.supernet(RGB)
    save_file({name: tensor.contiguous() for name, tensor in colour.state_dict().items()}, tmp_path / "net")
    grey = SMALL.supernet(GREY)
    sentence = SMALL.load_weights(grey, str(tmp_path / "net"))
    assert "the classifier has fresh weights (10 classes in the weights, 5 in the data)" in sentence
    assert "summed over red, green and blue" in sentence
    torch.testing.assert_close(grey.stem.main.conv.weight, colour.stem.main.conv.weight.sum(1, keepdim=True))
    torch.testing.assert_close(grey.stages[4][2].main.conv.weight, colour.stages[4][2].main.conv.weight)
    wider = ElasticResNetProvider(resolutions=(8,), **{**SIZES, "channels": (8, 16, 16, 24, 64)})
    with pytest.raises(WeightsError, match="other widths, depths or channels"):
        wider.load_weights(wider.supernet(RGB), str(tmp_path / "net"))
