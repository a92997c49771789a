"""A process of torchrun is killed: all others end with advice, and one process resumes the training."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pretrainer
from waiting import PATIENCE

from edanas.core.progress import Silent
from edanas.run.pretraining import train_supernet

EPOCHS = 2000
"""More epochs than the test has time for."""


def ranks(launcher: int) -> dict[str, int]:
    """Return the process ids of the children of torchrun by rank."""
    processes = {}
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        variables = Path(f"/proc/{child}/environ").read_text().split("\0")
        processes |= {entry.partition("=")[2]: int(child) for entry in variables if entry.startswith("RANK=")}
    return processes


def test_a_killed_rank_ends_all_and_one_process_resumes(tmp_path: Path) -> None:
    out = tmp_path / "digits.safetensors"
    state = out.with_name(f"{out.name}.work") / "supernet.pt"
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node=2")
    command = [sys.executable, "-m", *torchrun, pretrainer.__file__, str(out), str(EPOCHS)]
    launcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + PATIENCE
    while not state.exists() and launcher.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(ranks(launcher.pid)["1"], signal.SIGKILL)
    errors = launcher.communicate(timeout=60)[1]
    assert launcher.returncode != 0
    assert "another process of the training ended" in errors
    assert "run the same command again to resume it" in " ".join(errors.split())
    order = pretrainer.tiny_order(out)
    settings = pretrainer.changed_epochs(order.settings, EPOCHS)
    done = train_supernet(
        pretrainer.registry(), replace(order, settings=settings, half=False, time_limit=0.0), Silent()
    )
    assert done.steps[0] > 0
    assert not done.finished
