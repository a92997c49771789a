"""A training's state in a file: what is blamed on it, and what is not."""

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
def test_where_memory_is_short_the_file_is_not_blamed(error, where, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "net.pt", "net")
    checkpoint.write({"step": 3})

    def fail(*given, **named):
        raise error

    if where == "reading":
        monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(type(error)) as raised, checkpoint.reading():
        fail()
    assert raised.value is error


def test_what_the_state_lacks_is_the_files_fault(tmp_path):
    checkpoint = Checkpoint(tmp_path / "net.pt", "net")
    checkpoint.write({"step": 3})
    with (
        pytest.raises(RunError, match=r"net\.pt: the net's checkpoint is damaged"),
        checkpoint.reading() as state,
    ):
        state["steps"]
