import dataclasses

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import _registry
from torch import nn

from edanas.core.errors import ConfigError, WeightsError
from edanas.core.tracing import count_macs
from edanas.core.types import Backbone, Task
from edanas.supernets.model_cutting import Cut, CutError, cut_model
from edanas.supernets.timm_models import TimmProvider

RGB = Task(in_channels=3, num_classes=5)
MODELS = [("test_resnet", 32), ("test_efficientnet", 32), ("test_convnext", 32), ("vit_tiny_patch16_224", 32)]
"""Models of timm: normalised, with squeeze-and-excitation, with LayerNorm, and of tokens."""


def lived_in(model):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(noise if name.endswith("running_var") else 0.1 * (noise - 0.5))
    return model.eval()


def original(name, classes=5, in_chans=3, **options):
    torch.manual_seed(0)
    return lived_in(timm.create_model(name, num_classes=classes, in_chans=in_chans, **options))


@pytest.mark.parametrize(("name", "side"), MODELS)
def test_with_timms_weights_the_stages_together_are_timms_model(name, side, tmp_path):
    sized = {"img_size": side} if "vit" in name else {}
    theirs = original(name, **sized)
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    provider = TimmProvider(name, resolutions=(side,))
    supernet = provider.supernet(RGB).eval()
    sentence = provider.load_weights(supernet, str(tmp_path / "weights.safetensors"))
    assert sentence.startswith(f"{len(theirs.state_dict())} tensors taken from")
    backbone = Backbone.of({"resolution": side})
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        expected = theirs(images)
        assert expected.std() > 1e-3
        torch.testing.assert_close(supernet.view(backbone)(images), expected, rtol=1e-4, atol=1e-5)
    stages, last = provider.costs(backbone, RGB)
    assert sum(stage.macs for stage in stages) + last.macs == count_macs(theirs, (3, side, side))
    assert provider.exit_points == len(stages) - 1 >= 3


def test_stages_end_where_the_feature_information_says():
    provider = TimmProvider("resnet18", resolutions=(64,))
    stages, _ = provider.costs(Backbone.of({"resolution": 64}), RGB)
    assert [stage.shape for stage in stages] == [
        (64, 32, 32),
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
        (512, 2, 2),
    ]
    assert provider.exit_channels() == ((64,), (64,), (128,), (256,))


def test_exits_are_thinned_evenly():
    whole = TimmProvider("vit_tiny_patch16_224", resolutions=(32,))
    assert whole.exit_points == 11
    thinned = TimmProvider("vit_tiny_patch16_224", resolutions=(32,), exits=3)
    backbone = Backbone.of({"resolution": 32})
    per_block = whole.costs(backbone, RGB)[0][1].macs
    stages, _ = thinned.costs(backbone, RGB)
    assert [round(stage.macs / per_block) for stage in stages] == [2, 4, 4, 2]
    assert TimmProvider("test_resnet", resolutions=(32,), exits=99).exit_points == 4


def test_the_supernets_own_file_and_grey_images(tmp_path):
    task, backbone = Task(in_channels=1, num_classes=3), Backbone.of({"resolution": 16})
    provider = TimmProvider("test_resnet", resolutions=(16,))
    colour, grey = provider.supernet(RGB), provider.supernet(task)
    save_file(lived_in(colour).state_dict(), tmp_path / "own.safetensors")
    sentence = provider.load_weights(grey, str(tmp_path / "own.safetensors"))
    assert "the classifier has fresh weights (5 classes in the weights, 3 in the data)" in sentence
    assert "summed over red, green and blue" in sentence
    images = torch.randn(2, 1, 16, 16)
    ours = grey.extract(backbone).eval().stages[0](images)
    theirs = colour.extract(backbone).eval().stages[0](images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_weights_that_timm_publishes(tmp_path, monkeypatch):
    """timm's own way of loading, from a file in place of its hub."""
    theirs = original("test_resnet", classes=1000)
    torch.save(theirs.state_dict(), tmp_path / "published.pth")
    published = timm.get_pretrained_cfg("test_resnet")
    local = dataclasses.replace(published, file=str(tmp_path / "published.pth"), hf_hub_id=None, url="")
    monkeypatch.setitem(_registry._model_pretrained_cfgs, "test_resnet", local)
    provider = TimmProvider("test_resnet", resolutions=(32,))
    supernet = provider.supernet(RGB)
    sentence = provider.load_weights(supernet, "pretrained")
    assert "timm's 'test_resnet'" in sentence
    assert "the classifier has fresh weights (1000 classes in the weights, 5 in the data)" in sentence
    own = {name.removeprefix("stages.0.traced.model."): t for name, t in supernet.state_dict().items()}
    assert torch.equal(own["conv1.0.weight"], theirs.state_dict()["conv1.0.weight"])
    missing = dataclasses.replace(local, file="none.pth")
    monkeypatch.setitem(_registry._model_pretrained_cfgs, "test_resnet", missing)
    with pytest.raises(
        WeightsError,
        match=r"'pretrained': timm cannot load the published weights of 'test_resnet': FileNotFoundError",
    ):
        provider.load_weights(supernet, "pretrained")


def test_weights_of_another_model_are_refused(tmp_path):
    save_file(original("test_efficientnet").state_dict(), tmp_path / "other.safetensors")
    provider = TimmProvider("test_resnet", resolutions=(16,))
    with pytest.raises(WeightsError, match=r"tensor '.*' has shape .* not of timm's 'test_resnet'"):
        provider.load_weights(provider.supernet(RGB), str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "resnet81"}, r"supernet\.model: timm .* has no model 'resnet81'\. Did you mean 'resnet"),
        ({"model": "deit_tiny_patch16_224", "resolutions": (32, 64)}, r"supernet\.resolutions: .* is fixed"),
        ({"model": "hrnet_w18_small"}, r"supernet\.model: .* cannot be cut into stages: no module's output"),
        ({"model": "resnet18", "exits": -1}, r"supernet\.exits: found -1; allowed"),
    ],
)
def test_wrong_options_are_one_clear_error(options, message):
    with pytest.raises(ConfigError, match=message):
        TimmProvider(**options)


class Skipping(nn.Module):
    """The second convolution's input is used again after it, so no cut is possible between the two."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.third = nn.Conv2d(4, 4, 1)

    def forward(self, images):
        early = self.first(images)
        return self.third(self.second(early) + early)


def test_a_cut_across_a_skip_connection_is_passed_over():
    cuts = [Cut("first", 4), Cut("second", 4), Cut("third", 4)]
    model, images = Skipping(), torch.randn(2, 3, 4, 4)
    parts, possible = cut_model(model, cuts, images)
    assert [cut.module for cut in possible] == ["first", "third"]
    assert torch.equal(nn.Sequential(*parts)(images), model(images))


class Choosing(Skipping):
    def forward(self, images):
        return self.first(images) if images.sum() > 0 else self.first(-images)


def test_a_forward_pass_that_depends_on_the_images_cannot_be_cut():
    with pytest.raises(CutError, match="cannot be traced"):
        cut_model(Choosing(), [Cut("first", 4)], torch.ones(1, 3, 4, 4))
