"""Run the README's first command over several seeds, and compare its early-exit and single-exit networks.

Each seed is one run of the bundle `mbv3-sm` with its quick preset on scikit-learn's digits. The script prints
the seconds, and the test accuracy and executed MACs of each early-exit network. Beside each one it prints the
cheapest single-exit network of the same search with at least the same test accuracy, and the ratio of MACs.

    python benchmarks/quick.py                 # seeds 0, 1 and 2
    python benchmarks/quick.py --seeds 7 --set training.epochs=4
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version

import edanas


def compared(result: edanas.Result) -> list[tuple[str, float | None]]:
    """Return a line for each early-exit network, and its ratio of MACs to an equally accurate single exit."""
    lines = []
    for row in sorted(result.front, key=lambda row: row["executed_macs"]):
        accuracy, macs = row["test_accuracy"], row["executed_macs"]
        rivals = [r["executed_macs"] for r in result.static_front if r["test_accuracy"] >= accuracy]
        ratio = macs / min(rivals) if rivals else None
        comparison = (
            f"single exit {min(rivals) / 1e6:.3f}M, ratio {ratio:.2f}" if ratio else "no such single exit"
        )
        own = macs / row["backbone_macs"]
        line = f"{row['exits']} exits: {100 * accuracy:.1f}% at {macs / 1e6:.3f}M, {own:.2f} of its backbone"
        lines.append((f"{line}; {comparison}", ratio))
    return lines


def main() -> None:
    """Print the machine, then a block for each seed, then the ratios' spread."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="assignments", nargs="*", default=[], help="settings, as key=value")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("edanas", "torch", "scikit-learn"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions}")
    ratios: list[float] = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            result = edanas.search(seed=seed, out=folder, settings=options.assignments)
            print(f"seed {seed}: {time.perf_counter() - start:.0f} s")
            for line, ratio in compared(result):
                print(f"  {line}")
                ratios += [ratio] if ratio else []
    if ratios:
        middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
        spread = f"median {middle:.2f}, {least:.2f} to {most:.2f}"
        print(f"executed MACs relative to the single-exit network as accurate: {spread}")


if __name__ == "__main__":
    main()
