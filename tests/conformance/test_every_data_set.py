from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edanas.core.contracts import DataSource
from edanas.data.sample_set import EqualSamples, SampleSet
from edanas.data.sample_store import store
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


def _arrays() -> dict[str, np.ndarray]:
    labels = np.repeat(["dark", "grey", "light"], 3)
    shades = np.repeat([30, 110, 190], 3)[:, None, None]
    noise = np.random.default_rng(0).integers(0, 60, (9, 12, 13))
    return {"x": (shades + noise).astype(np.uint8), "y": labels}


@pytest.fixture
def data(images: Path, tmp_path: Path) -> dict[str, dict[str, str]]:
    """Options by data set; a data set that is not listed gets the folder of images, if it reads a path."""
    arrays = _arrays()
    np.savez(tmp_path / "arrays.npz", **arrays)
    rows = [f"{path},{path.parent.name}" for path in sorted(images.glob("*/*.*"))]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *rows]))
    samples = SampleSet.of(EqualSamples(arrays["x"]), arrays["y"])
    return {
        "npz": {"path": str(tmp_path / "arrays.npz")},
        "csv": {"path": str(tmp_path / "table.csv")},
        "arrays": {"digest": store(samples)},
    }


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A parquet file of grey images."""
    datasets = pytest.importorskip("datasets", reason="the extra `hf` is not installed")
    arrays = _arrays()
    pictures = [Image.fromarray(image) for image in arrays["x"]]
    table = datasets.Dataset.from_dict({"image": pictures, "label": list(arrays["y"])})
    table.to_parquet(tmp_path / "train.parquet")
    return tmp_path / "train.parquet"


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder of two class folders with tones."""
    soundfile = pytest.importorskip("soundfile", reason="the extra `sound` is not installed")
    for label, hertz in (("low", 300), ("high", 2000)):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(3):
            tone = np.sin(2 * np.pi * (hertz + 40 * number) * np.arange(3000) / 8000)
            soundfile.write(tmp_path / "sounds" / label / f"{number}.wav", tone, 8000)
    return tmp_path / "sounds"


def test_conforms(
    registry: Registry,
    name: str,
    images: Path,
    data: dict[str, dict[str, str]],
    request: pytest.FixtureRequest,
) -> None:
    """Sources with a path read local files; sources that download are checked without data."""
    parameters = registry.parameters(KIND, name)
    options = data.get(name, {"path": str(images)} if "path" in parameters else {})
    if name in ("sound", "parquet"):
        options = {"path": str(request.getfixturevalue("sounds" if name == "sound" else name))}
    source: DataSource = registry.create(KIND, name, options)
    if "download" in parameters:
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
