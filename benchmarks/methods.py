"""Compare published systems at an equal training budget: accuracy, executed MACs and seconds.

    python benchmarks/methods.py
    python benchmarks/methods.py --images FOLDER --tenth --methods default eenet

The data are digits, or a folder of class folders. Every run trains on the same images for the same number
of epochs, and finishes one network. Runs are kept in `--out`, and the same command continues. A system whose
candidates are trained one by one divides the epochs among them. For each column the table names a winner only
if its 95% interval over seeds (Student) lies apart from those of all other systems.

A system is one line of `METHODS`: its name, and settings beyond `COMMON`. `BUDGET` stands for a budget of
multiply-adds that suits the data.
"""

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import edanas
from edanas.core.errors import EdanasError

BUDGET = "BUDGET"
"""Text in settings in the place of which the data's budget of multiply-adds stands."""

COMMON: dict[str, Any] = {
    "plugin": "mbv3-sm",
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.5],
        "depths": [1, 2],
        "kernels": [3],
        "expansions": [3, 4],
        "stage_strides": [1, 2, 1, 2, 1],
        "final_expand": 96,
        "last_width": 128,
    },
    "surrogates": ["rbf"],
    "strategy": {"name": "surrogate-nsga2", "generations": 5},
    "objectives": ["accuracy", "executed-macs"],
    "thresholds": [0.3, 0.6, 0.9, "none"],
    "search": {"initial": 6, "iterations": 2, "per_iteration": 3, "results": 1},
    "finetune": {"epochs": 0},
    "baseline": {"epochs": 0},
    "recalibration": 384,
    "examples": 0,
    "threads": 1,
}
"""Settings of every system."""

EVALUATIONS = 12
"""Number of candidates of a run, by `COMMON`."""

GATED = {"name": "joint-combined", "combine": "soft-conditional", "own": 0.5}
NESTED = {"thresholds": "continuous", "strategy": "nested"}
GATES = {"criterion": "cumulative-gate", "thresholds": [0.2, 0.5, 0.7, "none"]}
CASCADE = {"supernet": {"name": "cascade", "of": COMMON["supernet"]}, "classifier": "carried"}

METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "nested": NESTED,
    "branchynet": {"criterion": "entropy"},
    "pabee": {"criterion": "patience", "thresholds": [1.0, "none"]},
    "layerwise": {"scheme": "layerwise"},
    "distill": {"scheme": "distill"},
    "mixed": {"scheme": "mixed"},
    "joint-combined": {"scheme": "joint-combined"},
    "differentiable branching": {"criterion": "learned-gate", "scheme": GATED},
    "correctness": {"criterion": "correctness"},
    "eenet": {"criterion": "eenet", "final_thresholds": {"name": "eenet", "max_macs": BUDGET}},
    "shallow-deep sdn": {"classifier": "mixed-pool", "scheme": "shallow-deep"},
    "shallow-deep ic-only": {"classifier": "mixed-pool", "scheme": "internal-classifiers"},
    "idk": {**CASCADE, "criterion": "learned-gate", "scheme": "idk"},
    "ofa": {"training": {"shrinking": True}},
    "big-little static": {**CASCADE, "final_thresholds": "big-little"},
    "l2w-den": {"scheme": "l2w-den"},
    "boostnet": {"inference": "boosted", "scheme": {"name": "joint", "rescale": True}},
    "ztw": {"inference": "ztw", "classifier": "mixed-pool", "scheme": "internal-classifiers"},
    "jei-dnn": {"scheme": "jei-dnn", "criterion": {"name": "uncertainty-gate", "own": 0.0}},
    "aebnas": {"classifier": "searched"},
    "risk": {"final_thresholds": {"name": "risk", "max_drop": "10%"}},
    "eero": {"final_thresholds": {"name": "eero", "max_macs": BUDGET}},
    "eefp": {"final_thresholds": "eefp"},
    "calibrated": {"final_thresholds": "calibrated"},
    "nachos": {
        **GATES,
        "scheme": {"name": "nachos", "max_macs": BUDGET},
        "final_thresholds": {"name": "nachos", "max_macs": BUDGET},
    },
    "edanas": {"strategy": {"name": "nsga2-joint", "generations": 5}, "final_thresholds": "grid"},
    "hadas": {"thresholds": "continuous", "strategy": "two-level", "scheme": "distill"},
    "eexnas": {"strategy": {"name": "single-exit", "exit": 2, "generations": 5}},
    "msunas": {"strategy": {"name": "nsga2-backbone", "generations": 5, "extremes": True}},
}
"""Settings of each system beyond `COMMON`."""


class Data(NamedTuple):
    """The data of a comparison.

    Args:
        settings: Settings that follow from the data.
        epochs: Epochs of training in a run.
        macs: Two budgets of executed multiply-adds; the first takes the place of `BUDGET`.
    """

    settings: dict[str, Any]
    epochs: int
    macs: tuple[float, float]


def digits(epochs: int) -> Data:
    """Return the handwritten digits of scikit-learn at 8 pixels."""
    settings = {"data": "digits", "supernet": {"resolutions": [8], "stem_stride": 1}}
    return Data(settings | {"training": {"batch_size": 48, "learning_rate": 0.005}}, epochs, (300e3, 600e3))


def photographs(folder: Path, epochs: int) -> Data:
    """Return a folder of photographs of 32 pixels."""
    settings = {"data": str(folder), "supernet": {"resolutions": [32], "stem_stride": 2}}
    training = {"batch_size": 64, "learning_rate": 0.005, "augment": ["shift", "flip"]}
    return Data(settings | {"training": training}, epochs, (1.0e6, 2.0e6))


