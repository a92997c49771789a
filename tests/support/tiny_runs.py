"""What the tests of the whole program share: tiny pictures, a tiny run's settings, and how to read one."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from edanas.core.archive import Archive

SETTINGS = """
preset = "quick"
device = "cpu"
threads = 1
surrogates = ["rbf"]
thresholds = [0.05, 0.3, "none"]
recalibration = 32

[supernet]
name = "ofa-mbv3"
widths = [0.1]
resolutions = [8]
depths = [1, 2]
kernels = [3, 5]
expansions = [3]
stem_stride = 1
stage_strides = [1, 2, 1, 2, 1]
final_expand = 64
last_width = 64

[strategy]
name = "surrogate-nsga2"
generations = 4

[search]
initial = 6
iterations = 1
per_iteration = 3
results = 2

[training]
epochs = 2
batch_size = 32
learning_rate = 0.01

[finetune]
epochs = 1
batch_size = 32
"""


class Told(NamedTuple):
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Edanas = Callable[..., Told]


def draw(path: Path, label: int, number: int, side: int = 8, mode: str = "L") -> None:
    """An image of class `label` (rows, columns, or neither, lit) with noise, the same every time."""
    rng = np.random.default_rng([label, number])
    pixels = rng.integers(0, 60, (8, 8))
    if label < 2:
        at = [slice(None), slice(None)]
        at[label] = slice(int(rng.integers(0, 2)), None, 3)
        pixels[tuple(at)] += 180
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    image.convert(mode).save(path)


def draw_classes(folder: Path, names: Sequence[str], count: int) -> None:
    """A class folder for each of `names`, of `count` images each."""
    for label, name in enumerate(names):
        for number in range(count):
            draw(folder / name / f"{number}.png", label, number)


CLASSES = ("columns", "rows", "noise")


def recorded(folder: Path) -> list[Any]:
    """What the archive holds, seconds aside: genomes with evaluations, in order."""
    with Archive(folder) as archive:
        return [(genome.tolist(), evaluation) for genome, evaluation in archive.replay()]


def result_of(folder: Path) -> dict[str, Any]:
    """The content of `result.json`."""
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def refused(told: Told, *parts: str) -> str:
    """The one error, on standard error and nowhere else, that holds all of `parts`."""
    assert told.code == 2, told.err
    assert "Traceback" not in told.out + told.err
    errors = [line for line in told.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, told.err
    assert errors[0] == told.err.splitlines()[-1]
    for part in parts:
        assert part in errors[0]
    return errors[0]
