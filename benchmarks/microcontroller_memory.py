"""The counted RAM and flash of networks against the arena of TensorFlow Lite for Microcontrollers (TFLM).

The exporter `litert-int8` writes random early-exit networks of small spaces; TFLM's interpreter reports the
arena of each segment. Needs the extra `litert`:

    uv run --extra litert python benchmarks/microcontroller_memory.py
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.space import SearchSpace
from edanas.core.tracing import exit_points, measure, trace
from edanas.core.types import ImageSet, SelectionScheme, Task
from edanas.deploy.litert_export import LitertInt8Exporter
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.supernets.elastic_resnet import ElasticResNetProvider
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.supernets.ofa_proxyless import OFAProxylessProvider
from edanas.supernets.plain import PlainNetwork

MOBILE: dict[str, Any] = {
    "widths": (0.35, 0.5),
    "resolutions": (16, 32),
    "depths": (1, 2),
    "kernels": (3, 5),
    "final_expand": 0,
}

PROVIDERS = {
    "ofa-mbv3": OFAMobileNetV3Provider(**MOBILE, stage_strides=(2, 2, 1, 1, 2), last_width=0),
    "ofa-proxyless": OFAProxylessProvider(**MOBILE, stage_strides=(2, 2, 1, 1, 2, 1)),
    "elastic-resnet": ElasticResNetProvider(resolutions=(16, 32), widths=(0.2, 0.4), depths=(1, 2)),
    "plain": PlainNetwork((8, 16, 32), (1, 2, 2), resolutions=(8, 16, 24, 32)),
}
"""A small space of each supernet for small images."""

TASK = Task(3, 10)


def random_network(name: str, number: int) -> EENN:
    """Return a random network of a supernet with fresh weights, and an exit at about half of its points."""
    provider = PROVIDERS[name]
    generator = np.random.default_rng(number)
    torch.manual_seed(number)
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    backbone = provider.build(space.sample_backbone(generator), TASK)
    points = exit_points(trace(backbone, TASK.in_channels)[0])
    placed = [point for point in points if generator.random() < 0.5]
    heads = {point.index: PoolLinear().build(point, TASK.num_classes) for point in placed}
    scheme = SelectionScheme(tuple(0.5 if point in placed else None for point in points))
    classes = [str(label) for label in range(TASK.num_classes)]
    network = EENN(backbone, heads, scheme, ScoreMargin(), (0.5,) * 3, (0.25,) * 3, classes)
    # Fresh weights have BatchNorm statistics of no image; those of noise keep activations in range.
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network.prepared_logits(torch.randn(16, 3, backbone.resolution, backbone.resolution))
    return network.eval()


def counted(network: EENN) -> list[tuple[int, int]]:
    """Return RAM and flash of each segment, in bytes: the stages between two exits, with the second head."""
    stages, last = trace(network.backbone, TASK.in_channels)
    segments, ram, flash = [], 0, 0
    for index, stage in enumerate(stages):
        placed = index in network.scheme.placed
        head = measure(network.heads[str(index)], stage.shape) if placed else None
        head = last if index == len(stages) - 1 else head
        if stage.footprint is not None:
            ram, flash = max(ram, stage.footprint.ram), flash + stage.footprint.flash
        if head is not None and head.footprint is not None:
            head_ram = head.footprint.held if placed else head.footprint.ram
            segments.append((max(ram, head_ram), flash + head.footprint.flash))
            ram, flash = 0, 0
    return segments


def arena(path: Path) -> tuple[int, int]:
    """Return the bytes of TFLM's arena for activations, and for bookkeeping, on a 64-bit machine."""
    code = (
        "import pathlib, sys\nfrom tflite_micro.python.tflite_micro import runtime\n"
        "content = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "runtime.Interpreter.from_bytes(content, arena_size=1 << 24).print_allocations()"
    )
    # The interpreter prints from C++, so that only another process can catch it.
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, text=True)
    sizes = dict(re.findall(r"Arena allocation (head|tail) (\d+) bytes", done.stdout + done.stderr))
    return int(sizes["head"]), int(sizes["tail"])


def measured(name: str, number: int, folder: Path) -> dict[str, Any]:
    """Return counted bytes of a random network, and bytes of its arenas and files, of its largest segment."""
    network = random_network(name, number)
    side = network.resolution
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (64, 3, side, side), generator=generator, dtype=torch.uint8)
    samples = ImageSet(pixels, torch.arange(64) % TASK.num_classes, network.classes)
    exporter = LitertInt8Exporter()
    exporter.prepare(samples, samples)
    # Random networks tell classes apart by less than a step of int8, so interpreters may differ on labels.
    exporter.tolerated, exporter.rounding = 1.0, 1.0
    _, *files = exporter.export(network, folder / f"net{number}")
    arenas = [arena(path) for path in files if path.suffix == ".tflite"]
    segments = counted(network)
    return {
        "supernet": name,
        "side": side,
        "exits": len(network.scheme.placed),
        "ram": max(ram for ram, _ in segments),
        "arena": max(head for head, _ in arenas),
        "segment_ram": [ram for ram, _ in segments],
        "segment_arena": [head for head, _ in arenas],
        "segment_bookkeeping": [tail for _, tail in arenas],
        "segment_flash": [flash for _, flash in segments],
        "flash": sum(flash for _, flash in segments),
        "file": sum(path.stat().st_size for path in files if path.suffix == ".tflite"),
    }


def agreement(mine: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> str:
    """Return rank correlation, and the error after the constant with the smallest largest error."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import spearmanr

    def largest(constant: float) -> float:
        return float((np.abs(mine + constant - theirs) / theirs).max())

    constant = minimize_scalar(largest, bounds=(0, theirs.max()), method="bounded").x
    errors = np.abs(mine + constant - theirs) / theirs
    return (
        f"rank correlation {spearmanr(mine, theirs)[0]:.4f}; constant {constant:,.0f} bytes; error: median "
        f"{np.median(errors):.1%}, largest {errors.max():.1%}"
    )


def main() -> None:
    """Measure the networks, and print how far counted and measured bytes agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", type=int, default=32, help="Number of networks of all supernets.")
    parser.add_argument("--out", type=Path, help="JSON file for the figures of each network.")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.networks):
            name = list(PROVIDERS)[number % len(PROVIDERS)]
            rows.append(measured(name, number, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1))
    columns = {key: np.array([row[key] for row in rows], float) for key in ("ram", "arena", "flash", "file")}
    print(f"RAM and arena, {len(rows)} networks: {agreement(columns['ram'], columns['arena'])}")
    pairs = [pair for row in rows for pair in zip(row["segment_ram"], row["segment_arena"], strict=True)]
    by_segment = np.array(pairs, float)
    print(f"the same, {len(pairs)} segments: {agreement(by_segment[:, 0], by_segment[:, 1])}")
    weights = np.array([size for row in rows for size in row["segment_flash"]], float)
    bookkeeping = np.array([size for row in rows for size in row["segment_bookkeeping"]], float)
    slope, base = np.polyfit(weights, bookkeeping, 1)
    print(f"bookkeeping of a segment: about {base:,.0f} bytes and {slope:.3f} for each byte of flash")
    print(f"flash and files: {agreement(columns['flash'], columns['file'])}")


if __name__ == "__main__":
    main()
