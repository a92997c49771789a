"""Folders of images with no setting but their path: `edanas run --data FOLDER`.

The script writes images as PNG files into one folder for each class, below OUT: scikit-learn's digits (1,797,
grey, 8 px), or any set in MNIST's format, such as Fashion-MNIST (Debian's package `dataset-fashion-mnist`).
It then runs the command and prints its table, the seconds of each part and the machine. The same command
resumes an interrupted run; the seconds are then those of the last call.

    python benchmarks/any_folder.py runs/digits
    python benchmarks/any_folder.py runs/digits --dry-run    # writes the images, and estimates the run
    python benchmarks/any_folder.py runs/fashion --images 300 --idx IMAGES.gz LABELS.gz
"""

import argparse
import gzip
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits

from edanas import Result
from edanas.cli import main as edanas

Pixels = npt.NDArray[np.uint8]

UNSIGNED_BYTES = 8
"""Third byte of a file that holds bytes."""


def digits() -> tuple[Pixels, Pixels]:
    """Return images (N, 8, 8), from 0 to 255, and labels (N,) of scikit-learn's digits."""
    data = load_digits()
    return np.rint(data.images * (255 / 16)).astype(np.uint8), data.target.astype(np.uint8)


def read_idx(path: Path) -> Pixels:
    """Read an array of bytes in MNIST's format, compressed or not.

    The file begins with two zeros, the type, the number of axes, and the length of each axis.

    Raises:
        SystemExit: The file has another format.
    """
    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        sys.exit(f"{path}: found another format; allowed: an idx file of bytes, as MNIST's")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def write_folders(folder: Path, images: Pixels, labels: Pixels, most: int | None) -> None:
    """Write the first `most` images of every class as PNG files; `None` = all."""
    written = Counter[int]()
    for pixels, label in zip(images, labels.tolist(), strict=True):
        if most is not None and written[label] >= most:
            continue
        path = folder / str(label) / f"{written[label]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        written[label] += 1


def main() -> None:
    """Write the images if they are missing, run, and print the durations."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of images and run")
    parser.add_argument(
        "--idx", type=Path, nargs=2, metavar=("IMAGES", "LABELS"), help="idx files in place of the digits"
    )
    parser.add_argument("--images", type=int, metavar="N", help="the first N of each class")
    parser.add_argument("--dry-run", action="store_true", help="estimate the run only")
    args = parser.parse_args()
    folder, out = args.out / f"images-{args.images or 'all'}", args.out / f"run-{args.images or 'all'}"
    if not folder.exists():
        images, labels = (read_idx(path) for path in args.idx) if args.idx else digits()
        write_folders(folder, images, labels, args.images)
    code = edanas(["run", "--data", str(folder), "--out", str(out), *(["--dry-run"] if args.dry_run else [])])
    if code or args.dry_run:
        sys.exit(code)
    result = Result.read(out)
    parts, machine = result.data["seconds"], result.data["environment"]
    print("; ".join(f"{name} {seconds:.0f} s" for name, seconds in parts.items()))
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("edanas", "torch"))
    print(f"{machine['processor']}, {machine['threads']} threads, load {os.getloadavg()[0]:.1f}; {versions}")


if __name__ == "__main__":
    main()
