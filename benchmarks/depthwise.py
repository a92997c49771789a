"""Compare bfloat16 gradients of depthwise convolutions on a CPU: edanas and torch.

The script times convolutions of mobile networks on small images, with their weight and input gradients: by
torch in float32, by torch in bfloat16, and by edanas. Repetitions are interleaved; times are CPU time of one
thread, in milliseconds.

    python benchmarks/depthwise.py
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from edanas.training.depthwise import gradients, input_gradient, weight_gradient

Run = Callable[[], object]

CASES = ((48, 32, 3, 1), (96, 32, 3, 2), (96, 16, 5, 1), (96, 16, 5, 2), (160, 8, 5, 1), (320, 8, 5, 2))
"""Channels, side of the features in pixels, side of the kernel, stride."""


def runs(batch: int, channels: int, side: int, kernel: int, stride: int) -> dict[str, Run]:
    """Return the calls to time for one convolution, by name."""
    padding = kernel // 2
    pads = padding, padding
    features = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, kernel, kernel)
    gradient = torch.randn_like(torch.conv2d(features, weight, None, stride, padding, 1, channels))
    calls: dict[str, Run] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        tensors = gradient.to(dtype), features.to(dtype), weight.to(dtype)
        calls[f"convolution {name}"] = partial(torch.conv2d, *tensors[1:], None, stride, padding, 1, channels)
        for of, mask in (("input", (True, False)), ("weight", (False, True))):
            calls[f"{of} {name}"] = partial(gradients, *tensors, stride, pads, mask)
    calls["input ours"] = partial(input_gradient, *tensors, stride, pads)
    calls["weight ours"] = partial(weight_gradient, *tensors, stride, pads)
    return calls


def timed(timing: dict[str, Run], repeats: int) -> dict[str, float]:
    """Return the median milliseconds of each call after one warm-up run."""
    took: dict[str, list[float]] = {name: [] for name in timing}
    for repeat in range(repeats + 1):
        for name, run in timing.items():
            start = time.process_time()
            run()
            if repeat:
                took[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(times) for name, times in took.items()}


def main() -> None:
    """Measure and print."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    machine = platform.processor() or platform.machine()
    print(f"{platform.platform()}, {machine}, torch {torch.__version__}, {vars(args)}")
    for case in CASES:
        took = timed(runs(args.batch, *case), args.repeats)
        print("{} channels, {} px, kernel {}, stride {}:".format(*case), end=" ")
        print(f"convolution {took['convolution fp32']:.2f} / {took['convolution bf16']:.2f} ms", end="")
        for of in ("weight", "input"):
            exact, rough, ours = (took[f"{of} {name}"] for name in ("fp32", "bf16", "ours"))
            ratios = f"x{exact / ours:.1f} / x{rough / ours:.1f}"
            print(f"; {of} gradient {exact:.2f} / {rough:.2f} / ours {ours:.2f} ms: {ratios}", end="")
        print()


if __name__ == "__main__":
    main()
