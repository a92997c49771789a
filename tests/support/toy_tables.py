"""A table of toy networks: 96 backbones, two exit points, four classes."""

import functools
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from edanas.core.progress import Silent
from edanas.evaluation.shared import SharedEvaluation
from edanas.executors.serial import Serial
from edanas.tables.backbone_choice import choose_backbones
from edanas.tables.file_format import Description
from edanas.tables.journal import Journal
from edanas.tables.row_profiler import RowProfiler
from edanas.tables.table_writer import TableWriter
from edanas.testing.evaluations import toy_workbench


@functools.cache
def evaluator() -> SharedEvaluation:
    """Return an evaluation prepared on the toy workbench, in a folder that exists until the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="toy-supernet-")
    evaluation = SharedEvaluation(toy_workbench(Path(folder.name)))
    evaluation.folder = folder
    evaluation.prepare(Silent())
    return evaluation


def description(**changed) -> Description:
    bench = evaluator().workbench
    values = {
        "backbones": 1,
        "variables": bench.provider.variables(),
        "exit_points": bench.provider.exit_points,
        "thresholds": (0.3, 0.6, None),
        "criterion": {"name": "toy", "options": {}},
        "parts": {"validation": 40, "test": 12},
        "exhaustive": False,
        "space_size": 96,
        "classes": bench.parts.train.classes,
        "provenance": {"settings": {"seed": 0}},
    }
    return Description(**{**values, **changed})


def profiler() -> RowProfiler:
    bench = evaluator().workbench
    return RowProfiler(evaluator(), 2, 1, {"validation": bench.parts.validation, "test": bench.parts.test})


def fill(path: Path, genomes: np.ndarray, **parts) -> None:
    """Write a table of these backbones; its unfinished rows are in `rows.journal` beside it."""
    components = {"profiler": profiler(), "executor": Serial(), "progress": Silent(), **parts}
    with closing(Journal(path.with_name("rows.journal"), {"supernet": "toy"})) as journal:
        TableWriter(description(), genomes, journal, **components).run(path)


def genomes(count: int = 96) -> np.ndarray:
    return choose_backbones(description().backbone_space(), count, 0)
