"""Measure the rank correlation of inherited and fine-tuned accuracy, by images for recalibration.

Backbones of a trained supernet are evaluated with inherited weights, after recalibration on each number of
train images, and again after fine-tuning. The script prints Kendall's rank correlation of both accuracies on
the validation part, with its bootstrap interval, and the mean inherited accuracy.

    edanas train-supernet --data FOLDER --preset cifar --out supernet.safetensors
    python benchmarks/recalibration.py FOLDER supernet.safetensors --backbones 12 --epochs 1
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from edanas.core.devices import threads_of
from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.shared import SharedEvaluation
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_profile
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.console import ConsoleProgress
from edanas.run.layers import layered_settings, user_layers

_RESAMPLED = 1000


def interval(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the central 95% of Kendall's tau over resampled backbones."""
    rng = np.random.default_rng(0)
    taus = []
    for _ in range(_RESAMPLED):
        at = rng.integers(0, len(one), len(one))
        taus.append(kendalltau(one[at], other[at]).statistic)
    low, high = np.nanquantile(taus, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--backbones", type=int, default=12)
    parser.add_argument("--images", type=int, nargs="+", default=[32, 128, 512, 2000, 8000])
    parser.add_argument("--epochs", type=int, default=1, help="of fine-tuning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    progress, registry = ConsoleProgress(), Registry(load_plugins(print))
    flags = {"data": str(args.folder), "preset": "cifar", "seed": args.seed, "weights": str(args.weights)}
    settings = layered_settings(registry, user_layers({**flags, "training.epochs": 0}, args.set))
    with tempfile.TemporaryDirectory() as folder, computing(threads_of(settings)):
        bench = compose(registry, settings, Path(folder), progress).workbench
        evaluation = SharedEvaluation(bench)
        evaluation.prepare(Silent())
        rng = np.random.default_rng(args.seed)
        drawn = [bench.space.sample_backbone(rng) for _ in range(args.backbones)]
        every = SelectionScheme((1.0,) * bench.provider.exit_points)

        def accuracy(network: EENN) -> float:
            return float(collect_profile(network, bench.parts.validation).correct[:, -1].mean())

        inherited: dict[int, list[float]] = {count: [] for count in args.images}
        tuned: list[float] = []
        training = replace(settings.finetune, epochs=args.epochs)
        with progress.task("Backbones", len(drawn)) as bar:
            for backbone in drawn:
                network = evaluation.network(Candidate(backbone, every))
                for count, accuracies in inherited.items():
                    replace(bench, settings=replace(settings, recalibration=count)).recalibrate(network)
                    accuracies.append(accuracy(network))
                with Silent().task("", None) as silent:
                    bench.finetune(network, training, bench.seed("finish", backbone.id), silent)
                tuned.append(accuracy(network))
                bar.advance()
    after = np.array(tuned)
    print(f"{len(drawn)} backbones, fine-tuned for {args.epochs} epochs: mean accuracy {after.mean():.1%}")
    for count, accuracies in inherited.items():
        before = np.array(accuracies)
        low, high = interval(before, after)
        tau = kendalltau(before, after).statistic
        print(f"{count:>6} images: inherited {before.mean():.1%}, tau {tau:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
