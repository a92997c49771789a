"""Scikit-learn's handwritten digits: 1,797 real images of 8x8 grey pixels, without a download."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ImageSet, LoadedData
from edanas.data.image_array import fit

LEVELS = 16
"""Largest pixel value of the original images, whose pixels count the dark dots in blocks of 4x4 dots."""


class Digits(DataSource):
    """Scikit-learn's 1,797 handwritten digits, grey images of 8x8 pixels; nothing is downloaded.

    Example:
        >>> data = Digits().load(size=8, seed=0)
        >>> data.samples.images.shape, len(data.samples.classes)
        (torch.Size([1797, 1, 8, 8]), 10)
    """

    image_side = 8

    def load(self, size: int, seed: int) -> LoadedData:
        """Load the digits, with pixels scaled from 0..16 to 0..255; see `DataSource.load`."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = np.rint(bunch.images * (255 / LEVELS)).astype(np.uint8)
        images, remarks = fit(torch.from_numpy(pixels)[:, None], size)
        labels = torch.from_numpy(bunch.target.astype(np.int64))
        classes = tuple(str(name) for name in bunch.target_names)
        return LoadedData(ImageSet(images, labels, classes), np.full(len(labels), "", dtype=np.str_), remarks)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `digits`."""
    return {"digits": Digits}
