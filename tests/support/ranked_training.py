"""A small supernet trained by several processes; as a program, one of these processes."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch
from supernet_trainings import SETTINGS, fresh, trainer

from edanas.core.progress import Silent
from edanas.training.ranks import joined
from edanas.training.sandwich import SandwichTraining
from edanas.training.schedule import TimeSlice

SETTINGS_20 = replace(SETTINGS, epochs=10, augment=(), optimizer="sgd", learning_rate=2e-4)
"""Twenty steps. AdamW would turn the rounding of a gradient that is 0 into a full step."""


class Steps(TimeSlice):
    """A time slice that is over after a number of steps."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def is_over(self) -> bool:
        self.left -= 1
        return self.left < 0


def training(path: Path, **changes: object) -> SandwichTraining:
    return trainer(path, fresh(dropout=0.0), replace(SETTINGS_20, **changes))


def start(count: int, *arguments: object) -> list[subprocess.Popen[str]]:
    """Start this file as `count` processes of one launch."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def main(folder: Path) -> None:
    """Train three networks: whole; for half of its steps; and in parts of a batch."""
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        for name, steps, changes in (
            ("whole", 20, {}),
            ("half", 2, {}),
            ("parts", 2, {"micro_batch_size": 8}),
            ("own", 2, {"sync_batch_norm": False}),
        ):
            each = training(folder / f"{name}.pt", **changes)
            if ranks.leads:
                each.run(Silent(), Steps(steps))
            else:
                each.repeat(*ranks.next_call())
                torch.save(each.network.state_dict(), folder / f"{name}-{ranks.at.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
