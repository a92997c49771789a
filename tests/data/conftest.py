from pathlib import Path

import pytest
from image_folders import save


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Two classes of two grey 8x8 images."""
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.png", "b/2.png")):
        save(tmp_path / name, value=number)
    return tmp_path


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    for part in ("train", "val", "test"):
        for number, name in enumerate("ab"):
            save(tmp_path / part / name / "1.png", value=number)
    return tmp_path
