"""Run presets after the paper's Table I on a part of a folder of photographs, and print the results.

    python benchmarks/table_one.py FOLDER --out OUT                                # paper-code at a tenth
    python benchmarks/table_one.py FOLDER --out OUT --presets eealexnet --epochs 8  # a hand-made network

FOLDER holds class folders. `--share` is the part of the images, of the initial archive and of the
iterations; `--images` sets the number of images instead. The same command resumes.
"""

import argparse
from pathlib import Path
from typing import Any

import edanas
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.report.formatting import mega, percent
from edanas.report.result import Result

BASELINES = ("eecnn", "alexnet", "vgg13", "resnet18", "eealexnet", "eevgg13", "eeresnet18")
"""Presets of the bundle `baselines`; the others are those of `mbv3-sm`."""


def subset(folder: Path, images: int, target: Path) -> Path:
    """Return a folder with links to the first images of each class of `folder`, `images` in all."""
    classes = sorted(each for each in folder.iterdir() if each.is_dir())
    for source in classes:
        (target / source.name).mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir())[: images // len(classes)]:
            link = target / source.name / path.name
            if not link.exists():
                link.symlink_to(path.resolve())
    return target


def settings_of(preset: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that make a run of a preset smaller."""
    smaller: dict[str, Any] = {"seed": options.seed, "threads": 1, "weights": options.weights}
    if options.epochs:
        smaller["training.epochs"] = options.epochs
    if options.resolution:
        smaller["supernet.resolutions"] = [options.resolution]
    if preset not in BASELINES:
        bundle = Registry(load_plugins()).bundle("mbv3-sm")
        length = bundle.presets[preset]["search"]
        for name in ("initial", "iterations"):
            smaller[f"search.{name}"] = max(2, round(length[name] * options.share))
    # Shares of few images leave each part enough of them.
    smaller["split"] = {"train": 0.7, "calibration": 0.05, "validation": 0.1, "test": 0.15}
    return smaller


def line(name: str, row: dict[str, Any]) -> str:
    """Return the figures of a network in one line."""
    alone = row.get("alone_test_accuracy")
    figures = [
        name,
        f"{row['exits']} early exits",
        f"{percent(row['test_accuracy'])}%",
        f"ADA_MACS {mega(row['ada_macs'])}M",
        f"executed {mega(row['executed_macs'])}M",
        f"backbone {mega(row['backbone_macs'])}M, {percent(row['backbone_test_accuracy'])}%",
        f"alone {percent(alone)}%" if alone is not None else "",
        "utilization " + " ".join(f"{share:.2f}" for share in row["utilization"]),
    ]
    return " | ".join(filter(None, figures))


def main() -> None:
    """Run the presets of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--presets", nargs="+", default=["paper-code"])
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--resolution", type=int, default=0)
    parser.add_argument("--weights", default="")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total = sum(len(list(each.iterdir())) for each in options.folder.iterdir() if each.is_dir())
    images = options.images or round(total * options.share)
    data = subset(options.folder, images, options.out / f"images-{images}")
    for preset in options.presets:
        result: Result = edanas.search(
            data,
            "baselines" if preset in BASELINES else "mbv3-sm",
            preset=preset,
            out=options.out / f"{preset}-{images}",
            settings=settings_of(preset, options),
        )
        print(f"{preset}: {images} images, seed {options.seed}, {environment_text(result)}")
        for row in [*result.front, *result.static_front]:
            print(line(preset, row))


def environment_text(result: Result) -> str:
    """Return the number of candidates and the duration of a run."""
    seconds = sum(result.data["seconds"].values())
    return f"{result.data['evaluations']} candidates, {seconds:.0f} s"


if __name__ == "__main__":
    main()
