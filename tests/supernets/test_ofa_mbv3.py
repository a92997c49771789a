import copy
import pickle
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edanas.core.costs import count_macs, exit_points, trace
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Task
from edanas.supernets.layout import scaled
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider

TASK = Task(in_channels=1, num_classes=5)
SMALL = OFAMobileNetV3Provider(widths=(0.25, 0.5), resolutions=(16, 24), stem_stride=1, last_width=0)


def space(provider):
    return SearchSpace(provider.variables(), (0.1, None), provider.exit_points)


def lived_in(supernet, seed=0):
    """As after some training: statistics, biases and kernel transforms away from where they start."""
    generator = torch.Generator().manual_seed(seed)
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.8, 1.2, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
    for name, parameter in supernet.named_parameters():
        if name.endswith("_matrix"):
            parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return supernet.eval()


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return lived_in(SMALL.supernet(TASK))


def images(backbone, count=3, seed=0):
    side = backbone["resolution"]
    return torch.randn(count, TASK.in_channels, side, side, generator=torch.Generator().manual_seed(seed))


def backbones(provider, count, seed=0):
    rng = np.random.default_rng(seed)
    drawn = space(provider)
    return [drawn.smallest(), drawn.largest(), *(drawn.sample_backbone(rng) for _ in range(count))]


def depthwise(stage):
    """Each depthwise convolution of a plain stage: kernel, channels, and channels of the layer's input."""
    convolutions = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
    return [
        (conv.kernel_size[0], conv.in_channels, before.in_channels)
        for before, conv in pairwise(convolutions)
        if conv.groups == conv.in_channels > 1
    ]


def test_variables():
    names = [variable.name for variable in OFAMobileNetV3Provider().variables()]
    assert names[:5] == [
        "resolution",
        "width",
        "stage1.depth",
        "stage1.layer1.kernel",
        "stage1.layer1.expand",
    ]
    assert len(names) == 2 + 5 * (1 + 4 * 2)
    by_name = {variable.name: variable for variable in OFAMobileNetV3Provider().variables()}
    assert by_name["stage2.layer2.kernel"].parent is None
    assert by_name["stage2.layer3.kernel"].parent == "stage2.depth"
    assert by_name["stage2.layer3.kernel"].when == {3, 4}
    assert by_name["stage5.layer4.expand"].when == {4}
    assert by_name["stage5.layer4.expand"].choices == (3, 4, 6)


def test_choices_rise_whatever_order_they_are_given_in():
    provider = OFAMobileNetV3Provider(kernels=[7, 3], widths=[1.0, 0.5], expansions=[6, 2.5])
    by_name = {variable.name: variable.choices for variable in provider.variables()}
    assert (by_name["width"], by_name["stage1.layer1.kernel"]) == ((0.5, 1.0), (3, 7))
    assert by_name["stage1.layer1.expand"] == (2.5, 6)


@pytest.mark.parametrize("backbone", backbones(SMALL, 8), ids=lambda backbone: backbone.id)
def test_every_choice_is_where_it_belongs(backbone):
    net = SMALL.build(backbone, TASK)
    assert net.resolution == backbone["resolution"]
    for number, stage in enumerate(net.stages, 1):
        layers = depthwise(stage)[1:] if number == 1 else depthwise(stage)
        assert len(layers) == backbone[f"stage{number}.depth"]
        for layer, (kernel, inner, channels) in enumerate(layers, 1):
            choice = f"stage{number}.layer{layer}"
            assert kernel == backbone[f"{choice}.kernel"]
            assert inner == scaled(channels * backbone[f"{choice}.expand"], 1)
    stages, last = trace(net, TASK.in_channels)
    widths = [16, 24, 40, 80, 112, 160]
    assert [stage.shape[0] for stage in stages] == [scaled(w, backbone["width"]) for w in widths[1:]]
    sides = np.ceil(backbone["resolution"] / np.array([2, 4, 8, 8, 16]))
    assert [stage.shape[1] for stage in stages] == sides.tolist()
    assert sum(stage.macs for stage in stages) + last.macs == count_macs(
        net, (1, net.resolution, net.resolution)
    )
    assert sum(s.params for s in (*stages, last)) == sum(p.numel() for p in net.parameters())
    for point, channels in zip(exit_points(stages), SMALL.exit_channels(), strict=True):
        assert point.channels in channels


