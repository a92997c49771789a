import itertools
import random

import torch
from ofa.imagenet_classification.elastic_nn.networks.ofa_resnets import OFAResNets

from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.supernets.ofa_resnet50 import BASE_DEPTHS, OFAResNet50Provider

RGB = Task(in_channels=3, num_classes=5)
WIDTHS = [0.1, 0.15]


def backbone_of(sampled):
    """Our name for what ofa's `sample_active_subnet` returns."""
    d, e, w = sampled["d"], sampled["e"], [WIDTHS[index] for index in sampled["w"]]
    choices = {"resolution": 40, "stem.depth": 3 if d[0] else 2, "stem.inner": w[0], "stem.width": w[1]}
    start = 0
    for stage, base in enumerate(BASE_DEPTHS):
        choices |= {f"stage{stage + 1}.width": w[stage + 2], f"stage{stage + 1}.depth": base + d[stage + 1]}
        for layer in range(base + d[stage + 1]):
            choices[f"stage{stage + 1}.layer{layer + 1}.expand"] = e[start + layer]
        start += base + 2
    return Backbone.of(choices)


def test_subnets_equal_what_ofa_extracts(tmp_path):
    torch.manual_seed(0)
    theirs = OFAResNets(5, depth_list=[0, 1, 2], expand_ratio_list=[0.2, 0.25, 0.35], width_mult_list=WIDTHS)
    for name, tensor in theirs.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand_like(tensor)
            tensor.add_(noise if name.endswith("running_var") else 0.05 * (noise - 0.5))
    torch.save({"state_dict": theirs.eval().state_dict()}, tmp_path / "net")
    family = OFAResNet50Provider(widths=tuple(WIDTHS), resolutions=(40,))
    supernet = family.supernet(RGB).eval()
    sentence = family.load_weights(supernet, str(tmp_path / "net"))
    assert sentence.startswith(f"{len(theirs.state_dict())} tensors taken from {tmp_path}")
    images = torch.randn(2, 3, 40, 40)
    random.seed(7)
    with torch.no_grad():
        for _ in range(5):
            backbone = backbone_of(theirs.sample_active_subnet())
            expected = theirs.get_active_subnet().eval()(images)
            assert expected.std() > 1e-4
            torch.testing.assert_close(supernet.extract(backbone)(images), expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(supernet.view(backbone)(images), expected, rtol=1e-4, atol=1e-5)
            assert family.costs(backbone, RGB) == trace(family.build(backbone, RGB), 3)


def test_shortcuts_of_all_widths_equal_those_of_the_supernet():
    """`ofa` omits the convolution if the stem and stage 1 have 16 channels; its supernet runs one."""
    torch.manual_seed(0)
    provider = OFAResNet50Provider(
        widths=(0.05, 0.2), resolutions=(32,), depths=(0,), expansions=(0.2,), stem_stride=1
    )
    supernet = provider.supernet(RGB).eval()
    with torch.no_grad():
        for name, tensor in supernet.state_dict().items():
            if name.endswith(("bn.weight", "bn.bias", "running_mean", "running_var")):
                tensor.copy_(0.5 + torch.rand_like(tensor))
    names = ["stem.width", "stage1.width", "stage2.width"]
    fixed = {v.name: v.choices[0] for v in provider.variables()}
    images = torch.randn(2, 3, 32, 32)
    for widths in itertools.product(provider.widths, repeat=len(names)):
        backbone = Backbone.of(fixed | dict(zip(names, widths, strict=True)))
        net = supernet.extract(backbone)
        with torch.no_grad():
            expected = supernet.view(backbone)(images)
            assert expected.std() > 1e-4
            torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-5)
        built = provider.build(backbone, RGB)
        assert [(n, t.shape) for n, t in built.state_dict().items()] == [
            (n, t.shape) for n, t in net.state_dict().items()
        ]
        assert provider.costs(backbone, RGB) == trace(built, 3)
