import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.training.augment import ERASED, SHIFT, augment, mix

NAMES = ("shift", "flip", "rotate", "erase")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def known(count=16, side=12, channels=3):
    """Images whose pixels all differ, and differ from 0."""
    return torch.linspace(0.5, 2.0, count * channels * side * side).view(count, channels, side, side)


@given(st.sets(st.sampled_from(NAMES)), st.integers(1, 5), st.sampled_from([1, 3]), st.integers(3, 17))
@settings(max_examples=30)
def test_shape_layout_and_repetition(names, count, channels, side):
    images = torch.randn(count, channels, side, side, generator=seeded(1))
    first = augment(images, names, seeded())
    assert first.shape == images.shape
    assert first.dtype == images.dtype
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(first, augment(images.clone(), names, seeded()))


def test_no_name_changes_nothing_and_draws_nothing():
    generator = seeded()
    before = generator.get_state()
    assert torch.equal(augment(known(), (), generator), known())
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_changes_images_differently_at_each_draw(name):
    generator = seeded()
    first, second = augment(known(), (name,), generator), augment(known(), (name,), generator)
    assert not torch.allclose(first, known(), atol=1e-3)
    assert not torch.allclose(first, second, atol=1e-3)


def test_the_images_given_stay_as_they_are():
    images = known()
    augment(images, NAMES, seeded())
    assert torch.equal(images, known())


def test_the_order_of_names_does_not_matter():
    assert torch.equal(augment(known(), NAMES, seeded()), augment(known(), NAMES[::-1], seeded()))


def test_draws_depend_neither_on_pixels_nor_on_their_number():
    """The same seed gives the same augmentation on every device and at every resolution."""
    first, second = seeded(), seeded()
    augment(known(side=12), NAMES[:3], first)
    augment(torch.zeros(16, 1, 8, 8), NAMES[:3], second)
    assert torch.equal(first.get_state(), second.get_state())


def test_flip_gives_the_image_or_its_mirror_image():
    images = known(count=64)
    flipped = augment(images, ("flip",), seeded())
    same = (flipped - images).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (flipped - images.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert torch.equal(same, ~mirrored)
    assert 16 <= int(same.sum()) <= 48


def test_shift_moves_a_square_by_an_eighth_of_the_side_at_most():
    side, count = 32, 200
    images = torch.zeros(count, 1, side, side)
    images[:, :, 12:20, 12:20] = 1.0
    moved = augment(images, ("shift",), seeded())[:, 0]
    assert torch.allclose(moved.sum((1, 2)), torch.tensor(64.0), atol=1e-2)
    at = torch.arange(side) + 0.5
    for axis in (1, 2):
        centres = (moved.sum(3 - axis) * at).sum(1) / 64
        reach = (centres - side / 2).abs()
        assert float(reach.max()) <= SHIFT * side + 1e-3
        assert float(reach.max()) > 0.9 * SHIFT * side
        assert abs(float((centres - side / 2).mean())) < 1.0


def test_shift_repeats_the_border():
    images = torch.ones(8, 1, 9, 9)
    assert torch.allclose(augment(images, ("shift",), seeded()), images, atol=1e-5)


def test_rotation_turns_and_zooms_a_little_about_the_centre():
    side, count = 33, 200
    images = torch.zeros(count, 1, side, side)
    images[:, :, 16, 4:29] = 1.0  # a horizontal bar through the centre
    turned = augment(images, ("rotate",), seeded())[:, 0]
    at = torch.arange(side) - 16.0
    weight = turned.sum((1, 2))
    for axis in (1, 2):
        centre = (turned.sum(3 - axis) * at).sum(1) / weight
        assert float(centre.abs().max()) < 0.1
    xx, yy = (turned.sum(1) * at**2).sum(1), (turned.sum(2) * at**2).sum(1)
    xy = (turned * at[:, None] * at[None, :]).sum((1, 2))
    angle = 0.5 * torch.atan2(2 * xy, xx - yy) * 180 / torch.pi
    assert float(angle.abs().max()) < 13.0
    assert float(angle.max()) > 9.0
    assert float(angle.min()) < -9.0


@pytest.mark.parametrize("side", [8, 12, 32])
def test_erase_sets_one_square_to_the_mean(side):
    images = known(count=50, side=side)
    erased = augment(images, ("erase",), seeded())
    gone = (erased == 0).all(1)
    assert torch.equal(gone, (erased == 0).any(1))
    assert torch.equal(erased[~gone[:, None].expand_as(erased)], images[~gone[:, None].expand_as(images)])
    hole = round(side * ERASED)
    assert set(gone.sum((1, 2)).tolist()) == {hole * hole}
    assert set(gone.any(1).sum(1).tolist()) == {hole}
    assert set(gone.any(2).sum(1).tolist()) == {hole}
    assert gone.any(0).sum() > hole * hole


def test_a_shift_without_rotation_keeps_every_pixel_s_value():
    images = known(side=16)
    moved = augment(images, ("shift", "flip"), seeded())
    for before, after in zip(images, moved, strict=True):
        assert set(after.flatten().tolist()) <= set(before.flatten().tolist())


def test_a_blend_is_of_two_images_and_their_labels_in_equal_shares():
    labels = torch.arange(16) % 4
    images = labels.float()[:, None, None, None].expand(16, 3, 5, 5)
    for seed in range(5):
        mixed, targets = mix(images, labels, 4, seeded(seed))
        assert torch.allclose(targets.sum(1), torch.ones(16))
        assert int((targets > 0).sum(1).max()) <= 2
        expected = (targets * torch.arange(4.0)).sum(1)
        assert torch.allclose(mixed, expected[:, None, None, None].expand_as(mixed), atol=1e-5)
    assert torch.equal(mix(images, labels, 4, seeded())[0], mix(images, labels, 4, seeded())[0])