LAYOUTS = [
    OFAMobileNetV3Provider(widths=(0.25, 1.2), resolutions=(9, 16), depths=(1, 3), stem_stride=1),
    OFAMobileNetV3Provider(widths=(0.5,), resolutions=(17,), last_width=0, stage_strides=(1, 3, 1, 2, 4)),
    OFAMobileNetV3Provider(widths=(0.5,), resolutions=(24,), final_expand=0, expansions=(1.5, 2.4)),
    OFAMobileNetV3Provider(widths=(0.1,), resolutions=(16,), final_expand=0, last_width=0, kernels=(1, 5)),
]


@given(st.data())
@settings(max_examples=10, deadline=None)
def test_costs_are_those_of_the_built_backbone(data):
    """Segment by segment, whatever the space, and however much of the backbone was counted before."""
    provider = data.draw(st.sampled_from(LAYOUTS))
    task = Task(data.draw(st.sampled_from([1, 3])), data.draw(st.integers(2, 9)))
    drawn = space(provider)
    genome = np.array([data.draw(st.integers(0, int(count) - 1)) for count in drawn.counts])
    backbone = drawn.backbone(genome)
    expected = trace(provider.build(backbone, task), task.in_channels)
    assert provider.costs(backbone, task) == expected
    assert pickle.loads(pickle.dumps(provider)).costs(backbone, task) == expected


@pytest.mark.parametrize(("name", "value"), [("stage2.depth", 5), ("stage1.layer1.kernel", 9), ("width", 2)])
def test_costs_of_another_space_are_refused_even_if_all_layers_are_known(name, value):
    provider = OFAMobileNetV3Provider()
    largest = space(provider).largest()
    provider.costs(largest, TASK)
    with pytest.raises(CandidateError, match=name):
        provider.costs(Backbone.of({**dict(largest.choices), name: value}), TASK)


@pytest.mark.parametrize("backbone", backbones(SMALL, 6, seed=1), ids=lambda backbone: backbone.id)
def test_view_extract_and_build_agree(supernet, backbone):
    view, plain, fresh = supernet.view(backbone), supernet.extract(backbone), SMALL.build(backbone, TASK)
    logits = view(images(backbone))
    assert logits.shape == (3, TASK.num_classes)
    assert logits.abs().max() > 1e-3
    torch.testing.assert_close(plain(images(backbone)), logits, rtol=1e-5, atol=1e-6)
    shapes = {name: tensor.shape for name, tensor in plain.state_dict().items()}
    assert {name: tensor.shape for name, tensor in fresh.state_dict().items()} == shapes
    fresh.load_state_dict(plain.state_dict())
    torch.testing.assert_close(fresh.eval()(images(backbone)), logits, rtol=1e-5, atol=1e-6)


def test_grey_images_are_computed_in_channels_last(supernet):
    backbone = space(SMALL).smallest()
    for net in (supernet.view(backbone), supernet.extract(backbone), SMALL.build(backbone, TASK)):
        assert net.stages[0](images(backbone)).is_contiguous(memory_format=torch.channels_last)


def test_a_copied_view_is_free_of_the_supernet(supernet):
    backbone = space(SMALL).largest()
    copied = copy.deepcopy(supernet.view(backbone))
    assert torch.equal(copied(images(backbone)), supernet.view(backbone)(images(backbone)))
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in supernet.parameters()}
    again = pickle.loads(pickle.dumps(supernet)).view(backbone)
    assert torch.equal(again(images(backbone)), copied(images(backbone)))


def test_views_do_not_disturb_each_other(supernet):
    chosen = backbones(SMALL, 4, seed=2)
    views = [supernet.view(backbone) for backbone in chosen]
    alone = [view(images(backbone)) for view, backbone in zip(views, chosen, strict=True)]
    features = [images(backbone) for backbone in chosen]
    for stage in range(5):
        features = [view.stages[stage](x) for view, x in zip(views, features, strict=True)]
    supernet.extract(chosen[0])
    for view, x, expected in zip(views, features, alone, strict=True):
        assert torch.equal(view.head(x), expected)


