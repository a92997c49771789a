"""Exported C files, compiled with every check of the compiler, and the reference's numbers for comparison."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from edanas.core.series import valid_lengths
from edanas.deploy.c_code.all_files import c_files
from edanas.deploy.c_code.network import IntNetwork, quantised
from edanas.deploy.c_code.thresholds import matching_thresholds
from edanas.model.eenn import EENN

GCC = shutil.which("gcc")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=address,undefined", "-O1"]
needs_gcc = pytest.mark.skipif(GCC is None, reason="gcc is not installed")

Row = tuple[int, int, int, list[int]]
"""Exit, label, confidence and logits of one image, as whole numbers."""


def in_integers(network: EENN, pixels: torch.Tensor) -> IntNetwork:
    """Return a network in integers, with thresholds by which the images leave evenly at all exits."""
    integers = quantised(network, pixels)
    confidences = integers.answers(integers.logits(pixels.numpy()))[1]
    exits = confidences.shape[1]
    return integers.with_thresholds(matching_thresholds(confidences, [len(pixels) // exits] * exits))


def reference(integers: IntNetwork, pixels: torch.Tensor) -> list[Row]:
    logits = integers.logits(pixels.numpy())
    labels, confidences = integers.answers(logits)
    return [
        (int(exit_), int(labels[at, exit_]), int(confidences[at, exit_]), logits[exit_][at].tolist())
        for at, exit_ in enumerate(integers.leave(confidences))
    ]


def strict_program(integers: IntNetwork, pixels: torch.Tensor, folder: Path) -> list[Row]:
    """Return the numbers that the program prints; the compiler's checks end it at the first wrong access."""
    for name, text in c_files(integers, [1] * len(integers.segments)).items():
        (folder / name).write_text(text)
    sources = sorted(path.name for path in folder.glob("*.c"))
    subprocess.run([str(GCC), *STRICT, *sources, "-o", "strict"], cwd=folder, check=True, capture_output=True)
    samples = _sample_files(pixels, folder)
    done = subprocess.run(["./strict", "-l", *samples], cwd=folder, check=True, capture_output=True)
    rows = []
    for line in done.stdout.decode().splitlines():
        match = re.search(r"exit (\d+), confidence [\d.]+ (\d+) (\d+) ([-\d ]+)$", line)
        assert match, line
        exit_, label, confidence = (int(match[at]) for at in (1, 2, 3))
        rows.append((exit_ - 1, label, confidence, [int(each) for each in match[4].split()]))
    return rows


def _sample_files(samples: torch.Tensor, folder: Path) -> list[str]:
    """Write images to one file, and each series without its padding to a file of its own."""
    arrays = samples.permute(0, 2, 3, 1).contiguous()
    if samples.dtype == torch.uint8:
        contents = {"images.raw": arrays}
    else:
        lengths = valid_lengths(samples).tolist()
        contents = {f"{at}.raw": arrays[at, 0, :length] for at, length in enumerate(lengths)}
    for name, array in contents.items():
        (folder / name).write_bytes(array.numpy().tobytes())
    return list(contents)


def equal_rows(integers: IntNetwork, pixels: torch.Tensor, folder: Path) -> np.ndarray:
    """Check that both give the same numbers for each image, and return the number of images by exit."""
    expected = reference(integers, pixels)
    assert strict_program(integers, pixels, folder) == expected
    return np.bincount([row[0] for row in expected], minlength=len(integers.segments))
