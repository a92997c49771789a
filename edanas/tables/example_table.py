"""A small random table for the examples in docstrings."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.types import Variable
from edanas.tables.file_format import SEGMENT_COSTS, Description
from edanas.tables.reader import Table


def example_table() -> Table:
    """Return a table in memory with 6 backbones, 2 exit points, 100 validation and 50 test samples.

    The exit profiles are random, but equal in every call.

    Example:
        >>> len(example_table())
        6
    """
    description = Description(
        backbones=6,
        variables=(
            Variable("width", (1, 2, 3), None, frozenset()),
            Variable("resolution", (8, 12), None, frozenset()),
        ),
        exit_points=2,
        thresholds=(None, 0.5, 0.9),
        criterion={"name": "max-probability", "options": {}},
        parts={"validation": 100, "test": 50},
        exhaustive=True,
        space_size=6,
        classes=("cat", "dog"),
    )
    rng = np.random.default_rng(0)
    genomes = np.array(list(description.backbone_space().genomes()), dtype=np.int16)
    arrays: dict[str, npt.NDArray[Any]] = {"genomes": genomes}
    for name in SEGMENT_COSTS:
        arrays[name] = 10 * (1 + genomes.sum(axis=1, keepdims=True)) * np.array([4, 4, 4, 1, 1, 1])
    for part, samples in description.parts.items():
        confidence = rng.uniform(0.2, 1.0, (6, 3, samples))
        correct = rng.uniform(size=confidence.shape) < confidence
        arrays[f"{part}.confidence"] = confidence.astype(np.float16)
        arrays[f"{part}.correct"] = np.packbits(correct, axis=2)
    return Table(Path("example.safetensors"), description, arrays, "0" * 64)
