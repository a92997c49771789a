"""Arrays above a limit are in files, and hold what arrays in memory hold."""

import gc

import numpy as np
import pytest
import torch

from edanas.core import mapped
from edanas.core.mapped import empty_bytes, joined_rows, released, rows_at
from edanas.core.settings import SplitSettings
from edanas.core.types import ImageSet, LoadedData
from edanas.data.splits import split
from edanas.run.provenance import digest_of_parts


@pytest.fixture
def _small_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path))
    monkeypatch.setattr(mapped, "LARGEST", 100)
    monkeypatch.setattr(mapped, "CHUNK", 64)


def images(count=60):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, 4, 4), dtype=np.uint8))


@pytest.mark.usefixtures("_small_memory")
def test_rows_in_a_file_equal_rows_in_memory(tmp_path):
    pixels, order = images(), np.random.default_rng(1).permutation(60)
    copy = rows_at(pixels, order)
    assert torch.equal(copy, pixels[torch.from_numpy(order)])
    assert torch.equal(joined_rows([copy, pixels]), torch.cat([copy, pixels]))
    assert not list((tmp_path / "samples").iterdir())


def test_small_arrays_stay_in_memory():
    assert not isinstance(empty_bytes((2, 3)), np.memmap)


@pytest.mark.usefixtures("_small_memory")
def test_pages_leave_the_process_and_come_back():
    array = empty_bytes((1000,))
    assert isinstance(array, np.memmap)
    array[:] = np.arange(1000) % 251
    assert released(array) is array
    for _ in range(3):
        mapped.release()
        assert array.tolist() == (np.arange(1000) % 251).tolist()
    count = len(mapped._maps)
    del array
    gc.collect()
    mapped.release()
    assert len(mapped._maps) < count


def test_a_split_of_mapped_images_has_the_digest_of_one_in_memory(tmp_path, monkeypatch):
    samples = ImageSet(images(), torch.arange(60) % 2, ("a", "b"))
    data = LoadedData(samples, np.full(60, ""))
    before = split(data, SplitSettings(), 0)
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path))
    monkeypatch.setattr(mapped, "LARGEST", 100)
    monkeypatch.setattr(mapped, "CHUNK", 50)
    after = split(data, SplitSettings(), 0)
    assert digest_of_parts(after) == digest_of_parts(before)
    assert (after.mean, after.std) == (before.mean, before.std)
