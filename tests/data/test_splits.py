from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.errors import ConfigError, DataError
from edanas.core.settings import SplitSettings
from edanas.core.types import DataParts, ImageSet, LoadedData
from edanas.data.splits import PARTS, split


def data_of(counts: dict[str, list[int]], channels: int = 1) -> LoadedData:
    """`counts[part][label]` samples; the first two pixels of an image encode the number of the sample."""
    labels = [label for each in counts.values() for label, n in enumerate(each) for _ in range(n)]
    parts = [part for part, each in counts.items() for n in each for _ in range(n)]
    order = np.random.default_rng(7).permutation(len(labels))
    images = torch.zeros((len(labels), channels, 2, 2), dtype=torch.uint8)
    for number in range(len(labels)):
        images[number, :, 0, 0], images[number, :, 0, 1] = number // 256, number % 256
    classes = tuple(f"c{i}" for i in range(len(next(iter(counts.values())))))
    samples = ImageSet(images, torch.tensor(labels)[torch.from_numpy(order)], classes)
    return LoadedData(samples, np.array(parts, dtype=np.str_)[order])


def numbers(part: ImageSet) -> list[int]:
    return (part.images[:, 0, 0, 0].long() * 256 + part.images[:, 0, 0, 1].long()).tolist()


def by_part(parts: DataParts) -> dict[str, ImageSet]:
    return {name: getattr(parts, name) for name in PARTS}


shares = st.tuples(*[st.integers(5, 60)] * 4).map(
    lambda weights: SplitSettings(*(weight / sum(weights) for weight in weights))
)


@settings(max_examples=40)
@given(
    free=st.lists(st.integers(4, 60), min_size=2, max_size=6),
    named=st.sets(st.sampled_from(["validation", "test"])),
    share=shares,
    seed=st.integers(0, 1000),
)
def test_parts_are_disjoint_complete_and_stratified(
    free: list[int], named: set[str], share: SplitSettings, seed: int
) -> None:
    data = data_of({"train" if named else "": free} | {part: [3] * len(free) for part in sorted(named)})
    parts = by_part(split(data, share, seed))

    everything = [number for part in parts.values() for number in numbers(part)]
    assert sorted(everything) == list(range(len(data.samples)))
    for part in parts.values():
        assert part.labels.tolist() == data.samples.labels[numbers(part)].tolist()
    for name in named:
        assert sorted(numbers(parts[name])) == np.flatnonzero(data.parts == name).tolist()
    drawn = {name: getattr(share, name) for name in PARTS if name not in named}
    for label, count in enumerate(free):
        quotas = {name: count * value / sum(drawn.values()) for name, value in drawn.items()}
        for name, quota in quotas.items():
            count = int((parts[name].labels == label).sum())
            assert count >= 1
            if min(quotas.values()) >= 1:
                assert abs(count - quota) <= 1


def test_same_seed_same_split_another_seed_another() -> None:
    data = data_of({"": [30, 40, 50]})
    once, again, other = (split(data, SplitSettings(), seed) for seed in (3, 3, 4))
    for name in PARTS:
        assert numbers(getattr(once, name)) == numbers(getattr(again, name))
        assert set(numbers(getattr(once, name))) != set(numbers(getattr(other, name)))
    assert (once.mean, once.std) == (again.mean, again.std)


def test_many_small_classes_together_keep_to_the_shares() -> None:
    data = data_of({"": [7] * 100})
    sizes = [len(part) for part in by_part(split(data, SplitSettings(), 0)).values()]
    # Of 7 samples 0.7 are for calibration and 1.05 for validation: each gets 1. The other parts share the
    # shortfall of 25 samples.
    assert max(abs(size - share) for size, share in zip(sizes, (372.5, 100, 100, 127.5), strict=True)) <= 1
    assert sum(sizes) == 700
    sizes = [len(part) for part in by_part(split(data_of({"": [11] * 100}), SplitSettings(), 0)).values()]
    assert max(abs(size - share) for size, share in zip(sizes, (605, 110, 165, 220), strict=True)) <= 1


def test_a_prefix_of_a_part_is_mixed() -> None:
    part = split(data_of({"": [100, 100]}), SplitSettings(), 0).train
    assert 10 <= int(part.labels[:50].sum()) <= 40


def test_a_class_too_small_to_stand_everywhere_is_named() -> None:
    with pytest.raises(DataError, match=r"class 'c1' has 3 samples .* at least 4 .* train, calibration"):
        split(data_of({"": [10, 3]}), SplitSettings(), 0)
    with pytest.raises(DataError, match=r"class 'c1' has 1 sample .* at least 2"):
        split(data_of({"train": [10, 1], "validation": [2, 2], "test": [2, 2]}), SplitSettings(), 0)


def test_statistics_are_those_of_the_train_part_alone() -> None:
    data = data_of({"": [40, 40]}, channels=3)
    data.samples.images[:, 1] = torch.randint(0, 256, (80, 2, 2), dtype=torch.uint8)
    parts = split(data, SplitSettings(), 0)
    pixels = parts.train.images.double() / 255
    np.testing.assert_allclose(parts.mean, pixels.mean(dim=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(parts.std, pixels.std(dim=(0, 2, 3), correction=0), rtol=1e-12)


def test_a_constant_channel_gets_a_small_but_positive_deviation() -> None:
    data = data_of({"": [8, 8]}, channels=3)
    data.samples.images[:, 1] = 51
    parts = split(data, SplitSettings(), 0)
    assert parts.mean[1] == pytest.approx(0.2)
    assert parts.std[1] == 1e-3


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        (SplitSettings(0.5, 0.1, 0.1, 0.1), r"split: the shares sum to 0.8"),
        (SplitSettings(0.9, 0.1, 0.2, -0.2), r"split.test: found -0.2"),
        (SplitSettings(0.7, 0.0, 0.2, 0.1), r"split.calibration: found 0"),
    ],
)
def test_shares_that_make_no_sense_are_named(settings_: SplitSettings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split(data_of({"": [10, 10]}), settings_, 0)


def test_no_share_is_needed_for_a_part_that_the_source_gives() -> None:
    data = data_of({"train": [20, 20], "test": [3, 3]})
    parts = split(data, SplitSettings(0.6, 0.2, 0.2, 0.0), 0)
    assert Counter({name: len(part) for name, part in by_part(parts).items()}) == {
        "train": 24,
        "calibration": 8,
        "validation": 8,
        "test": 6,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.tensor([0, 1, 2, 0, 1, 0, 1, 0])}, "labels run from 0 to 2; expected 0 to 1"),
        ({"images": torch.zeros((8, 1, 2, 2))}, "samples are torch.float32"),
        ({"images": torch.zeros((7, 1, 2, 2), dtype=torch.uint8)}, "7 samples, 8 labels"),
        ({"classes": ("only",)}, "1 class; at least 2"),
    ],
)
def test_inconsistent_data_of_a_plugin_is_an_error(change: dict[str, object], message: str) -> None:
    data = data_of({"": [4, 4]})
    samples = ImageSet(**{**vars(data.samples), **change})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        split(LoadedData(samples, data.parts), SplitSettings(), 0)


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(DataError, match="a part 'dev'; allowed: train, validation, test"):
        split(data_of({"train": [8, 8], "dev": [2, 2]}), SplitSettings(), 0)
