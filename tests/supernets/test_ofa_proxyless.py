import random

import pytest
import torch
from ofa.imagenet_classification.elastic_nn.networks.ofa_proxyless import OFAProxylessNASNets

from edanas.core.errors import WeightsError
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.supernets.ofa_proxyless import OFAProxylessProvider

RGB = Task(in_channels=3, num_classes=5)


def ofa_net(width):
    """The `ofa` package's own supernet, away from where it starts in every tensor."""
    torch.manual_seed(0)
    net = OFAProxylessNASNets(
        5,
        dropout_rate=0,
        width_mult=width,
        ks_list=[3, 5, 7],
        expand_ratio_list=[3, 4, 6],
        depth_list=[2, 3, 4],
    )
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand_like(tensor)
            tensor.add_(noise if name.endswith("running_var") else 0.05 * (noise - 0.5))
    return net.eval()


def backbone_of(width, resolution, sampled):
    """Our name for what ofa's `sample_active_subnet` returns: 21 kernels and expansions, 6 depths."""
    choices = {"resolution": resolution, "width": width}
    for stage, depth in enumerate(sampled["d"]):
        choices[f"stage{stage + 1}.depth"] = depth
        for layer in range(depth):
            at = f"stage{stage + 1}.layer{layer + 1}"
            choices[f"{at}.kernel"] = sampled["ks"][4 * stage + layer]
            choices[f"{at}.expand"] = sampled["e"][4 * stage + layer]
    return Backbone.of(choices)


@pytest.mark.parametrize(("width", "draws"), [(0.25, 5), (1.3, 1)])
def test_subnets_equal_what_ofa_extracts(tmp_path, width, draws):
    theirs = ofa_net(width)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "net")
    family = OFAProxylessProvider(widths=(width,), resolutions=(40,))
    supernet = family.supernet(RGB).eval()
    sentence = family.load_weights(supernet, str(tmp_path / "net"))
    assert sentence.startswith(f"{len(theirs.state_dict())} tensors taken from {tmp_path}")
    images = torch.randn(2, 3, 40, 40)
    random.seed(7)
    with torch.no_grad():
        for _ in range(draws):
            backbone = backbone_of(width, 40, theirs.sample_active_subnet())
            expected = theirs.get_active_subnet().eval()(images)
            assert expected.std() > 1e-4
            torch.testing.assert_close(supernet.extract(backbone)(images), expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(supernet.view(backbone)(images), expected, rtol=1e-4, atol=1e-5)
            assert family.costs(backbone, RGB) == trace(family.build(backbone, RGB), 3)


def test_six_stages_the_last_of_one_block():
    by_name = {variable.name: variable for variable in OFAProxylessProvider().variables()}
    assert by_name["stage6.depth"].choices == (1,)
    assert "stage6.layer2.kernel" not in by_name
    assert by_name["stage5.layer4.kernel"].when == {4}
    assert OFAProxylessProvider().exit_channels() == ((32,), (56,), (104,), (128,), (248,))


def test_weights_of_the_other_space_are_refused(tmp_path):
    other = OFAMobileNetV3Provider(widths=(0.25,)).supernet(RGB)
    torch.save(other.state_dict(), tmp_path / "mbv3")
    provider = OFAProxylessProvider(widths=(0.25,))
    with pytest.raises(WeightsError, match=r"mbv3: tensor '.*' has shape .*; expected"):
        provider.load_weights(provider.supernet(RGB), str(tmp_path / "mbv3"))
