"""The conformance suites for data sets."""

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import DataError, type_of
from edanas.core.types import LoadedData
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.random_generators import generators_restored, seed_global_generators

_SMALL, _LARGE = 6, 64
_PARTS = {"", "train", "validation", "test"}


def check_data_set(source: DataSource) -> None:
    """Check a data set against its contract: types, the requested image size, and a fixed order of samples.

    The suite loads the whole data set four times. The files of the data set must be present.

    Args:
        source: The data set.

    Raises:
        ConformanceError: The data set breaks its contract.

    Example:
        >>> from edanas.core.types import ImageSet
        >>> class Noise(DataSource):
        ...     def load(self, size, seed):
        ...         generator = torch.Generator().manual_seed(seed)
        ...         shape = (8, 1, min(size, 4), min(size, 4))
        ...         images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        ...         samples = ImageSet(images, torch.arange(8) % 2, ("even", "odd"))
        ...         return LoadedData(samples, np.full(8, ""))
        >>> check_data_set(Noise())
    """
    with generators_restored():
        small, large = (_loaded(source, size, seed=0) for size in (_SMALL, _LARGE))
        _check_sizes(source, small, large)
        for state in (1, 2):
            seed_global_generators(state)
            again = _loaded(source, _SMALL, seed=0)
            differing = _differences(small, again)
            require(source, not differing, f"two loads at one seed differ in {', '.join(differing)}")


def check_missing_data(source: DataSource) -> None:
    """Check the error of a data set whose files are missing: it must name `--download`.

    Args:
        source: A data set whose files are missing and which may not download them.

    Raises:
        ConformanceError: The data set breaks its contract.

    Example:
        >>> class Missing(DataSource):
        ...     def load(self, size, seed):
        ...         raise DataError("no files in 'data/noise'; fetch them with --download")
        >>> check_missing_data(Missing())
    """
    try:
        result = f"{type_of(source.load(_LARGE, 0))}"
    except DataError as error:
        require(source, "--download" in str(error), f"the error does not name --download: {error}")
        return
    except Exception as error:
        result = repr(error)
    raise ConformanceError(f"{type(source).__name__}: without its files, {result}; expected a DataError")


def _loaded(source: DataSource, size: int, seed: int) -> LoadedData:
    with reported_call(source, f"load(size={size}, seed={seed})"):
        data: object = source.load(size, seed)
    if not isinstance(data, LoadedData):
        raise ConformanceError(f"{type(source).__name__}: load gives {type_of(data)}; expected a LoadedData")
    _check_images(source, data.samples.images, size)
    _check_labels(source, data)
    return data


def _check_images(source: DataSource, images: torch.Tensor, size: int) -> None:
    shape = tuple(images.shape)
    require(
        source,
        images.dtype == torch.uint8 and images.ndim == 4 and shape[1] in (1, 3) and 0 not in shape,
        f"images are {images.dtype} of shape {shape}; expected uint8 (samples, 1 or 3, height, width)",
    )
    require(
        source,
        max(shape[2:]) <= size,
        f"images are {shape[3]}x{shape[2]} for a size of {size}; expected {size}x{size}, or smaller",
    )
    low, high = int(images.min()), int(images.max())
    require(source, high > 1 and high > low, f"pixels run from {low} to {high}; expected shades up to 255")


def _check_labels(source: DataSource, data: LoadedData) -> None:
    labels, classes, count = data.samples.labels, data.samples.classes, len(data.samples.images)
    require(
        source,
        isinstance(classes, tuple) and len(classes) >= 2 and all(isinstance(c, str) and c for c in classes),
        f"classes are {classes!r}; expected a tuple of two or more names",
    )
    require(source, len(set(classes)) == len(classes), f"classes are {classes}; one name occurs twice")
    require(
        source,
        labels.dtype == torch.int64 and labels.shape == (count,),
        f"labels are {labels.dtype} of shape {tuple(labels.shape)}; expected int64 {(count,)}",
    )
    present, expected = sorted(set(labels.tolist())), list(range(len(classes)))
    require(source, present == expected, f"labels are {present}; expected {expected}, one for each class")
    parts = data.parts
    require(
        source,
        isinstance(parts, np.ndarray) and parts.shape == (count,) and set(parts.tolist()) <= _PARTS,
        f"parts are {sorted(set(np.asarray(parts).ravel().tolist()))} of shape {np.shape(parts)}; expected "
        f"one of {sorted(_PARTS)} for each sample",
    )
    require(
        source,
        isinstance(data.remarks, tuple) and all(isinstance(r, str) and r for r in data.remarks),
        f"remarks are {data.remarks!r}; expected a tuple of sentences",
    )


def _check_sizes(source: DataSource, small: LoadedData, large: LoadedData) -> None:
    """Check that the size changes only pixels, and that a remark mentions images that were shrunk."""
    images, native = small.samples.images, large.samples.images
    differing = [name for name in _differences(small, large) if name not in ("images", "remarks")]
    require(
        source, not differing, f"loads at {_SMALL} and at {_LARGE} pixels differ in {', '.join(differing)}"
    )
    if images.shape == native.shape:
        return
    sides = set(native.shape[2:])
    require(
        source,
        tuple(images.shape[2:]) == (_SMALL, _SMALL),
        f"images of {tuple(native.shape[2:])} are resized to {tuple(images.shape[2:])} for a size of "
        f"{_SMALL}; expected {(_SMALL, _SMALL)}",
    )
    require(
        source,
        bool(small.remarks),
        f"images with sides of {sorted(sides)} were resized to {_SMALL} without a remark",
    )


def _differences(first: LoadedData, second: LoadedData) -> list[str]:
    """Return the names of the fields in which two loads differ."""
    same = {
        "images": torch.equal(first.samples.images, second.samples.images),
        "labels": torch.equal(first.samples.labels, second.samples.labels),
        "classes": first.samples.classes == second.samples.classes,
        "parts": np.array_equal(first.parts, second.parts),
        "remarks": first.remarks == second.remarks,
    }
    return [name for name, equal in same.items() if not equal]
