from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edanas.core.errors import DataError
from edanas.core.machine import home
from edanas.data import cache
from edanas.data.decoding import decode


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(path)
    return paths


def cache_files() -> list[Path]:
    return sorted((home() / "decoded").glob("*"))


def same(one: tuple[torch.Tensor, tuple[str, ...]], other: tuple[torch.Tensor, tuple[str, ...]]) -> bool:
    return torch.equal(one[0], other[0]) and one[1] == other[1]


def test_the_second_time_nothing_is_decoded(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache.decode_once(files, 8, "auto")
    assert same(first, decode(files, 8, "auto"))
    assert first[1]
    monkeypatch.setattr(cache, "decode", lambda *_: pytest.fail("decoded again"))
    assert same(cache.decode_once(files, 8, "auto"), first)
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in files]
    assert same(cache.decode_once(moved, 8, "auto"), first)
    assert len(cache_files()) == 1


def test_another_content_order_or_argument_is_decoded_anew(files: list[Path]) -> None:
    before = cache.decode_once(files, 8, "auto")
    assert same(cache.decode_once(files[::-1], 8, "auto"), decode(files[::-1], 8, "auto"))
    assert same(cache.decode_once(files, 6, "auto"), decode(files, 6, "auto"))
    assert cache.decode_once(files, 8, "grey")[0].shape[1] == 1
    Image.fromarray(np.zeros((9, 7, 3), dtype=np.uint8)).save(files[1])
    after = cache.decode_once(files, 8, "auto")
    assert not torch.equal(after[0][1], before[0][1])
    assert len(cache_files()) == 5


def test_a_damaged_or_unwritable_cache_is_not_used(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = cache.decode_once(files, 8, "auto")
    cache_files()[0].write_bytes(cache_files()[0].read_bytes()[:-20])
    assert same(cache.decode_once(files, 8, "auto"), first)
    assert same(cache.decode_once(files, 8, "auto"), first)
    content = bytearray(cache_files()[0].read_bytes())
    content[-1] ^= 1
    cache_files()[0].write_bytes(content)
    assert same(cache.decode_once(files, 8, "auto"), first)
    assert cache_files()[0].read_bytes() != content
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "file"))
    assert same(cache.decode_once(files, 8, "auto"), first)


def test_an_unreadable_file_is_named(files: list[Path]) -> None:
    files[1].unlink()
    with pytest.raises(DataError, match=r"1\.png: cannot be read as an image"):
        cache.decode_once(files, 8, "auto")
