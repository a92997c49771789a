import pytest
import torch

from edanas.core.settings import FLIPS
from edanas.core.types import DataParts, ImageSet
from edanas.testing.toy_networks import toy_images
from edanas.training.augmented_parts import with_copies


def series(count: int) -> ImageSet:
    generator = torch.Generator().manual_seed(count)
    values = torch.randn(count, 2, 1, 30, generator=generator) * torch.tensor([5.0, 0.1]).view(1, 2, 1, 1)
    values[::2, :, :, 20:] = torch.nan
    return ImageSet(values, torch.arange(count) % 3, ("a", "b", "c"))


def of(part: ImageSet, mean: tuple[float, ...], std: tuple[float, ...]) -> DataParts:
    return DataParts(part, part, part, part, mean=mean, std=std)


@pytest.mark.parametrize("copies", [1, 4])
@pytest.mark.parametrize("kind", ["images", "series"])
def test_samples_stay_and_copies_differ_by_little(kind: str, copies: int) -> None:
    images, names = (toy_images(6, seed=0), ("shift", "rotate"))
    parts = of(images, (0.4,), (0.25,))
    if kind == "series":
        names, parts = ("jitter", "scale"), of(series(6), (0.0, 0.0), (5.0, 0.1))
    more = with_copies(parts, copies, names, seed=3)
    own = parts.validation
    for part in (more.validation, more.calibration):
        assert len(part) == 6 * (copies + 1)
        assert part.images.dtype == own.images.dtype
        assert torch.equal(part.images[:6].nan_to_num(), own.images.nan_to_num())
        assert torch.equal(part.labels, own.labels.repeat(copies + 1))
        for copy in part.images[6:].split(6):
            assert torch.equal(copy.isnan(), own.images.isnan())
            assert not torch.equal(copy.nan_to_num(), own.images.nan_to_num())
    assert more.train is parts.train
    assert more.test is parts.test
    assert torch.equal(more.own_calibration.images.nan_to_num(), own.images.nan_to_num())
    if kind == "series":
        change = (more.validation.images - own.images.repeat(copies + 1, 1, 1, 1)).nan_to_num()
        assert change[:, 1].abs().max() < 0.2  # in units of the channel, whose deviation is 0.1


def test_no_copies_and_no_augmentation_change_nothing() -> None:
    parts = of(toy_images(6, seed=0), (0.4,), (0.25,))
    assert with_copies(parts, 0, ("shift",), seed=0) is parts
    assert with_copies(parts, 3, (), seed=0) is parts


def test_copies_have_no_epochs_and_are_mirrored_at_random() -> None:
    parts = of(toy_images(6, seed=0), (0.4,), (0.25,))
    copies = [with_copies(parts, 3, (name, "shift"), seed=0).validation.images for name in FLIPS]
    assert torch.equal(*copies)


def test_equal_seeds_give_equal_copies() -> None:
    parts = of(series(5), (0.0, 0.0), (1.0, 1.0))
    first, again, other = (with_copies(parts, 2, ("jitter",), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.validation.images.nan_to_num(), again.validation.images.nan_to_num())
    assert not torch.equal(first.validation.images.nan_to_num(), other.validation.images.nan_to_num())
