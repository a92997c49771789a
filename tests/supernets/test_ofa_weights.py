import pickle
import random

import pytest
import torch
from ofa.imagenet_classification.elastic_nn.networks.ofa_mbv3 import OFAMobileNetV3
from safetensors.torch import save_file
from torch import nn

from edanas.core.errors import WeightsError
from edanas.core.types import Backbone, Task
from edanas.supernets import ofa_weights
from edanas.supernets.download import Remote
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider

RGB = Task(in_channels=3, num_classes=5)
WIDTH = 0.35


def provider(**options):
    return OFAMobileNetV3Provider(**{"widths": (WIDTH,), "resolutions": (48,), **options})


def ofa_net(width, classes=5, **options):
    """The `ofa` package's own supernet, away from where it starts in every tensor."""
    torch.manual_seed(0)
    elastic = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
    net = OFAMobileNetV3(classes, dropout_rate=0, width_mult=width, **{**elastic, **options})
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.normal_(0, 0.1)
    for name, parameter in net.named_parameters():
        if name.endswith("_matrix"):
            parameter.data.add_(torch.randn_like(parameter) * 0.02)
    return net.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file as the zoo's: a small width, 5 classes."""
    path = tmp_path_factory.mktemp("zoo") / "net.pth"
    torch.save({"state_dict": ofa_net(WIDTH).state_dict()}, path)
    return path


def backbone_of(width, resolution, sampled):
    """Our name for what ofa's `sample_active_subnet` returns: 20 kernels and expansions, 5 depths."""
    choices = {"resolution": resolution, "width": width}
    for stage in range(5):
        choices[f"stage{stage + 1}.depth"] = sampled["d"][stage]
        for layer in range(sampled["d"][stage]):
            at = f"stage{stage + 1}.layer{layer + 1}"
            choices[f"{at}.kernel"] = sampled["ks"][4 * stage + layer]
            choices[f"{at}.expand"] = sampled["e"][4 * stage + layer]
    return Backbone.of(choices)


