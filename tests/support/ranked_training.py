"""A small supernet trained by several processes."""

import socket
from dataclasses import replace
from pathlib import Path

import torch
from forked import Forked
from supernet_trainings import SETTINGS, Steps, fresh, trainer

from edanas.core.progress import Silent
from edanas.training.ranks import joined
from edanas.training.sandwich import SandwichTraining

SETTINGS_10 = replace(
    SETTINGS, epochs=5, augment=(), optimizer="sgd", learning_rate=2e-4, sync_batch_norm=True
)
"""Ten steps. AdamW would turn the rounding of a gradient that is 0 into a full step."""


def training(path: Path, **changes: object) -> SandwichTraining:
    return trainer(path, fresh(dropout=0.0), replace(SETTINGS_10, **changes))


def start(count: int, folder: Path) -> list[Forked]:
    """Start `count` processes of one launch, which train in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        Forked(
            lambda: main(folder),
            {**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)},
        )
        for rank in range(count)
    ]


def main(folder: Path) -> None:
    """Train three networks: whole; for half of its steps; and in parts of a batch."""
    with joined("cpu") as ranks:
        for name, steps, changes in (
            ("whole", 10, {}),
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
