"""Functions that write small images and load folders of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from edanas.core.types import LoadedData
from edanas.data.folder import Folder


def save(
    path: Path, size: tuple[int, int] = (8, 8), mode: str = "L", value: int = 0, **options: object
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(value)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if mode == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path, **options)
    else:
        Image.fromarray(pixels).convert(mode).save(path, **options)


def load(path: Path, size: int = 8, **options: str) -> LoadedData:
    return Folder(path=str(path), **options).load(size, 0)


def odd_files(folder: Path) -> Iterator[Path]:
    """Write images of many sizes, modes and formats, and yield their paths in order."""
    for number, size in enumerate(((8, 8), (5, 7), (8, 5), (23, 8), (40, 61), (130, 90))):
        for mode in ("1", "L", "RGB", "RGBA", "P", "LA"):
            path = folder / f"{number}-{mode}.png"
            save(path, size, mode, value=number)
            yield path
        for mode in ("L", "RGB", "CMYK"):
            path = folder / f"{number}-{mode}.jpg"
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = 1 + (number * 3 + len(mode)) % 8
            save(path, size, mode, value=number, exif=exif)
            yield path
