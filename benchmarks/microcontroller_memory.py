"""The counted RAM of networks against the arena of TensorFlow Lite for Microcontrollers (TFLM).

Random networks of the small supernets are converted by `litert-torch`, quantised to int8 by `ai-edge-quantizer`
and loaded by TFLM's interpreter, stage by stage and with their last exit. Needs an environment with edanas and the
packages `litert-torch`, `ai-edge-quantizer` and `tflite-micro`:

    python benchmarks/microcontroller_memory.py --networks 30 --out memory.json
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
import torch
from torch import nn

from edanas.core.space import SearchSpace
from edanas.core.tracing import operators
from edanas.core.types import Task
from edanas.supernets.elastic_resnet import ElasticResNetProvider
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.supernets.ofa_proxyless import OFAProxylessProvider
from edanas.supernets.plain import PlainNetwork

MOBILE = {"widths": (0.35, 0.5), "resolutions": (16, 32), "depths": (1, 2), "kernels": (3, 5)}

PROVIDERS = {
    "ofa-mbv3": OFAMobileNetV3Provider(**MOBILE, stage_strides=(2, 2, 1, 1, 2), final_expand=0, last_width=0),
    "ofa-proxyless": OFAProxylessProvider(**MOBILE, stage_strides=(2, 2, 1, 1, 2, 1), final_expand=0),
    "elastic-resnet": ElasticResNetProvider(resolutions=(16, 32), widths=(0.2, 0.4), depths=(1, 2)),
    "plain": PlainNetwork((8, 16, 32), (1, 2, 2), resolutions=(8, 16, 24, 32)),
}
"""A small space of each supernet for small images."""

TASK = Task(3, 10)

_ALLOCATION = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


class ChannelsLast(nn.Module):
    """A module that takes and returns features in the order of TensorFlow Lite."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the module's output (1, H, W, C), or its logits (1, K), for features (1, H, W, C)."""
        out: torch.Tensor = self.module(features.permute(0, 3, 1, 2))
        return out.permute(0, 2, 3, 1) if out.ndim == 4 else out


def int8_file(module: nn.Module, shape: tuple[int, int, int], folder: Path) -> bytes:
    """Return a module as a full int8 network in the format of TensorFlow Lite."""
    import litert_torch
    from ai_edge_quantizer import quantizer, recipe

    channels, height, width = shape
    example = torch.randn(1, height, width, channels)
    converted = litert_torch.convert(ChannelsLast(module).eval(), (example,))
    path = folder / "float.tflite"
    converted.export(str(path))
    quantize = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
    samples = [{"args_0": np.random.default_rng(0).normal(size=example.shape).astype(np.float32)}]
    statistics = quantize.calibrate({"serving_default": samples})
    return bytes(quantize.quantize(statistics).quantized_model)


def arena(model: bytes) -> dict[str, int]:
    """Return the bytes of TFLM's arena for a network: `total`, `head` (activations) and `tail` (bookkeeping)."""
    code = (
        "import sys\nfrom tflite_micro.python.tflite_micro import runtime\n"
        "runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=4_000_000).print_allocations()"
    )
    # The interpreter prints the allocations from C++; another process catches them.
    done = subprocess.run([sys.executable, "-c", code], input=model, capture_output=True, check=True)
    return {name: int(size) for name, size in _ALLOCATION.findall((done.stdout + done.stderr).decode())}


def measured(name: str, number: int, folder: Path) -> dict[str, Any]:
    """Return counted and measured bytes of a random network of a supernet, segment by segment."""
    provider = PROVIDERS[name]
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    backbone = space.sample_backbone(np.random.default_rng(number))
    torch.manual_seed(number)
    network = provider.build(backbone, TASK).eval()
    features = torch.zeros(1, TASK.in_channels, network.resolution, network.resolution)
    whole = nn.Sequential(*network.stages, network.head).eval()
    shape = (TASK.in_channels, network.resolution, network.resolution)
    del features
    plain = operators(whole, shape).footprint()
    padded = operators(whole, shape, padded_copies=True).footprint()
    model = int8_file(whole, shape, folder)
    return {
        "supernet": name,
        "backbone": backbone.id,
        "ram": plain.ram,
        "padded": padded.ram,
        "largest": padded.largest,
        "flash": plain.flash,
        "file": len(model),
        **arena(model),
    }


def main() -> None:
    """Measure the networks, and print rank correlation and the errors after a constant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=30, help="Number of networks of all supernets.")
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
    summary(rows)


def summary(rows: list[dict[str, Any]]) -> None:
    """Print how well counted bytes agree with the arena."""
    from scipy.stats import spearmanr

    for counted in ("padded", "ram"):
        for arena_part in ("head", "total"):
            mine, theirs = (np.array([row[key] for row in rows], float) for key in (counted, arena_part))
            constant = np.median(theirs - mine)
            errors = np.abs(mine + constant - theirs) / theirs
            print(
                f"{counted} against the arena's {arena_part}: rank correlation {spearmanr(mine, theirs)[0]:.4f}; "
                f"constant {constant:,.0f} bytes; error median {np.median(errors):.1%}, largest {errors.max():.1%}"
            )
    flash, files = (np.array([row[key] for row in rows], float) for key in ("flash", "file"))
    print(
        f"file over flash: median {np.median(files / flash):.2f}, {(files / flash).min():.2f} to {(files / flash).max():.2f}"
    )


if __name__ == "__main__":
    main()
