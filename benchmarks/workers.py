"""Measure two workers of the executor `process` against one process, and the start of workers.

    python benchmarks/workers.py                     # the digits, two workers of one thread
    python benchmarks/workers.py --set search.iterations=3 --folder /tmp/runs

Both runs have one seed and one thread for each process. The plain networks have a fixed number of epochs,
since their default number follows from the duration of the run. The script compares the duration from the
first candidate to the result, and every file of the networks.
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

import edanas
from edanas.executors.process import Process
from edanas.report.comparison import PLAIN_PART

PARTS = ("searching", "finishing the results", PLAIN_PART)
"""Parts of a run from the first candidate to the result."""


def import_torch(_: int) -> str:
    """Return the version of torch; the function of the workers whose start is measured."""
    import torch

    return str(torch.__version__)


def start_seconds(workers: int) -> float:
    """Return the seconds until so many workers have answered."""
    start = time.monotonic()
    with closing(Process(workers, threads=1)) as executor:
        list(executor.run(import_torch, range(workers)))
    return time.monotonic() - start


def run(folder: Path, executor: list[str], settings: list[str]) -> dict[str, float]:
    """Run the digits job, and return the seconds of its parts."""
    fixed = ["threads=1", "baseline.epochs=5", "baseline.share=1.0"]
    result = edanas.search(data="digits", out=folder, settings=[*executor, *fixed, *settings])
    return dict(result.data["seconds"])


def main() -> None:
    """Print seconds by part and executor, their ratio, and files that differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="a setting of both runs")
    parser.add_argument("--folder", type=Path, help="folder of both runs; default: a temporary folder")
    options = parser.parse_args()
    one, several = start_seconds(1), start_seconds(options.workers)
    print(
        f"start of 1 worker {one:.1f} s, of {options.workers} workers {several:.1f} s: {several / one:.2f}x"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        seconds = {}
        for name, more in (("serial", []), ("process", [f"executor.workers={options.workers}"])):
            seconds[name] = run(folder / name, [f"executor={name}", *more], options.set)
            print(name, seconds[name], flush=True)
        totals = {name: sum(each.get(part, 0) for part in PARTS) for name, each in seconds.items()}
        print(f"first candidate to result: {totals}, {totals['process'] / totals['serial']:.2f}x")
        files = {path.name for name in seconds for path in (folder / name / "models").iterdir()}
        paths = {name: [folder / each / "models" / name for each in seconds] for name in files}
        different = [
            name
            for name, both in paths.items()
            if not all(path.exists() for path in both) or both[0].read_bytes() != both[1].read_bytes()
        ]
        print(f"{len(files)} files of networks, different: {different or 'none'}")


if __name__ == "__main__":
    main()
