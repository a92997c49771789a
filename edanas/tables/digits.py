"""A small table of a whole search space on the digits data set, for benchmarks of search methods.

The table is built in minutes and needs no download.
"""

from pathlib import Path
from typing import Any

from edanas.core.progress import Progress
from edanas.tables.builder import build
from edanas.tables.reader import Table

SETTINGS: dict[str, Any] = {
    "data": "digits",
    "plugin": "mbv3-sm",
    "preset": "quick",
    "seed": 0,
    "threads": 1,
    "evaluation": "shared",
    # Depths of five stages, two widths, two resolutions: 3^5 x 2 x 2 = 972 backbones.
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.35, 0.5],
        "resolutions": [8, 16],
        "depths": [1, 2, 3],
        "kernels": [3],
        "expansions": [3],
        "stem_stride": 1,
        "stage_strides": [2, 2, 1, 1, 2],
        "final_expand": 480,
        "last_width": 640,
    },
    # With few validation and test samples, the result of a search would be mostly luck.
    "split": {"train": 0.5, "calibration": 0.05, "validation": 0.2, "test": 0.25},
    "training": {"epochs": 24},
    "executor": {"name": "process", "workers": 2},
}


def digits_table(path: str | Path, progress: Progress | None = None) -> Table:
    """Return the table at `path`; if the file is missing, build the table first.

    The table holds 972 backbones with their exit profiles on the validation part and the test part.

    Args:
        path: Path of the table's file. The working folder is `PATH.work`.
        progress: Displays progress bars; the default is the same as for `edanas.search`.

    Raises:
        EdanasError: The file cannot be written, or holds a different table.
    """
    return build(out=path, backbones=972, held_out="test", settings=SETTINGS, progress=progress)
