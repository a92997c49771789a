"""The suites find what is wrong with a data set."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import DataError
from edanas.core.types import ImageSet, LoadedData
from edanas.testing import ConformanceError, check_data_set, check_missing_data
from edanas.testing.toy_networks import toy_images


class Toy(DataSource):
    """Sixteen images of 12x12 pixels; subclasses break one thing."""

    def load(self, size: int, seed: int) -> LoadedData:
        samples = toy_images(16, seed)
        remarks: tuple[str, ...] = ()
        if size < 12:
            pixels = torch.nn.functional.interpolate(samples.images.float(), (size, size)).to(torch.uint8)
            samples, remarks = replace(samples, images=pixels), ("All 16 images were resized.",)
        return LoadedData(samples, np.full(16, "", dtype=np.str_), remarks)


def changed(**how: Any) -> DataSource:
    """The toy with fields of its samples or of what it loads replaced, by functions of the old values."""

    def load(self: Any, size: int, seed: int) -> LoadedData:
        data = Toy.load(self, size, seed)
        samples: ImageSet = data.samples
        of_samples = {k: f(getattr(samples, k)) for k, f in how.items() if hasattr(samples, k)}
        of_data = {k: f(getattr(data, k)) for k, f in how.items() if k not in of_samples}
        return replace(data, samples=replace(samples, **of_samples), **of_data)

    instance: DataSource = type("Mine", (Toy,), {"load": load})()
    return instance


class Large(Toy):
    """Never resizes."""

    def load(self, size: int, seed: int) -> LoadedData:
        return super().load(64, seed)


class Shuffled(Toy):
    """In another order each time."""

    def load(self, size: int, seed: int) -> LoadedData:
        data = super().load(size, seed)
        order = torch.randperm(16)
        samples = ImageSet(data.samples.images[order], data.samples.labels[order], data.samples.classes)
        return replace(data, samples=samples)


class SizedParts(Toy):
    """Sets fewer samples apart where images are small."""

    def load(self, size: int, seed: int) -> LoadedData:
        data = super().load(size, seed)
        parts = data.parts.astype("U5")
        parts[: size // 6] = "test"
        return replace(data, parts=parts)


class Fails(Toy):
    def load(self, size: int, seed: int) -> LoadedData:
        raise OSError("no such file")


class Vague(Toy):
    def load(self, size: int, seed: int) -> LoadedData:
        raise DataError("the files are missing")


class Helpful(Toy):
    def load(self, size: int, seed: int) -> LoadedData:
        raise DataError("the files are missing; add --download to fetch them")


def test_a_sound_data_set_passes() -> None:
    check_data_set(Toy())
    check_missing_data(Helpful())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (changed(images=lambda i: i.float() / 255), "images are torch.float32 of shape"),
        (changed(images=lambda i: i[:, 0]), r"images are torch.uint8 of shape \(16, 6, 6\)"),
        (changed(images=lambda i: (i > 100).to(torch.uint8)), "pixels run from 0 to 1"),
        (
            changed(labels=lambda labels: labels + 1),
            r"labels are \[1, 2, 3, 4\]; expected \[0, 1, 2, 3\], one for each class",
        ),
        (changed(labels=lambda labels: labels.int()), "labels are torch.int32"),
        (
            changed(classes=lambda classes: (*classes, "fifth")),
            r"labels are \[0, 1, 2, 3\]; expected \[0, 1, 2, 3, 4\]",
        ),
        (changed(classes=lambda classes: classes[:3] * 2), "one name occurs twice"),
        (changed(classes=lambda classes: ("only",)), "expected a tuple of two or more names"),
        (changed(parts=lambda parts: np.full(16, "valid")), "parts are .'valid'"),
        (changed(parts=lambda parts: parts[:5]), r"of shape \(5,\)"),
        (changed(remarks=lambda remarks: ()), "were resized to 6 without a remark"),
        (changed(remarks=lambda remarks: list(remarks)), "expected a tuple of sentences"),
        (Large(), "images are 12x12 for a size of 6"),
        (Shuffled(), "differ in labels|differ in images"),
        (SizedParts(), "loads at 6 and at 64 pixels differ in parts"),
        (Fails(), r"load\(size=6, seed=0\) raises OSError: no such file"),
    ],
)
def test_a_fault_is_found(source: DataSource, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_data_set(source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Toy(), "without its files, a LoadedData; expected a DataError"),
        (Fails(), "without its files, OSError"),
        (Vague(), "the error does not name --download: the files are missing"),
    ],
)
def test_an_unhelpful_error_is_found(source: DataSource, text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_missing_data(source)
