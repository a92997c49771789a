"""Compare the speed-up of early-exit networks over their own backbones with the ratio of multiply-adds.

The networks are three MobileNetV3 of the OFA space at 32 px with fresh weights and the default heads. Their
thresholds are set on random images to a given utilization. The backbone runs in the same runtime without
exits, so the comparison isolates the early exits. MACs are executed ones. Repetitions of both sides are
interleaved; times are CPU time of one thread, which other processes hardly affect.

    python benchmarks/runtime.py                  # plain and frozen
    python benchmarks/runtime.py --compile        # torch.compile too: minutes, and a C++ compiler
    python benchmarks/runtime.py --utilization 0.4 0.2 0.2 0.1 0.1 --repeats 15
"""

import argparse
import copy
import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import torch

from edanas.core.costs import Costs, backbone_macs, executed_macs
from edanas.core.machine import clock
from edanas.core.tracing import exit_points, measure, trace
from edanas.core.types import Backbone, Task
from edanas.deploy.timing import Side, interleaved_timings
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider

NETWORKS = {"2M": (0.35, 2, 3), "11M": (1.0, 2, 3), "26M": (1.0, 4, 4)}
"""Width, depth of each stage, expansion."""

BATCHES = (1, 32, 256)
RESOLUTION, CLASSES = 32, 10


def build(width: float, depth: int, expand: int, seed: int) -> tuple[EENN, Costs]:
    """Return an EENN with a head at each exit point and BatchNorm statistics of noise, and its costs."""
    provider = OFAMobileNetV3Provider(
        widths=(width,),
        resolutions=(RESOLUTION,),
        depths=(depth,),
        kernels=(3,),
        expansions=(expand,),
        stem_stride=1,
    )
    torch.manual_seed(seed)
    choices = Backbone.of({variable.name: variable.choices[-1] for variable in provider.variables()})
    backbone = provider.build(choices, Task(3, CLASSES))
    stages, last = trace(backbone, 3)
    points = exit_points(stages)
    heads = {at: PoolLinear().build(point, CLASSES) for at, point in enumerate(points)}
    shapes = {at: (point.channels, point.height, point.width) for at, point in enumerate(points)}
    costs = Costs.of(stages, {at: measure(head, shapes[at]) for at, head in heads.items()}, last)
    names = [str(label) for label in range(CLASSES)]
    network = EENN(backbone, heads, (None,) * len(points), ScoreMargin(), [0.5] * 3, [0.3] * 3, names)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train().prepared_logits(torch.randn(64, 3, RESOLUTION, RESOLUTION))
        for head in (*network.heads.values(), backbone.head):
            for parameter in head.parameters():
                parameter.mul_(3.0)  # spreads the confidences
    return network.eval().to(memory_format=torch.channels_last), costs


def set_thresholds(network: EENN, images: torch.Tensor, utilization: list[float]) -> list[float]:
    """Set thresholds for a utilization on `images`; return the utilization that results."""
    _, confidence = network.all_exits(images)
    here = torch.ones(len(images), dtype=torch.bool)
    scheme = []
    for at, share in enumerate(utilization[:-1]):
        order = confidence[here, at].sort(descending=True).values
        count = round(share * len(images))
        scheme.append(float(order[count - 1 : count + 1].mean()))
        here &= confidence[:, at] < scheme[-1]
    network.scheme = scheme
    left = torch.bincount(network(images).exit, minlength=len(utilization))
    return [float(count) / len(images) for count in left]


def seconds(runs: dict[str, Callable[[Any], object]], calls: Sequence[Any], repeats: int) -> dict[str, float]:
    """Return the CPU seconds of each run for all calls."""
    now = clock(torch.device("cpu"))
    timings = interleaved_timings({name: Side(run, calls, now) for name, run in runs.items()}, repeats)
    return {name: timing.mean * len(calls) for name, timing in timings.items()}


def predictor(network: EENN, size: int, compact: str) -> Callable[[torch.Tensor], object]:
    """Return a function that predicts one batch."""
    return lambda part: network.predict(part, batch_size=size, compact=compact)


