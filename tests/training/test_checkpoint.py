"""Checkpoints: errors of a damaged file, and errors of memory exhaustion."""

import errno

import pytest
import torch

from edanas.core.errors import RunError
from edanas.training.checkpoint import Checkpoint


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("CUDA error: out of memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["reading", "loading"])
def test_memory_exhaustion_is_not_reported_as_a_damaged_file(error, where, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "net.pt", "net")
    checkpoint.write({"step": 3})

    def fail(*args, **kwargs):
        raise error

    if where == "reading":
        monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(type(error)) as raised, checkpoint.reading():
        fail()
    assert raised.value is error


def test_a_missing_entry_is_reported_as_a_damaged_file(tmp_path):
    checkpoint = Checkpoint(tmp_path / "net.pt", "net")
    checkpoint.write({"step": 3})
    with (
        pytest.raises(RunError, match=r"net\.pt: the net's checkpoint is damaged"),
        checkpoint.reading() as state,
    ):
        state["steps"]
