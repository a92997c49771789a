"""The place of this process among those that torchrun, or another launcher, started for one training."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that every launcher for torch.distributed sets."""


@dataclass(frozen=True)
class Place:
    """The rank of a process, among all processes of a launch and among those of its machine.

    Args:
        rank: Number of the process, from 0.
        count: Number of processes.
        local_rank: Number of the process on its machine, from 0.
        local_count: Number of processes on its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1


def place(environment: Mapping[str, str] | None = None) -> Place:
    """Return the place of this process; a process that no launcher started is alone.

    Args:
        environment: The environment variables; `None`, the default, means those of this process.

    Example:
        >>> place({"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}).rank
        3
        >>> place({})
        Place(rank=0, count=1, local_rank=0, local_count=1)
    """
    values = os.environ if environment is None else environment
    if not all(values.get(name) for name in _VARIABLES):
        return Place()
    rank, count = int(values["RANK"]), int(values["WORLD_SIZE"])
    local_rank, local_count = values.get("LOCAL_RANK", "0"), values.get("LOCAL_WORLD_SIZE", "1")
    return Place(rank, count, int(local_rank), int(local_count))
