"""Compare choices of a space for small photographs: supernets trained for equal time.

Each variant differs from the preset `cifar` in the strides, the widths, or the resolutions, and is trained
for the same time on the same images. Random backbones are then evaluated on the validation part, and for each
budget of multiply-adds the best single-exit accuracy is printed. A few minutes of training rank variants only
roughly: compare differences with the spread over seeds.

    python benchmarks/space_ablation.py FOLDER --minutes 5 --backbones 24 --seeds 0 1
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.devices import threads_of
from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.shared import SharedEvaluation
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.layers import layered_settings, user_layers

VARIANTS: dict[str, dict[str, Any]] = {
    "cifar": {},
    "stem stride 1": {"supernet.stem_stride": 1},
    "stem stride 1, stages 2 2 1 2 1, 24 and 32 pixels": {
        "supernet.stem_stride": 1,
        "supernet.stage_strides": [2, 2, 1, 2, 1],
        "supernet.resolutions": [24, 32],
    },
    "stages 2 2 1 2 1": {"supernet.stage_strides": [2, 2, 1, 2, 1]},
    "stages 2 2 2 1 2 (ImageNet's)": {"supernet.stage_strides": [2, 2, 2, 1, 2]},
    "width 0.5 alone": {"supernet.widths": [0.5]},
    "widths to 0.75": {"supernet.widths": [0.35, 0.5, 0.75]},
    "32 pixels alone": {"supernet.resolutions": [32]},
    "48 pixels alone": {"supernet.resolutions": [48]},
}


def judge(
    args: argparse.Namespace, changes: dict[str, Any], seed: int
) -> tuple[list[tuple[float, float]], int]:
    """Return MACs (M) and validation accuracy of backbones, and the number of training steps."""
    registry = Registry(load_plugins(print))
    flags = {"data": str(args.folder), "preset": "cifar", "seed": seed, "threads": args.threads}
    layer = {**flags, "training.epochs": 1000, "training.precision": "fp32", **changes}
    settings = layered_settings(registry, user_layers(layer, args.set))
    with tempfile.TemporaryDirectory() as folder, computing(threads_of(settings)):
        composition = compose(registry, settings, Path(folder), Silent())
        evaluation = SharedEvaluation(composition.workbench)
        trainer = evaluation.trainer(Silent())
        trainer.fit(60 * args.minutes)
        trainer.run(Silent())
        evaluation.prepare(Silent())
        space, rng = composition.workbench.space, np.random.default_rng(seed)
        drawn = [space.sample_backbone(rng) for _ in range(args.backbones)]
        figures = []
        for backbone in (space.smallest(), space.largest(), *drawn):
            scheme = SelectionScheme((None,) * composition.workbench.provider.exit_points)
            metrics = evaluation.evaluate(Candidate(backbone, scheme))
            figures.append((metrics.backbone_macs / 1e6, metrics.backbone_accuracy))
    return figures, trainer.step


def main() -> None:
    """Print a line for each variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, each")
    parser.add_argument("--backbones", type=int, default=24)
    parser.add_argument("--budgets", type=float, nargs="+", default=[3.15, 9.65, 17.31, 23.52])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    print(f"best accuracy (%) within {args.budgets} M MACs, {args.minutes} minutes each, seeds {args.seeds}")
    for name in args.variants:
        runs = [judge(args, VARIANTS[name], seed) for seed in args.seeds]
        cells = []
        for budget in args.budgets:
            best = [100 * max((a for m, a in figures if m <= budget), default=0.0) for figures, _ in runs]
            spread = f" ±{statistics.stdev(best):.1f}" if len(best) > 1 else ""
            cells.append(f"{statistics.mean(best):5.1f}{spread}")
        macs = [m for m, _ in runs[0][0]]
        steps = [step for _, step in runs]
        print(
            f"{name:<50} {'  '.join(cells)}   {min(macs):.1f}M to {max(macs):.1f}M, steps {steps}", flush=True
        )


if __name__ == "__main__":
    main()
