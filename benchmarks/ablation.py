"""Comparison of variants of a preset: supernets trained for equal time, and judged on the validation part.

`space_ablation.py` and `recipe_ablation.py` name the variants. A variant is trained in a folder of its own,
so that the same command resumes an interrupted training. Its backbones are random, with the weights of the
supernet. The table has the highest accuracy within each budget of multiply-adds, with early exits at the
Pareto-optimal thresholds, and with single exits alone. The report part is never used.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.config import to_plain
from edanas.core.devices import threads_of
from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.records import parse, sealed_text, unsealed
from edanas.core.runfolder import replace_file
from edanas.core.settings import Settings
from edanas.core.types import Candidate, Evaluation, SelectionScheme
from edanas.evaluation.selection import with_exact_fronts
from edanas.evaluation.shared import SharedEvaluation
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.console import ConsoleProgress
from edanas.run.layers import layered_settings, user_layers

Figures = list[tuple[float, float]]
"""MACs in M, and validation accuracy as a fraction, of networks."""

TIMES = "times "
"""Beginning of a value of a variant that multiplies the preset's number, e.g. `times 0.5`."""


def ablate(doc: str | None, variants: dict[str, dict[str, Any]], plugin: str, minutes: float) -> None:
    """Parse the command line, train and judge what is missing, and print a line for each variant.

    Args:
        doc: The description of the script.
        variants: Changed settings by name of the variant; the first one is the preset itself.
        plugin: Default of the bundle.
        minutes: Default of the minutes of each training.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="one folder of images for each class")
    parser.add_argument("--out", type=Path, required=True, help="folder of trainings and figures")
    parser.add_argument("--plugin", default=plugin)
    parser.add_argument("--minutes", type=float, default=minutes, help="of training, each")
    parser.add_argument("--backbones", type=int, default=24)
    parser.add_argument("--budgets", type=float, nargs="+", default=[3.15, 9.65, 17.31, 23.52], help="in M")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", default=list(variants), choices=list(variants))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    heads = [f"{kind} {budget:g}M" for kind in ("exits", "single") for budget in args.budgets]
    print(f"Best validation accuracy (%), {args.minutes:g} minutes each, seeds {args.seeds}:")
    print(f"| variant | {' | '.join(heads)} | mean | steps |\n|{'---|' * (len(heads) + 3)}", flush=True)
    registry, means, earlier = Registry(load_plugins(print)), dict[str, float](), list[Settings]()
    for name in args.variants:
        settings = [_settings(args, variants[name], seed, registry) for seed in args.seeds]
        if settings[0] in earlier:
            continue
        earlier.append(settings[0])
        runs = [_measured(args, name, each, registry) for each in settings]
        columns = [
            [_best(run[kind], budget) for run in runs]
            for kind in ("early", "single")
            for budget in args.budgets
        ]
        means[name] = statistics.mean(statistics.mean(column) for column in columns)
        cells = " | ".join(map(_cell, columns))
        steps = ", ".join(str(run["steps"]) for run in runs)
        print(f"| {name} | {cells} | {means[name]:.1f} | {steps} |", flush=True)
    print(f"Highest mean: {max(means, key=means.__getitem__)}")


def _measured(args: argparse.Namespace, name: str, settings: Settings, registry: Registry) -> dict[str, Any]:
    """Return the figures in the variant's file, or train and judge the variant."""
    label = "".join(each if each.isalnum() or each == "." else "-" for each in name)
    folder = args.out / f"{label}-{settings.seed}"
    plain = {"minutes": args.minutes, "backbones": args.backbones, "settings": to_plain(settings)}
    order, begun = json.loads(json.dumps(plain)), _read(folder / "order.json")
    if begun and begun != order:
        sys.exit(f"{folder}: holds a training with other arguments; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "order.json", sealed_text(order))
    figures = _read(folder / "figures.json")
    if not figures:
        figures = _judged(args, settings, registry, folder)
        replace_file(folder / "figures.json", sealed_text(figures))
    return figures


def _read(path: Path) -> dict[str, Any]:
    return dict(unsealed(parse(path.read_bytes()))) if path.exists() else {}


def _settings(args: argparse.Namespace, changes: dict[str, Any], seed: int, registry: Registry) -> Settings:
    """Return the settings of a variant; its factors multiply the values without the variant."""
    flags = {"data": str(args.folder), "plugin": args.plugin, "preset": "cifar", "seed": seed}
    layer = {**flags, "threads": args.threads, "training.epochs": 1000}
    preset = layered_settings(registry, user_layers(layer, args.set))
    values = dict(changes)
    for key, value in changes.items():
        if isinstance(value, str) and value.startswith(TIMES):
            part, field = key.split(".")
            values[key] = getattr(getattr(preset, part), field) * float(value.removeprefix(TIMES))
    return layered_settings(registry, user_layers({**layer, **values}, args.set))


def _judged(args: argparse.Namespace, settings: Settings, registry: Registry, folder: Path) -> dict[str, Any]:
    """Train a variant, or go on with its training, and return the figures of its networks."""
    with computing(threads_of(settings)):
        composition = compose(registry, settings, folder, Silent())
        evaluation, points = (
            SharedEvaluation(composition.workbench),
            composition.workbench.provider.exit_points,
        )
        trainer = evaluation.trainer(Silent())
        trainer.fit(60 * args.minutes)
        trainer.run(ConsoleProgress())
        evaluation.prepare(Silent())
        space, rng = composition.workbench.space, np.random.default_rng(settings.seed)
        drawn = [space.sample_backbone(rng) for _ in range(args.backbones)]
        single: Figures = []
        early: Figures = []
        for backbone in (space.smallest(), space.largest(), *drawn):
            candidate = Candidate(backbone, SelectionScheme((None,) * points))
            profile, evaluated = (
                evaluation.profile(candidate),
                Evaluation(candidate, 0, evaluation.evaluate(candidate)),
            )
            front = with_exact_fronts([], [evaluated], evaluation, lambda _, profile=profile: profile)
            single += [(m.backbone_macs / 1e6, m.backbone_accuracy) for m in [evaluated.metrics] if m]
            early += [(m.executed_macs / 1e6, m.accuracy) for each in front if (m := each.metrics)]
    (folder / "supernet.pt").unlink(missing_ok=True)
    return {"single": single, "early": early, "steps": trainer.step}


def _best(figures: Figures, budget: float) -> float:
    """Return the highest accuracy within a budget in percent; 0 if no network is within it."""
    return 100 * max((accuracy for macs, accuracy in figures if macs <= budget), default=0.0)


def _cell(accuracies: list[float]) -> str:
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else math.nan
    return f"{statistics.mean(accuracies):.1f}" + ("" if math.isnan(spread) else f" ±{spread:.1f}")