def test_each_view_has_its_own_mode(supernet):
    backbone = space(SMALL).largest()
    judging, learning = supernet.view(backbone), supernet.view(backbone)
    expected = judging(images(backbone))
    before = {name: value.clone() for name, value in supernet.named_buffers()}
    learning.train()
    assert torch.equal(judging.eval()(images(backbone)), expected)
    judging.eval()
    learning.train()
    assert not torch.allclose(learning(images(backbone)), expected)
    supernet.load_state_dict({**supernet.state_dict(), **before})
    assert torch.equal(judging.eval()(images(backbone)), expected)


def test_a_new_view_is_in_the_supernet_s_mode_whatever_another_left_its_layers_in():
    net, backbone = SMALL.supernet(TASK).train(), space(SMALL).largest()
    net.view(backbone).eval()(images(backbone))
    before = {name: value.clone() for name, value in net.named_buffers()}
    net.view(backbone)(images(backbone))
    assert any(not torch.equal(value, before[name]) for name, value in net.named_buffers())
    net.eval()
    before = {name: value.clone() for name, value in net.named_buffers()}
    net.view(backbone)(images(backbone))
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())


def test_training_a_view_trains_the_supernet_and_nothing_extracted():
    torch.manual_seed(1)
    provider = OFAMobileNetV3Provider(
        widths=(0.25,), resolutions=(16,), depths=(1, 2), stem_stride=1, dropout=0.2
    )
    net = provider.supernet(TASK)
    backbone = space(provider).sample_backbone(np.random.default_rng(0))
    view, plain = net.view(backbone), net.extract(backbone).eval()
    own = {id(p) for p in net.parameters()}
    assert {id(p) for p in view.parameters()} <= own
    assert not {id(p) for p in plain.parameters()} & own
    kept, old = plain(images(backbone)), net.view(backbone).eval()(images(backbone))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(view.train()(images(backbone, 8)), torch.arange(8) % 5)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert not torch.allclose(net.view(backbone).eval()(images(backbone)), old)
    assert torch.equal(plain(images(backbone)), kept)


def test_gradients_of_a_view_equal_those_of_the_plain_net(supernet):
    backbone = backbones(SMALL, 1, seed=4)[2]
    view, plain = supernet.view(backbone), supernet.extract(backbone)
    for net in (view, plain):
        net.zero_grad()
        net(images(backbone)).square().sum().backward()
    shared = supernet.classifier.linear.linear.weight.grad
    own = plain.head.classifier.linear.weight.grad
    torch.testing.assert_close(shared[:, : own.shape[1]], own, rtol=1e-4, atol=1e-6)
    stem, own_stem = supernet.first_conv.conv.conv.weight.grad, plain.stages[0][0].conv.weight.grad
    torch.testing.assert_close(stem[: len(own_stem)], own_stem, rtol=1e-3, atol=1e-5)
    supernet.zero_grad(set_to_none=True)


def test_fresh_weights_follow_torchs_generator_and_extracting_does_not_touch_it():
    torch.manual_seed(3)
    first = SMALL.supernet(TASK)
    torch.manual_seed(3)
    again = SMALL.supernet(TASK)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    state = torch.get_rng_state()
    first.extract(space(SMALL).largest())
    first.view(space(SMALL).largest())
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(1,), (1, 3)]),
    st.sampled_from([(3,), (3, 5), (1, 5, 7)]),
    st.sampled_from([(2,), (1.5, 4)]),
    st.sampled_from([(0, 0), (0, 64), (64, 0), (64, 128)]),
    st.integers(1, 2),
    st.sampled_from([Task(1, 2), Task(3, 7)]),
    st.integers(8, 20),
)
def test_any_options_any_images_any_classes(depths, kernels, expansions, last, stem_stride, task, resolution):
    provider = OFAMobileNetV3Provider(
        widths=(0.25, 1.0),
        resolutions=(resolution,),
        depths=depths,
        kernels=kernels,
        expansions=expansions,
        stem_stride=stem_stride,
        stage_strides=(1, 2, 1, 1, 2),
        final_expand=last[0],
        last_width=last[1],
    )
    net = provider.supernet(task).eval()
    x = torch.randn(2, task.in_channels, resolution, resolution)
    for backbone in backbones(provider, 1):
        logits = net.view(backbone)(x)
        assert logits.shape == (2, task.num_classes)
        torch.testing.assert_close(net.extract(backbone)(x), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"widths": ()}, "widths"),
        ({"widths": "wide"}, "widths"),
        ({"widths": (0.0,)}, "widths"),
        ({"resolutions": (24.5,)}, "resolutions"),
        ({"resolutions": (24, 24)}, "resolutions"),
        ({"depths": (0, 2)}, "depths"),
        ({"kernels": (3, 4)}, "kernels"),
        ({"kernels": (True,)}, "kernels"),
        ({"expansions": (1,)}, "expansions"),
        ({"stem_stride": 0}, "stem_stride"),
        ({"stage_strides": (2, 2)}, "stage_strides"),
        ({"dropout": 1.0}, "dropout"),
        ({"last_width": -8}, "last_width"),
    ],
)
def test_an_option_out_of_range_is_named(options, field):
    with pytest.raises(ConfigError, match=rf"^supernet\.{field}: .*allowed"):
        OFAMobileNetV3Provider(**options)