def compare(network: EENN, images: torch.Tensor, ratio: float, kind: str, repeats: int) -> None:
    """Print a line for each batch size."""
    alone = copy.deepcopy(network)
    alone.scheme = (None,) * network.exit_points
    for size in BATCHES:
        sample = images[: 128 if size == 1 else len(images)]
        if size > 1:
            for each in (network, alone):
                each.rule("auto", torch.device("cpu")).measure(size)
        calls = torch.split(sample, size)
        runs = {
            "exits": predictor(network, size, "auto"),
            "backbone": predictor(alone, size, "auto"),
        }
        if size > 1:
            runs["always"] = predictor(network, size, "always")
            runs["never"] = predictor(network, size, "never")
        took = {name: 1e6 * each / len(sample) for name, each in seconds(runs, calls, repeats).items()}
        speed_up = took["backbone"] / took["exits"]
        others = ", ".join(f"{name} {took[name]:.0f}" for name in ("always", "never") if name in took)
        print(
            f"  {kind:<8} batch {size:>3}: {took['exits']:7.0f} us a sample, "
            f"backbone {took['backbone']:7.0f}; "
            f"speed-up {speed_up:.2f}, of the MACs ratio {speed_up / ratio:.2f}"
            + (f"  (compact: {others})" if others else "")
        )
    pace = network.rule("auto", torch.device("cpu"))
    shares = [pace.break_even(at, 256) for at in range(network.exit_points)]
    print(
        f"  {kind:<8} break-even share of exiting samples at 256: "
        + ", ".join(f"{s:.1%}" if s else "none" for s in shares)
    )


def fixed_overhead(network: EENN, costs: Costs, kind: str, repeats: int) -> None:
    """Print the time of one image by segment, and its overhead relative to the best batch."""
    pace = network.rule("auto", torch.device("cpu"))
    alone = [segment[0] * 1e6 for segment in pace.times.running]
    best = [
        min(t / size for t, size in zip(times, pace.times.sizes, strict=True)) * 1e6
        for times in pace.times.running
    ]
    fixed = [one - least for one, least in zip(alone, best, strict=True)]
    macs = [*(stage / 1e6 for stage in costs.stages[:-1]), (costs.stages[-1] + costs.last) / 1e6]
    logits = torch.randn(1, CLASSES)
    features = torch.randn(1, 24, 16, 16).contiguous(memory_format=torch.channels_last)
    head = PoolLinear().build(exit_points(trace(network.backbone, 3)[0])[0], CLASSES).eval()
    with torch.inference_mode():
        weighted = features[:, : head[-1].in_features]
        asking = {
            "head": lambda _: [head(weighted) for _ in range(100)],
            "criterion and comparison": lambda logits: [
                bool(network.criterion(logits) >= 0.5) for _ in range(100)
            ],
        }
        took = seconds(asking, [logits], repeats)
    print(f"  {kind:<8} one image, us by segment: " + _row(alone, ".0f"))
    print(f"  {kind:<8}   of it not in a batch: " + _row(fixed, ".0f"))
    print(f"  {kind:<8}   M multiply-adds:      " + _row(macs, ".2f"))
    print(
        f"  {kind:<8}   decision at an exit: "
        + ", ".join(f"{name} {1e4 * t:.0f} us" for name, t in took.items())
    )


def _row(values: list[float], form: str) -> str:
    return "  ".join(f"{value:{form}}" for value in values)


def main() -> None:
    """Print the machine, then the figures of each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utilization", type=float, nargs=5, default=[0.6, 0.2, 0.1, 0.05, 0.05])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; torch {version('torch')}, one thread"
    )
    print(f"seed {options.seed}, {options.repeats} interleaved repetitions, all warm, medians of CPU time")
    images = torch.randint(0, 256, (512, 3, RESOLUTION, RESOLUTION), dtype=torch.uint8)
    for name in options.networks:
        network, costs = build(*NETWORKS[name], options.seed)
        shares = set_thresholds(network, images, options.utilization)
        ratio = backbone_macs(costs) / executed_macs(costs, network.scheme, shares)
        left = "/".join(f"{share:.0%}" for share in shares)
        print(
            f"{name}: backbone {backbone_macs(costs) / 1e6:.2f}M MACs, left at {left}, MACs ratio {ratio:.2f}"
        )
        kinds = {"plain": network, "frozen": network.freeze()}
        if options.compile:
            kinds["compiled"] = network.freeze(compile=True)
        for kind, each in kinds.items():
            compare(each, images, ratio, kind, options.repeats)
            fixed_overhead(each, costs, kind, options.repeats) if kind != "compiled" else None


if __name__ == "__main__":
    main()
