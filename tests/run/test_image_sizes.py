"""Sizes of networks follow from the data where neither the user nor a preset sets them."""

import numpy as np
import pytest
import torch
from PIL import Image

from edanas.core.settings import Component
from edanas.run.image_sizes import enlargement_sentences, sized_supernet
from edanas.run.layers import layered_settings, user_layers

QUICK = Component("ofa-mbv3", {"widths": [0.5], "resolutions": [8], "stem_stride": 2})


def sized(registry, name, side=8, **options):
    return sized_supernet(
        registry, registry.spelled_out("supernet provider", Component(name, options)), QUICK, lambda: side
    )


def test_a_cascade_has_the_sizes_of_the_preset_for_its_networks(registry):
    inner = {"name": "ofa-mbv3", **QUICK.options}
    assert sized(registry, "cascade:ofa-mbv3").options == {"of": inner}
    own = {"name": "ofa-mbv3", "widths": [0.2]}
    assert sized(registry, "cascade", of=own).options == {"of": {**inner, "widths": [0.2]}}


@pytest.mark.parametrize(
    ("name", "options", "side", "expected"),
    [
        ("ofa-proxyless", {}, 8, [8]),
        ("ofa-proxyless", {}, 300, None),
        ("ofa-proxyless", {}, 0, None),
        ("ofa-proxyless", {"resolutions": [128]}, 8, [128]),
        ("eecnn", {}, 8, [8]),
        ("eecnn", {}, 2, [4]),
        ("timm:vit_tiny_patch16_224", {}, 8, [16]),
    ],
)
def test_networks_read_images_at_their_own_side_or_the_default(registry, name, options, side, expected):
    assert sized(registry, name, side, **options).options.get("resolutions") == expected


def test_a_nested_provider_of_another_name_has_sizes_of_its_own(registry):
    assert sized(registry, "cascade:ofa-proxyless").options == {
        "of": {"name": "ofa-proxyless", "resolutions": [8]}
    }


def test_settings_of_digits_and_of_a_folder(registry, tmp_path):
    settings = layered_settings(registry, user_layers({}, ["supernet=ofa-resnet50"]))
    assert settings.supernet.options == {"resolutions": [8]}
    for number in range(40):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((50, 40, 3), number, dtype=np.uint8)).save(path)
    for flags, expected in (({}, [40]), ({"weights": "ofa_proxyless_d234_e346_k357_w1.3"}, [40])):
        table = {"data": str(tmp_path), "plugin": "mbv3-sm", **flags}
        settings = layered_settings(registry, user_layers(table, ["supernet=ofa-proxyless"]))
        assert settings.supernet.options == {"resolutions": expected}


def test_heads_of_hand_made_networks_are_as_wide_as_the_networks(registry):
    def classifier(preset, *settings):
        layers = user_layers({"plugin": "baselines", "preset": preset}, settings)
        return layered_settings(registry, layers).classifier.options

    assert classifier("resnet18") == {}
    assert classifier("resnet18", "supernet.width=0.25") == {"filters": 32}
    assert classifier("eecnn", "supernet.width=0.5") == {"cells": 4, "hidden": 512}
    assert classifier("resnet18", "supernet.width=0.25", "classifier.filters=96") == {"filters": 96}
    assert classifier("resnet18", "supernet.width=0.01", "classifier=paper") == {"channels": [1, 1, 1]}


def test_images_enlarged_more_than_four_times_are_reported():
    images = torch.zeros(1, 1, 10, 8, dtype=torch.uint8)
    assert enlargement_sentences(images, 32) == ()
    (sentence,) = enlargement_sentences(images, 224)
    assert "8 px are enlarged to 224 px" in sentence and "784 times" in sentence
    assert enlargement_sentences(torch.zeros(1, 1, 1, 8), 224) == ()
