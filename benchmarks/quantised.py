"""Compare accuracy and utilization of a network in float32 with its exported 8-bit integers.

One backbone with all its exits is trained, and its thresholds are set on the calibration part. Then it is
exported as `litert-int8`: as it is, with new thresholds, and after training in integers. The files run on the
test part, in LiteRT's interpreter. Needs the extra `litert`.

    python benchmarks/quantised.py --seeds 0 1 2
"""

import argparse
import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.types import SelectionScheme
from edanas.deploy.int8.matching import matching_thresholds
from edanas.deploy.litert_export import LitertInt8Exporter
from edanas.evaluation.quantised import quantised, train_in_integers
from edanas.evaluation.workbench import Workbench
from edanas.model.calibration import calibrate
from edanas.model.eenn import EENN
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.console import ConsoleProgress
from edanas.run.layers import layered_settings, user_layers


def trained(bench: Workbench, epochs: int) -> EENN:
    """Return the largest backbone with a head at every exit point, trained from fresh weights."""
    torch.manual_seed(bench.settings.seed)
    staged = bench.provider.build(bench.space.largest(), bench.parts.task)
    points = tuple(range(bench.provider.exit_points))
    network = bench.network(staged, bench.fresh_heads(staged, points), SelectionScheme((0.9,) * len(points)))
    settings = replace(bench.settings.finetune, epochs=epochs, distillation=0.0)
    with Silent().task("", None) as bar:
        bench.finetune(network, settings, bench.settings.seed, bar)
    network.description = bench.describe(bench.space.largest())
    return network


def figures(labels: np.ndarray, exits: np.ndarray, network: EENN, right: np.ndarray) -> str:
    """Return accuracy and utilization as text."""
    shares = [float((exits == at).mean()) for at in (*network.scheme.placed, network.exit_points)]
    return f"{(labels == right).mean():.2%}, exits {' / '.join(f'{share:.1%}' for share in shares)}"


def main() -> None:
    """Train, export and print, seed by seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--int8-epochs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    registry, progress = Registry(load_plugins(print)), ConsoleProgress()
    for seed in args.seeds:
        settings = layered_settings(registry, user_layers({"data": args.data, "seed": seed}, args.set))
        with tempfile.TemporaryDirectory() as folder, computing(1):
            composition = compose(registry, settings, Path(folder), progress)
            bench = composition.workbench
            test, right = bench.parts.test, bench.parts.test.labels.numpy()
            network = trained(bench, args.epochs)
            setter = registry.create("threshold setter", settings.final_thresholds.name)
            calibrate(network, bench.parts.calibration, bench.anatomy(network).costs, setter)
            plain = network.predict(test.images)
            print(f"seed {seed}, {len(test)} test samples")
            print(
                "  float32:              ", figures(plain.label.numpy(), plain.exit.numpy(), network, right)
            )
            tuned = copy.deepcopy(network)
            with Silent().task("", None) as bar:
                train_in_integers(bench, tuned, settings.finetune, args.int8_epochs, seed, bar)
            tuned.scheme = matching_thresholds(
                network, quantised(bench, tuned), bench.parts.calibration.images
            )
            tuned.description["quantized"] = True
            for name, each in (("int8, new thresholds:", network), ("int8, trained in int8:", tuned)):
                exporter = LitertInt8Exporter()
                exporter.prepare(bench.parts.calibration, bench.parts.validation)
                paths = exporter.export(each, Path(folder) / "net")
                labels, exits, _ = exporter.open(paths[0]).predict(test.images.numpy())
                print(f"  {name:22}", figures(labels, exits, network, right), flush=True)


if __name__ == "__main__":
    main()
