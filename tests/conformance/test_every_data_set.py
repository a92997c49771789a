from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edanas.core.contracts import DataSource
from edanas.plugins.registry import Registry
from edanas.testing import check_data_set, check_missing_data

KIND = "data set"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three class folders with images of several sizes, modes and formats."""
    rng = np.random.default_rng(0)
    for label, shade in (("dark", 30), ("grey", 110), ("light", 190)):
        (tmp_path / label).mkdir()
        for number, side in enumerate((8, 12, 70)):
            pixels = rng.integers(shade, shade + 60, (side, side + number, 3), dtype=np.uint8)
            suffix, mode = (("png", "RGB"), ("jpg", "L"), ("bmp", "RGB"))[number]
            Image.fromarray(pixels).convert(mode).save(tmp_path / label / f"{number}.{suffix}")
    return tmp_path


def test_conforms(registry: Registry, name: str, images: Path) -> None:
    """Sources with a path read local images; sources that download are checked without data."""
    options = registry.parameters(KIND, name)
    source: DataSource = registry.create(KIND, name, {"path": str(images)} if "path" in options else {})
    if "download" in options:
        check_missing_data(source)
    else:
        check_data_set(source)


def test_a_folder_in_parts_conforms(registry: Registry, images: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("dark", "light"):
            (tmp_path / "parts" / part / label).mkdir(parents=True)
            image = images / label / "0.png"
            (tmp_path / "parts" / part / label / "0.png").write_bytes(image.read_bytes())
    check_data_set(registry.create(KIND, "folder", {"path": str(tmp_path / "parts")}))
