"""Scikit-learn's handwritten digits: 1,797 real images of 8x8 grey pixels, nothing to download."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ImageSet, LoadedData
from edanas.data.image_array import fit

LEVELS = 16
"""The brightest pixel of the original, which counts dots in a 4x4 block."""


class Digits(DataSource):
    """Scikit-learn's 1,797 handwritten digits, 8x8 grey: built in, nothing to download."""

    def load(self, size: int, seed: int) -> LoadedData:
        """See `DataSource.load`; pixels are scaled from 0..16 to 0..255."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = np.rint(bunch.images * (255 / LEVELS)).astype(np.uint8)
        images, remarks = fit(torch.from_numpy(pixels)[:, None], size)
        labels = torch.from_numpy(bunch.target.astype(np.int64))
        classes = tuple(str(name) for name in bunch.target_names)
        return LoadedData(ImageSet(images, labels, classes), np.full(len(labels), "", dtype=np.str_), remarks)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """The digits."""
    return {"digits": Digits}
