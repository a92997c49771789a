"""Images with equal pixels: between parts, between classes, and in the split."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_folders import load, save

from edanas.core.errors import DataError
from edanas.core.settings import SplitSettings
from edanas.core.types import ImageSet, LoadedData
from edanas.data.duplicates import find_duplicates, first_copies
from edanas.data.splits import PARTS, split


def data_of(pixels, labels, parts=None):
    images = torch.tensor(pixels, dtype=torch.uint8).view(-1, 1, 1, 1)
    classes = tuple("abcdef"[: max(labels) + 1])
    samples = ImageSet(images, torch.tensor(labels), classes)
    return LoadedData(samples, np.array(parts or [""] * len(labels), dtype=np.str_))


@settings(max_examples=60)
@given(
    pixels=st.lists(st.integers(0, 40), min_size=80, max_size=120),
    seed=st.integers(0, 5),
    shift=st.integers(0, 1),
)
def test_copies_stay_on_one_side_of_the_split(pixels, seed, shift):
    pixels = [*range(100, 130), *pixels]
    labels = [(number + shift * (pixel % 3 == 0)) % 2 for number, pixel in enumerate(pixels)]
    data = data_of(pixels, labels)
    parts = split(data, SplitSettings(), seed)
    sides = {}
    for name in PARTS:
        for value in getattr(parts, name).images.flatten().tolist():
            assert sides.setdefault(value, name) == name
    assert sum(len(getattr(parts, name)) for name in PARTS) == len(pixels)
    assert all(set(getattr(parts, name).labels.tolist()) == {0, 1} for name in PARTS)


def test_the_split_of_data_without_copies_is_as_before():
    data = data_of(list(range(60)), [0, 1] * 30)
    parts = split(data, SplitSettings(0.5, 0.1, 0.2, 0.2), seed=3)
    assert parts.test.images.flatten().tolist() == [38, 14, 10, 27, 43, 44, 17, 42, 3, 39, 25, 48]


def test_a_class_of_copies_is_refused_with_their_number():
    with pytest.raises(DataError, match=r"class 'b' has 3 samples to divide, besides 9 copies of samples"):
        split(data_of([*range(10), *([50, 51, 52] * 4)], [0] * 10 + [1] * 12), SplitSettings(), 0)


def test_copies_between_parts_and_classes_are_counted_and_five_are_named():
    pixels = [*range(9), *range(7), 0, 40]
    labels = [0] * 9 + [0] * 7 + [1, 1]
    parts = ["train"] * 9 + ["test"] * 7 + ["train", "test"]
    duplicates = find_duplicates(data_of(pixels, labels, parts))
    assert len(duplicates.parts) == 8
    assert duplicates.classes == ((0, 16),)
    first, second = duplicates.sentences()
    assert first.startswith(
        "8 samples are in two parts at once, by their values, so accuracies on these parts"
    )
    assert first.endswith("sample 5 and sample 14; and 3 more.")
    assert second.startswith(
        "1 sample is in two classes at once, by its values, so some labels are wrong: sample 1"
    )
    assert duplicates.to_json()["parts"]["count"] == 8
    assert len(duplicates.to_json()["parts"]["first"]) == 5


def test_copies_within_a_class_and_a_part_are_no_fault():
    duplicates = find_duplicates(data_of([1, 1, 2, 3], [0, 0, 1, 1]))
    assert duplicates.sentences() == ()
    assert duplicates.to_json() == {
        "parts": {"count": 0, "first": []},
        "classes": {"count": 0, "first": []},
    }


def test_files_are_named_and_compared_by_pixels_not_by_bytes(tmp_path):
    for part in ("train", "test"):
        for name, value in (("cat", 1), ("dog", 2)):
            save(tmp_path / part / name / "1.png", value=value)
            save(tmp_path / part / name / "2.png", value=10 * value + len(part))
    save(tmp_path / "train" / "cat" / "3.bmp", mode="RGB", value=7)
    save(tmp_path / "test" / "dog" / "3.png", mode="RGB", value=7)
    duplicates = find_duplicates(load(tmp_path))
    assert "test/cat/1.png and train/cat/1.png" in duplicates.sentences()[0]
    assert "test/dog/3.png and train/cat/3.bmp" in duplicates.sentences()[1]


def test_first_copies_point_to_themselves_or_back():
    images = torch.tensor([5, 6, 5, 7, 6], dtype=torch.uint8).view(5, 1, 1, 1).expand(-1, 3, 2, 2)
    assert first_copies(images).tolist() == [0, 1, 0, 3, 1]


def test_names_of_the_source_are_used():
    data = replace(data_of([1, 1], [0, 1]), names=("x.png", "y.png"))
    assert "x.png and y.png" in find_duplicates(data).sentences()[0]
