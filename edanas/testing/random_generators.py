"""Functions on the global random generators of `random`, NumPy and torch."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def generators_restored() -> Iterator[None]:
    """Restore the states of the global random generators at the end of the block."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - as below
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002 - as below


def seed_global_generators(seed: int) -> None:
    """Seed the global random generators of `random`, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is meant
    torch.manual_seed(seed)


def generator_states() -> dict[str, bytes]:
    """Return the state of each global random generator as bytes, by the name of its package."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    return {
        "random": repr(random.getstate()).encode(),
        "numpy": repr(numpy_state).encode() + numpy_state["state"]["key"].tobytes(),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
