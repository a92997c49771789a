"""The data set `folder`: images in one folder for each class, optionally divided into parts by folders."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ImageSet, LoadedData
from edanas.data.cache import decode_once
from edanas.data.decoding import Fit
from edanas.data.folder_layout import find_images, natural_key

CHANNELS = ("auto", "grey", "rgb")
"""Allowed values of the option `channels`."""


class Folder(DataSource):
    """Images in folders named after their classes, e.g. `cat/1.png`.

    The class folders are in `path`, or in folders of parts under `path`: `train/`, `val/` and `test/`, or
    other usual names in any case. Images in `val/` and `test/` form the validation and the test part; the
    split divides all other images. Class folders may have subfolders, and links to folders are followed.

    Args:
        path: Path of the folder; required.
        channels: `grey` (one channel), `rgb` (three channels), or `auto` (default): grey if every image is
            grey.
        skip_unreadable: Skip files that cannot be read as images; by default they are an error.

    Raises:
        ConfigError: `path` is empty, or `channels` is unknown.
    """

    def __init__(self, *, path: str = "", channels: str = "auto", skip_unreadable: bool = False) -> None:
        if not path:
            raise ConfigError("data.path: found nothing; expected the path of a folder of class folders")
        if channels not in CHANNELS:
            raise ConfigError(f"data.channels: found '{channels}'.{near_miss(channels, CHANNELS)}")
        self.path = Path(path).expanduser()
        self.channels, self.skip_unreadable = channels, skip_unreadable

    def load(self, size: int, seed: int) -> LoadedData:
        """Decode all images; see `DataSource.load`.

        Transparent pixels are blended with white, and images are rotated by their EXIF orientation.

        Raises:
            DataError: The folder has no class folders, or a file cannot be read as an image.
        """
        return self._load(size)

    def load_at(self, image_size: tuple[int, int], seed: int) -> LoadedData:
        """Decode all images and resize each straight to `image_size`; see `DataSource.load_at`."""
        return self._load(image_size)

    def _load(self, fit: Fit) -> LoadedData:
        listing = find_images(self.path)
        classes = sorted(set(listing.classes), key=natural_key)
        label_of = {name: label for label, name in enumerate(classes)}
        decoded = decode_once(listing.files, fit, self.channels, skip_unreadable=self.skip_unreadable)
        labels = torch.tensor([label_of[listing.classes[at]] for at in decoded.read], dtype=torch.int64)
        samples = ImageSet(decoded.images, labels, tuple(classes))
        parts = np.array([listing.parts[at] for at in decoded.read], dtype=np.str_)
        names = tuple(listing.files[at].relative_to(self.path).as_posix() for at in decoded.read)
        return LoadedData(samples, parts, (*listing.remarks(self.path), *decoded.remarks), names)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `folder`."""
    return {"folder": Folder}
