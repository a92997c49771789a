import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from edanas.core.preprocess import prepare

MEAN, STD = (0.2, 0.4, 0.6), (0.5, 0.25, 0.1)


def stored(count=2, channels=3, height=9, width=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


@given(
    count=st.integers(0, 3),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    side=st.integers(1, 20),
    dtype=st.sampled_from([torch.uint8, torch.float16, torch.float32, torch.float64]),
)
@settings(max_examples=60)
def test_shape_type_and_layout(count, channels, height, width, side, dtype):
    if dtype != torch.uint8:
        # Floats of height 1 are series.
        height += 1
    images = stored(count, channels, height, width)
    images = images if dtype == torch.uint8 else (images / 255).to(dtype)
    prepared = prepare(images, side, MEAN[:channels], STD[:channels])
    assert prepared.shape == (count, channels, side, side)
    assert prepared.dtype == torch.float32
    assert prepared.is_contiguous(memory_format=torch.channels_last)


def test_images_of_the_same_size_are_only_normalised():
    images = stored()
    prepared = prepare(images, 9, MEAN, STD)
    for channel in range(3):
        expected = (images[:, channel].double() / 255 - MEAN[channel]) / STD[channel]
        assert torch.allclose(prepared[:, channel].double(), expected, atol=1e-5)


@pytest.mark.parametrize("side", [4, 9, 15])
def test_bytes_and_floats_are_the_same_image(side):
    images = stored()
    floats = images.float() / 255
    assert torch.equal(prepare(images, side, MEAN, STD), prepare(floats, side, MEAN, STD))


@pytest.mark.parametrize(("size", "side"), [((12, 12), 4), ((12, 4), 8), ((4, 5), 8)])
def test_resizing_is_bilinear_and_antialiased_when_it_shrinks(size, side):
    images = stored(1, 3, *size)
    expected = F.interpolate(
        images.double() / 255,
        size=(side, side),
        mode="bilinear",
        align_corners=False,
        antialias=max(size) > side,
    )
    prepared = prepare(images, side, (0.0,) * 3, (1.0,) * 3)
    assert torch.allclose(prepared.double(), expected, atol=1e-5)


def test_shrinking_averages_instead_of_picking():
    """A checkerboard of single pixels becomes uniformly grey."""
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    prepared = prepare((board * 255).to(torch.uint8)[None, None], 4, (0.5,), (1.0,))
    assert float(prepared.abs().max()) < 0.1


def test_uniform_images_stay_uniform():
    images = torch.full((1, 3, 7, 11), 51, dtype=torch.uint8)
    prepared = prepare(images, 16, (0.2,) * 3, (0.5,) * 3)
    assert torch.allclose(prepared, torch.zeros(1, 3, 16, 16), atol=1e-6)


def test_input_images_stay_unchanged():
    floats = stored().float() / 255
    before = floats.clone()
    prepare(floats, 9, MEAN, STD).zero_()
    assert torch.equal(floats, before)
