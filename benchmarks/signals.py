"""`signal-sm` beside ROCKET and nearest neighbours under dynamic time warping, on one `.npz` file.

    python benchmarks/signals.py edanas FILE --train 137 --seeds 0 1 2 --seconds 300 --out OUT
    python benchmarks/signals.py rivals FILE --train 137

FILE holds series `x` (N, C, L) and classes `y`. The first `--train` samples are the official training part.
The rest is the test part, which each method sees once. `edanas` prints the early-exit network with the
highest validation accuracy of each seed, and then the medians. Beside it stands the cheapest single-exit
network, cut ones included, that is as accurate on the validation part, or else the most accurate one.
`rivals` needs the package `aeon`, and prints accuracy, seconds of prediction and multiply-adds a series.
Those of ROCKET are the weights of all kernels at each position, those of DTW the cells for each training
series; nothing limits the warping.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Training series, their classes, test series, their classes."""


def read(path: Path, train: int) -> Arrays:
    """Return the official parts of a file."""
    with np.load(path) as file:
        x, y = file["x"].astype(np.float64), file["y"].astype(int)
    return x[:train], y[:train], x[train:], y[train:]


def edanas_runs(arrays: Arrays, seeds: list[int], seconds: float, out: Path, preset: str) -> None:
    """Print a line for each seed, and the medians."""
    import edanas

    train, labels, test, truth = arrays
    data = {"train": (train.astype(np.float32), labels), "test": (test.astype(np.float32), truth)}
    figures = []
    for seed in seeds:
        start = time.monotonic()
        result = edanas.search(
            data, "signal-sm", preset=preset, seed=seed, time_limit=seconds, out=out / f"seed{seed}"
        )
        rows = result.early_exit or result.single_exit
        best = max(rows, key=lambda row: (row.validation_accuracy, -row.executed_macs))
        singles = [*result.single_exit, *([] if result.single_exit else [best])]
        aim = min(best.validation_accuracy, max(row.validation_accuracy for row in singles))
        accurate = [row for row in singles if row.validation_accuracy >= aim]
        rival = min(accurate, key=lambda row: row.executed_macs)
        share = best.executed_macs / rival.executed_macs
        figures.append(
            (best.test_accuracy, best.executed_macs, rival.test_accuracy, rival.executed_macs, share)
        )
        print(
            f"seed {seed}: accuracy {best.test_accuracy:.2%}, {best.executed_macs:,.0f} MACs; single exit "
            f"{rival.test_accuracy:.2%}, {rival.executed_macs:,.0f} MACs; share {share:.2f}; "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
    accuracy, macs, single, single_macs, share = (
        statistics.median(each) for each in zip(*figures, strict=True)
    )
    print(
        f"median: accuracy {accuracy:.2%}, {macs:,.0f} MACs; single exit {single:.2%}, "
        f"{single_macs:,.0f} MACs; share {share:.2f}"
    )


def rivals(arrays: Arrays) -> None:
    """Print a line for ROCKET and one for nearest neighbours under dynamic time warping."""
    from aeon.classification.convolution_based import RocketClassifier
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    train, labels, test, truth = arrays
    channels, length = train.shape[1:]
    rocket = RocketClassifier(n_kernels=10_000, random_state=0)
    # Kernels have 9 weights on average, on about half of the channels in ROCKET's draws.
    rocket_macs = 10_000 * 9 * max(1, channels // 2) * length
    neighbours = KNeighborsTimeSeriesClassifier(n_neighbors=1, distance="dtw")
    cells = len(train) * length**2 * channels
    for name, method, macs in (("ROCKET", rocket, rocket_macs), ("DTW 1-NN", neighbours, cells)):
        method.fit(train, labels)
        start = time.monotonic()
        accuracy = float((method.predict(test) == truth).mean())
        seconds = time.monotonic() - start
        print(
            f"{name}: accuracy {accuracy:.2%}; {1e3 * seconds / len(test):.2f} ms and about {macs:,} "
            "multiply-adds a series",
            flush=True,
        )


def main() -> None:
    """Parse the command line and run one of the two comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["edanas", "rivals"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--train", type=int, required=True, help="number of training series")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=300.0, help="time limit of a run")
    parser.add_argument("--preset", default="auto")
    parser.add_argument("--out", type=Path, default=Path("signals-runs"))
    options = parser.parse_args()
    arrays = read(options.file, options.train)
    if options.what == "rivals":
        rivals(arrays)
    else:
        edanas_runs(arrays, options.seeds, options.seconds, options.out, options.preset)


if __name__ == "__main__":
    main()