def settings_of(method: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """Return the settings of a run: those of all systems, of the data, and of one system, in this order."""
    settings = merged(merged(COMMON, data.settings), {"training": {"epochs": data.epochs}})
    own = _with_budget(method, data.macs[0])
    if isinstance(own.get("supernet"), Mapping) and own["supernet"].get("name") == "cascade":
        inner = settings.pop("supernet")
        own = {**own, "supernet": {**own["supernet"], "of": inner}}
    settings = {**settings, **own} if "training" not in own else merged(settings, own)
    if settings.get("evaluation") == "finetune":
        settings["training"] = {**settings["training"], "epochs": max(1, data.epochs // EVALUATIONS)}
    return settings


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings in which those of `above` replace those of `below`."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def _with_budget(value: Any, macs: float) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_budget(each, macs) for key, each in value.items()}
    return macs if value == BUDGET else value


class Column(NamedTuple):
    """A column of the table.

    Args:
        name: Heading.
        values: The values of each system, one for each seed; `None` = the run has none.
        rises: True if larger values are better.
        scale: Factor of the printed numbers.
    """

    name: str
    values: Mapping[str, Sequence[float | None]]
    rises: bool
    scale: float

    def interval(self, method: str) -> tuple[float, float, float] | None:
        """Return mean, lower and upper bound of a system; `None` if a seed has no value.

        With one seed, the bounds are infinite.
        """
        values = [value for value in self.values[method] if value is not None]
        if not values or len(values) < len(self.values[method]):
            return None
        count, mean, reach = len(values), statistics.fmean(values), math.inf
        if count > 1:
            reach = student(count) * statistics.stdev(values) / math.sqrt(count)
        return mean, mean - reach, mean + reach

    def winner(self) -> str | None:
        """Return the best system, if its interval lies apart from those of all other systems."""
        known = {name: each for name in self.values if (each := self.interval(name)) is not None}
        if len(known) < 2:
            return None
        sign = 1 if self.rises else -1
        best = max(known, key=lambda name: sign * known[name][0])
        low, high = known[best][1:]
        others = [known[name] for name in known if name != best]
        apart = all(low > other[2] if self.rises else high < other[1] for other in others)
        return best if apart else None


def student(samples: int) -> float:
    """Return the half-width of the central 95% of Student's distribution for a number of values."""
    from scipy.stats import t

    return float(t.ppf(0.975, samples - 1))


def columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the columns of the table from `Comparison.rows`."""
    names = list(dict.fromkeys(row["method"] for row in rows))

    def values(key: str) -> dict[str, list[float | None]]:
        return {name: [row[key] for row in rows if row["method"] == name] for name in names}

    result = [
        Column("accuracy, %", values("accuracy"), rises=True, scale=100),
        Column("executed MACs, k", values("executed_macs"), rises=False, scale=1e-3),
        Column("hypervolume", values("hypervolume"), rises=True, scale=1),
        Column("seconds", values("seconds"), rises=False, scale=1),
    ]
    for budget in rows[0]["within"]:
        within = {name: [row["within"][budget] for row in rows if row["method"] == name] for name in names}
        result.append(Column(f"accuracy within {budget / 1e3:.0f}k, %", within, rises=True, scale=100))
    return result


def table(parts: Sequence[Column]) -> str:
    """Return the table in Markdown, with half-widths of intervals, then a line on the winners."""
    lines = ["| system | " + " | ".join(part.name for part in parts) + " |", "|---" * (len(parts) + 1) + "|"]
    for name in parts[0].values:
        cells = [_cell(part, name) for part in parts]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    winners = [f"{part.name}: {part.winner() or 'none, the intervals overlap'}" for part in parts]
    return "\n".join([*lines, "", "Winners. " + "; ".join(winners) + "."])


def _cell(part: Column, name: str) -> str:
    interval = part.interval(name)
    if interval is None:
        return "-"
    mean, _, high = interval
    reach = f" ± {part.scale * (high - mean):.2f}" if math.isfinite(high) else ""
    return f"{part.scale * mean:.2f}{reach}"


def a_tenth(folder: Path, out: Path) -> Path:
    """Copy every tenth image of each class to `out`, and return that folder."""
    source = folder / "train" if (folder / "train").is_dir() else folder
    for path in sorted(each for each in source.iterdir() if each.is_dir()):
        (out / path.name).mkdir(parents=True, exist_ok=True)
        for image in sorted(path.iterdir())[::10]:
            shutil.copyfile(image, out / path.name / image.name)
    return out


def main() -> None:
    """Run every system with every seed, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="folder of class folders; by default digits")
    parser.add_argument("--tenth", action="store_true", help="use every tenth image of each class")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=0, help="epochs of a run; default 30 or 12")
    parser.add_argument("--out", type=Path, default=None, help="folder of the runs; default temporary")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; edanas "
        f"{version('edanas')}, torch {version('torch')}, numpy {np.__version__}; seeds {options.seeds}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        data = digits(options.epochs or 30)
        if options.images:
            folder = a_tenth(options.images, out / "tenth") if options.tenth else options.images
            data = photographs(folder, options.epochs or 12)
        results, names = [], []
        for name in options.methods:
            for seed in options.seeds:
                run = out / f"{name.replace(' ', '-')}-{seed}"
                settings = settings_of(METHODS[name], data)
                try:
                    results.append(edanas.search(out=run, seed=seed, settings=settings))
                    names.append(name)
                except EdanasError as error:
                    print(f"{name}, seed {seed}: {error}", file=sys.stderr)
        compared = edanas.compare(results, names=names, budgets=data.macs)
        print(table(columns(compared.rows())))
        if options.out:
            (out / "methods.json").write_text(json.dumps(compared.rows(), indent=1))


if __name__ == "__main__":
    main()
