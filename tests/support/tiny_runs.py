"""Images and settings of tiny runs of the whole program, and functions that read such a run."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from edanas.core.archive import Archive
from edanas.core.records import without_checksums

SETTINGS = """
preset = "quick"
device = "cpu"
threads = 1
surrogates = ["rbf"]
thresholds = [0.05, 0.3, "none"]
recalibration = 32
# Few calibration samples: thresholds set on them would often leave no sample to an exit.
final_thresholds = "grid"

[split]
train = 0.55
calibration = 0.1
validation = 0.15
test = 0.2

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

[baseline]
epochs = 1
share = 1.0
"""


class Output(NamedTuple):
    """Exit code, standard output and standard error of a command."""

    code: int
    out: str
    err: str


Edanas = Callable[..., Output]


def draw(path: Path, label: int, number: int, side: int = 8, mode: str = "L") -> None:
    """Write an image of class `label` (bright rows, bright columns or neither) with fixed noise."""
    rng = np.random.default_rng([label, number])
    pixels = rng.integers(0, 60, (8, 8))
    if label < 2:
        lit = [slice(None), slice(None)]
        lit[label] = slice(int(rng.integers(0, 2)), None, 3)
        pixels[tuple(lit)] += 180
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    image.convert(mode).save(path)


def draw_classes(folder: Path, names: Sequence[str], count: int) -> None:
    """Write a class folder of `count` images for each of `names`."""
    for label, name in enumerate(names):
        for number in range(count):
            draw(folder / name / f"{number}.png", label, number)


CLASSES = ("columns", "rows", "noise")


def recorded(folder: Path) -> list[Any]:
    """Return the genomes of the archive with their evaluations, in order."""
    with Archive(folder) as archive:
        return [(genome.tolist(), evaluation) for genome, evaluation in archive.replay()]


def result_of(folder: Path) -> dict[str, Any]:
    """Return the content of `result.json` without its checksums, which match it."""
    return without_checksums(json.loads((folder / "result.json").read_text()))


def refused(output: Output, *parts: str) -> str:
    """Return the only error line, which stands last on standard error and contains all of `parts`."""
    assert output.code == 2, output.err
    assert "Traceback" not in output.out + output.err
    errors = [line for line in output.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, output.err
    assert errors[0] == output.err.splitlines()[-1]
    for part in parts:
        assert part in errors[0]
    return errors[0]
