import pickle
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_spaces import SMALL, TASK, backbones, space
from torch import nn

from edanas.core.errors import CandidateError, ConfigError
from edanas.core.tracing import count_macs, exit_points, trace
from edanas.core.types import Backbone, Task
from edanas.supernets.mobile_space import scaled
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider


def depthwise(stage):
    """Each depthwise convolution of a plain stage: kernel, channels, and channels of the layer's input."""
    convolutions = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
    return [
        (conv.kernel_size[0], conv.in_channels, before.in_channels)
        for before, conv in pairwise(convolutions)
        if conv.groups == conv.in_channels > 1
    ]


def reached_kernel(resolution, stage, layer, kernel):
    """The number of a kernel's weights that reach the features, counted by a convolution of ones."""
    stride = [2, 2, 2, 1, 2][stage - 1] if layer == 1 else 1
    side = int(np.ceil(resolution / np.prod([1, 2, 2, 2, 1, 2][: stage if layer == 1 else stage + 1])))
    weight = torch.ones(1, 1, kernel, kernel, requires_grad=True)
    out = torch.conv2d(torch.ones(1, 1, side, side), weight, None, stride, kernel // 2)
    (gradient,) = torch.autograd.grad(out.sum(), weight)
    return int(gradient[0, 0].any(0).sum())


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
def test_every_choice_is_in_the_right_layer(backbone):
    net = SMALL.build(backbone, TASK)
    assert net.resolution == backbone["resolution"]
    for number, stage in enumerate(net.stages, 1):
        layers = depthwise(stage)[1:] if number == 1 else depthwise(stage)
        assert len(layers) == backbone[f"stage{number}.depth"]
        for layer, (kernel, inner, channels) in enumerate(layers, 1):
            choice = f"stage{number}.layer{layer}"
            assert kernel == reached_kernel(net.resolution, number, layer, backbone[f"{choice}.kernel"])
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
@settings(max_examples=10)
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


def test_a_backbone_of_another_space_is_refused():
    largest = dict(space(SMALL).largest().choices)
    with pytest.raises(CandidateError, match=r"stage2\.layer1\.kernel: found 9"):
        SMALL.supernet(TASK).view(Backbone.of({**largest, "stage2.layer1.kernel": 9}))
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