def test_a_backbone_of_another_space_is_refused(supernet):
    largest = dict(space(SMALL).largest().choices)
    with pytest.raises(CandidateError, match=r"stage2\.layer1\.kernel = 9"):
        supernet.view(Backbone.of({**largest, "stage2.layer1.kernel": 9}))
    del largest["stage3.layer4.expand"]
    with pytest.raises(CandidateError, match=r"stage3\.layer4\.expand"):
        SMALL.build(Backbone.of(largest), TASK)


def test_channels_are_rounded_as_ofa_rounds_them():
    from ofa.utils import make_divisible

    for base in range(1, 400, 3):
        for multiplier in (0.1, 0.35, 1.0, 1.2, 3.3):
            assert scaled(base, multiplier) == make_divisible(base * multiplier, 8)


PUBLISHED = [
    (389, 224, "33 33", "53 56 33", "54 54 33", "56 54 34 34", "36 36 76 33"),
    (482, 224, "53 33 33", "54 34 54 33", "54 56 33 33", "56 76 36 54", "76 36 36 33"),
    (595, 236, "33 54 33", "54 54 36 53", "76 56 33 54", "36 56 76 34", "36 36 56 33"),
]
"""Once-for-All's specialised networks `flops@389M`, `@482M`, `@595M`, of width 1.2, from the `net.config` and
`run.config` files that its authors publish: millions of multiply-adds, resolution, and by stage each layer's
kernel and expansion."""


@pytest.mark.parametrize(
    ("millions", "resolution", "stages"), [(m, r, stages) for m, r, *stages in PUBLISHED]
)
def test_multiply_adds_of_the_published_networks(millions, resolution, stages):
    provider = OFAMobileNetV3Provider(widths=(1.2,), resolutions=(resolution,))
    choices = {"resolution": resolution, "width": 1.2}
    for number, layers in enumerate(stages, 1):
        choices[f"stage{number}.depth"] = len(layers.split())
        for layer, (kernel, expand) in enumerate(layers.split(), 1):
            choices[f"stage{number}.layer{layer}.kernel"] = int(kernel)
            choices[f"stage{number}.layer{layer}.expand"] = int(expand)
    net = provider.build(Backbone.of(choices), Task(3, 1000))
    macs = count_macs(net, (3, resolution, resolution))
    stages_cost, last = trace(net, 3)
    assert round(macs / 1e6) == millions
    assert sum(stage.macs for stage in stages_cost) + last.macs == macs


def test_ofas_undeclared_dependencies_are_not_needed():
    program = (
        "import sys\n"
        "for name in ('tqdm', 'gdown', 'requests', 'yaml', 'horovod'): sys.modules[name] = None\n"
        "from edanas.core.types import Backbone, Task\n"
        "from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider\n"
        "assert 'ofa' not in sys.modules\n"
        "provider = OFAMobileNetV3Provider(resolutions=(16,), widths=(0.25,))\n"
        "largest = Backbone.of({v.name: v.choices[-1] for v in provider.variables()})\n"
        "assert len(provider.supernet(Task(1, 3)).extract(largest).stages) == 5\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