@pytest.mark.parametrize(("width", "draws"), [(WIDTH, 6), (1.0, 2), (1.2, 1)])
def test_subnets_equal_what_ofa_extracts(tmp_path, width, draws):
    theirs = ofa_net(width)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "net")
    family = provider(widths=(width,))
    supernet = family.supernet(RGB).eval()
    sentence = family.load_weights(supernet, str(tmp_path / "net"))
    assert sentence.startswith(f"{len(theirs.state_dict())} tensors taken from {tmp_path}")
    images = torch.randn(2, 3, 48, 48)
    random.seed(7)
    with torch.no_grad():
        for _ in range(draws):
            backbone = backbone_of(width, 48, theirs.sample_active_subnet())
            expected = theirs.get_active_subnet().eval()(images)
            assert expected.std() > 1e-3
            torch.testing.assert_close(theirs(images), expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(supernet.extract(backbone)(images), expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(supernet.view(backbone)(images), expected, rtol=1e-4, atol=1e-5)


def test_names_of_older_files(checkpoint, tmp_path):
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    older = {
        name.replace(".conv.depth_conv", ".mobile_inverted_conv.depth_conv")
        .replace(".conv.point_linear", ".mobile_inverted_conv.point_linear")
        .replace(".conv.inverted_bottleneck", ".mobile_inverted_conv.inverted_bottleneck")
        .replace(".bn.bn.", ".bn."): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    torch.save(older, tmp_path / "older")
    first, second = provider().supernet(RGB), provider().supernet(RGB)
    provider().load_weights(first, str(checkpoint))
    provider().load_weights(second, str(tmp_path / "older"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_our_own_supernet_as_safetensors(checkpoint, tmp_path):
    trained, fresh = provider().supernet(RGB), provider().supernet(RGB)
    provider().load_weights(trained, str(checkpoint))
    save_file(trained.state_dict(), tmp_path / "own.safetensors")
    provider().load_weights(fresh, str(tmp_path / "own.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), fresh.parameters(), strict=True))


def test_other_classes_and_grey_images(checkpoint):
    task = Task(in_channels=1, num_classes=3)
    supernet = provider().supernet(task)
    head = supernet.classifier.linear.linear.weight.clone()
    sentence = provider().load_weights(supernet, str(checkpoint))
    assert "the classifier has fresh weights (5 classes in the weights, 3 in the data)" in sentence
    assert "summed over red, green and blue" in sentence
    assert torch.equal(supernet.classifier.linear.linear.weight, head)
    colour = provider().supernet(RGB)
    provider().load_weights(colour, str(checkpoint))
    smallest = Backbone.of({v.name: v.choices[0] for v in provider().variables()})
    grey = torch.randn(2, 1, 48, 48)
    ours = supernet.extract(smallest).eval().stages[0](grey)
    theirs = colour.extract(smallest).eval().stages[0](grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "tensor"),
    [
        (
            {"widths": (0.5,)},
            r"'blocks.1.point_linear.conv.weight' has shape \(8, 48, 1, 1\); expected \(16, ",
        ),
        (
            {"kernels": (3, 5)},
            r"'blocks.1.depth_conv.conv.weight' has shape \(48, 1, 7, 7\); expected \(48, 1, 5, 5\)",
        ),
        ({"kernels": (3, 7)}, r"'blocks.1.depth_conv.conv.7to3_matrix' has shape none"),
        ({"expansions": (3, 4)}, r"'blocks.1.inverted_bottleneck.conv.weight' has shape \(48,"),
        ({"depths": (2, 3)}, r"'blocks.4."),
        ({"last_width": 0}, r"'classifier.linear.weight' has shape"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_weights_of_another_net_are_refused_and_change_nothing(checkpoint, options, tensor):
    family = provider(**options)
    supernet = family.supernet(RGB)
    before = [p.clone() for p in supernet.parameters()]
    with pytest.raises(WeightsError, match=tensor) as caught:
        family.load_weights(supernet, str(checkpoint))
    assert str(caught.value).startswith(f"{checkpoint}: tensor")
    assert all(torch.equal(a, b) for a, b in zip(before, supernet.parameters(), strict=True))


def test_a_tensor_too_many_is_named(checkpoint, tmp_path):
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    torch.save({**state, "extra.weight": torch.ones(2)}, tmp_path / "net")
    with pytest.raises(WeightsError, match=r"'extra.weight' has shape \(2,\); expected none"):
        provider().load_weights(provider().supernet(RGB), str(tmp_path / "net"))


class Dangerous:
    def __reduce__(self):
        return (pytest.fail, ("code in a weights file ran",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no weights at all",
        b"PK\x03\x04 damaged",
        b"\x10\0\0\0\0\0\0\0{ damaged",
        pickle.dumps(Dangerous()),
        pickle.dumps({"state_dict": [1, 2]}),
    ],
    ids=["empty", "text", "zip", "safetensors", "code", "list"],
)
def test_other_files_than_weights_are_refused(tmp_path, content):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"not a weights file|expected tensors by name") as caught:
        provider().load_weights(provider().supernet(RGB), str(path))
    assert str(path) in str(caught.value)


def test_no_such_file_or_name(tmp_path):
    supernet = provider().supernet(RGB)
    with pytest.raises(WeightsError, match=r"Did you mean 'ofa_mbv3_d234_e346_k357_w1\.2'"):
        provider().load_weights(supernet, "ofa_mbv3_d234_e346_k357_w12")
    with pytest.raises(WeightsError, match=r"no such file.*Allowed: ofa_mbv3_d234_e346_k357_w1\.0, "):
        provider().load_weights(supernet, str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match="a folder"):
        provider().load_weights(supernet, str(tmp_path))


def test_a_name_in_the_zoo_is_downloaded(checkpoint, monkeypatch):
    remote = Remote("small", (checkpoint.as_uri(),))
    monkeypatch.setattr(ofa_weights, "ZOO", {"small": remote})
    supernet, direct = provider().supernet(RGB), provider().supernet(RGB)
    sentence = provider().load_weights(supernet, "small")
    assert "SHA-256" in sentence
    provider().load_weights(direct, str(checkpoint))
    assert all(torch.equal(a, b) for a, b in zip(supernet.parameters(), direct.parameters(), strict=True))


def test_every_name_in_the_zoo_has_several_sources_and_a_checksum():
    for name, remote in ofa_weights.ZOO.items():
        assert remote.name == name
        assert len(remote.mirrors) >= 2
        assert all(url.startswith("https://") and url.endswith(name) for url in remote.mirrors)
        assert remote.sha256 or remote.git_object
