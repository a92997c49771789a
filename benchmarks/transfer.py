"""Transfer of a trained supernet to other folders of small images, beside training from nothing.

For each folder and seed there are two runs of equal time with the settings of `--preset cifar`: one from
nothing, and one from the weights. For each budget of multiply-adds, the table has the test accuracy of the
network with the highest validation accuracy within the budget. The same command resumes an interrupted one.

    python benchmarks/transfer.py OUT/digits/images-all --drawings --out OUT/transfer --minutes 20

The supernet of `--plugin resnet-sm` reads colour only: for grey images, add `--set data.channels=rgb`.

`any_folder.py` writes scikit-learn's digits, or a set in MNIST's format, into such a folder:

    python benchmarks/any_folder.py OUT/digits --dry-run
    python benchmarks/any_folder.py OUT/fashion --images 500 --idx IMAGES.gz LABELS.gz --dry-run
"""

import argparse
import statistics
from pathlib import Path

import edanas
from edanas.core.result_row import ResultRow
from edanas.run.console import ConsoleProgress

WEIGHTS = {"mbv3-sm": "cifar10-mbv3", "resnet-sm": "cifar10-resnet"}
"""Bundle -> trained supernet of its preset `cifar`."""

DRAWINGS = ['training.augment=["shift", "rotate"]', 'finetune.augment=["shift", "rotate"]']
"""Settings for images that change their class when they are mirrored, such as characters."""


def rows_of(folder: Path, weights: str, seed: int, args: argparse.Namespace) -> list[ResultRow]:
    """Run, resume or read a run; return its networks, those with early exits first."""
    result = edanas.search(
        str(folder),
        args.plugin,
        preset="cifar",
        out=args.out / f"{folder.parent.name}-{folder.name}-{args.plugin}-{weights or 'nothing'}-{seed}",
        seed=seed,
        time_limit=60 * args.minutes,
        weights=weights or None,
        settings=[*(DRAWINGS if args.drawings else []), *args.set],
        progress=ConsoleProgress(),
    )
    rows = [*result.data["front"], *result.data["static_front"]]
    return [ResultRow.from_json(each) for each in rows]


def accuracy(rows: list[ResultRow], budget: float) -> float | None:
    """Return the test accuracy in percent of the most accurate network within a budget, by validation."""
    within = [row for row in rows if row.macs_for_choice <= budget * 1e6]
    best = max(within, key=lambda row: (row.validation_accuracy, -row.macs_for_choice), default=None)
    return None if best is None else 100 * best.test_accuracy


def cell(figures: list[float | None]) -> str:
    """Return the mean over seeds, with the spread if there are several; a dash if a seed has no network."""
    known = [each for each in figures if each is not None]
    if len(known) < len(figures):
        return "–"
    spread = f" ±{statistics.stdev(known):.1f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.1f}{spread}"


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="one folder of images for each class in each")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--minutes", type=float, default=20.0, help="of each run")
    parser.add_argument("--plugin", default="mbv3-sm", choices=list(WEIGHTS))
    parser.add_argument("--drawings", action="store_true", help="rotate images, and do not mirror them")
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5, 1.0, 3.15, 9.65], help="in M")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    lines = []
    for folder in args.folders:
        for weights in ("", WEIGHTS[args.plugin]):
            runs = [rows_of(folder, weights, seed, args) for seed in args.seeds]
            cells = [cell([accuracy(rows, budget) for rows in runs]) for budget in args.budgets]
            lines.append(f"| {folder} | {weights or 'nothing'} | {' | '.join(cells)} |")
    heads = " | ".join(f"within {budget:g}M" for budget in args.budgets)
    print(f"Test accuracy (%), {args.minutes:g} minutes a run, seeds {args.seeds}:")
    print(f"| images | training from | {heads} |\n|{'---|' * (2 + len(args.budgets))}", *lines, sep="\n")


if __name__ == "__main__":
    main()
