"""Folders of images with no setting but their path: `edanas run --data FOLDER`.

Images are written as PNG files into one folder for each class, below OUT: scikit-learn's digits (1,797, grey,
8 px), or any set in the format of MNIST, such as Fashion-MNIST (Debian has it as the package
`dataset-fashion-mnist`). Then the command runs, which prints its table; after it come the seconds of its
parts, and the machine. The same command again goes on where it was cut; the seconds are then the last call's.

    python benchmarks/any_folder.py runs/digits
    python benchmarks/any_folder.py runs/digits --dry-run    # writes the images, and says what would be done
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
"""What the third byte of a file says where it holds bytes."""


def digits() -> tuple[Pixels, Pixels]:
    """Images (N, 8, 8) and labels (N,) of scikit-learn's digits, from 0 to 255."""
    found = load_digits()
    return np.rint(found.images * (255 / 16)).astype(np.uint8), found.target.astype(np.uint8)


def read_idx(path: Path) -> Pixels:
    """An array of bytes in the format of MNIST, packed or not.

    It begins with two zeros, the type, the number of axes, and each one's length.

    Raises:
        SystemExit: It is in another format.
    """
    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        sys.exit(f"{path}: is no idx file of bytes, as MNIST has them")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def write_folders(folder: Path, images: Pixels, labels: Pixels, most: int | None) -> None:
    """One PNG for each of the first `most` images of every class, all of them if it is `None`."""
    written = Counter[int]()
    for pixels, label in zip(images, labels.tolist(), strict=True):
        if most is not None and written[label] >= most:
            continue
        path = folder / str(label) / f"{written[label]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        written[label] += 1


def main() -> None:
    """Write the images unless they are there, run, and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="where images and run go")
    parser.add_argument(
        "--idx", type=Path, nargs=2, metavar=("IMAGES", "LABELS"), help="instead of the digits"
    )
    parser.add_argument("--images", type=int, metavar="N", help="the first N of each class")
    parser.add_argument("--dry-run", action="store_true", help="run nothing, say what would be done")
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
