"""Checkpoints: errors of a damaged file, and errors of memory exhaustion."""

import errno
from pathlib import Path

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


@pytest.mark.parametrize("damage", ["bit", "half", "text", "pickle"])
def test_a_damaged_file_is_reported_without_torchs_advice(damage, tmp_path):
    checkpoint = Checkpoint(tmp_path / "net.pt", "net")
    checkpoint.write({"weight": torch.arange(1000.0), "step": 3})
    content = bytearray(checkpoint.path.read_bytes())
    if damage == "bit":
        at = content.index(torch.arange(1000.0).numpy().tobytes())
        content[at + 800] ^= 1
    elif damage == "pickle":
        torch.save({"weight": Path("x")}, tmp_path / "other.pt")
        content = (tmp_path / "other.pt").read_bytes()
    checkpoint.path.write_bytes(
        {"half": content[: len(content) // 2], "text": b"no weights"}.get(damage, content)
    )
    with pytest.raises(RunError, match="checkpoint is damaged") as raised, checkpoint.reading():
        pass
    for advice in ("weights_only", "arbitrary", "trusted", "add_safe_globals"):
        assert advice not in str(raised.value)
    if damage == "bit":
        assert "does not match its checksum" in str(raised.value)
