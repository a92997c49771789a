"""One supernet, many early-exit networks on small photographs, and the table against published figures.

    python benchmarks/cifar.py FOLDER --out OUT                          # all of it, to the end
    python benchmarks/cifar.py FOLDER --out OUT --time-limit 540         # a piece; the same command goes on

FOLDER holds class folders (or `train/` with class folders). The stages, each kept in OUT and not done twice:

1. the supernet of the preset `cifar` is trained (`edanas train-supernet`), in pieces;
2. backbones are searched, each with all its exact threshold trade-offs (strategy `nested`);
3. for each budget of executed multiply-adds, the best early-exit and the best single-exit network by
   validation accuracy are fine-tuned, learning from the supernet's largest backbone too;
4. thresholds are set on the calibration part, to the most accurate scheme within the budget;
5. the report part is looked at once for each network: the table, both fronts as a plot, and JSON.

No part but `train` is trained on, and nothing depends on the report part.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from edanas.api import layers
from edanas.cli.progress import ConsoleProgress
from edanas.compose import Composition, compose
from edanas.core.archive import Archive
from edanas.core.machine import computing
from edanas.core.settings import Settings
from edanas.core.types import Candidate, Evaluation, SelectionScheme
from edanas.devices import threads_of
from edanas.evaluation.scoring import score
from edanas.exits.fronts import threshold_front
from edanas.exits.intervals import wilson
from edanas.exits.profiles import collect_profile
from edanas.layering import layered_settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.pretraining import Order, train_supernet
from edanas.provenance import environment
from edanas.running import run

PUBLISHED = (
    # Table I of the paper: name, early exits, ADA_MACS in M, top-1 in %.
    ("EDANAS4", 4, 3.15, 62.3),
    ("EDANAS3", 3, 9.65, 77.7),
    ("EDANAS1", 1, 17.31, 80.9),
    ("EDANAS2", 2, 23.52, 81.1),
    ("NAS4", 0, 10.64, 78.2),
    ("NAS3", 0, 18.14, 81.3),
    ("NAS1", 0, 21.67, 81.8),
    ("NAS2", 0, 37.21, 86.8),
)
BUDGETS = tuple(row[2] for row in PUBLISHED[:4])

REFERENCES = (
    # Single-exit networks trained from scratch at 32 pixels, as published: name, MACs in M, top-1 in %.
    ("ShuffleNetV2 x0.5", 10.9, 90.1),
    ("MobileNetV2 x0.5", 28.0, 92.9),
    ("ResNet-20", 40.8, 92.6),
)


class TimeUpError(Exception):
    """This call's time is over; the same command goes on."""


class Table:
    """The stages of one seed.

    Args:
        args: The command line's.
        seed: Of split, supernet, search and fine-tuning.
    """

    def __init__(self, args: argparse.Namespace, seed: int) -> None:
        self.args, self.seed = args, seed
        self.end = time.monotonic() + (args.time_limit or math.inf)
        self.out = args.out / f"seed{seed}"
        self.out.mkdir(parents=True, exist_ok=True)
        self.progress = ConsoleProgress()
        self.registry = Registry(load_plugins(print))

    def settings(self, **flags: Any) -> Settings:
        """The preset's, with what the command line changes."""
        given = {
            "data": str(self.args.folder),
            "preset": "cifar",
            "seed": self.seed,
            "device": self.args.device,
        }
        return layered_settings(self.registry, layers({**given, **flags}, self.args.set))

    @property
    def weights(self) -> Path:
        """The trained supernet's file."""
        return self.out / "supernet.safetensors"

    def supernet(self) -> None:
        """Stage 1."""
        left = self.end - time.monotonic()
        done = train_supernet(
            self.registry, Order(self.settings(), self.weights, left, self.args.total_time), self.progress
        )
        if not done.finished:
            self.progress.say(f"Supernet: step {done.steps[0]} of {done.steps[1]}, {done.seconds:.0f} s")
            raise TimeUpError

    def searched(self) -> Composition:
        """Stage 2: the archive is in the run's folder; its results are not fine-tuned and not used."""
        folder = self.out / "search"
        settings = self.settings(
            **{"weights": str(self.weights), "training.epochs": 0, "finetune.epochs": 0, "search.results": 1}
        )
        run(self.registry, settings, folder, self.progress)
        made = compose(self.registry, settings, folder, self.progress)
        with computing(threads_of(settings)):
            made.evaluator.prepare(self.progress)
        return made

    def rows(self, made: Composition) -> list[dict[str, Any]]:
        """Stages 3 to 5: two networks a budget, each kept in a file of its own once it was looked at."""
        with Archive(self.out / "search", read_only=True) as archive:
            pool = list(_trade_offs(made, archive))
        found = []
        for budget in self.args.budgets:
            for kind in ("early-exit", "single-exit"):
                path = self.out / f"{kind}-{budget:g}M.json"
                if not path.exists():
                    if time.monotonic() > self.end:
                        raise TimeUpError
                    row = self._network(made, _best(pool, budget * 1e6, kind), budget, kind)
                    path.with_suffix(".partial").write_text(json.dumps(row, indent=1))
                    path.with_suffix(".partial").replace(path)
                found.append(json.loads(path.read_text()))
        return found

    def _network(self, made: Composition, candidate: Candidate, budget: float, kind: str) -> dict[str, Any]:
        """Fine-tune with every exit, set thresholds on calibration, and look at the report part."""
        start, bench = time.monotonic(), made.workbench
        exits = bench.provider.exit_points
        early = kind == "early-exit"
        open_ = Candidate(candidate.backbone, SelectionScheme(((1.0,) if early else (None,)) * exits))
        training = replace(bench.settings.finetune, epochs=self.args.finetune_epochs)
        with computing(threads_of(bench.settings)):
            network: Any = made.evaluator.network(open_)
            with self.progress.task(f"Fine-tuning {kind} for {budget}M", None) as bar:
                name = (kind, open_.id)
                bench.finetune(network, training, bench.seed("finish", *name), bar, made.evaluator.teacher())
            anatomy = bench.anatomy(network)
            if early:
                promise = collect_profile(network, bench.parts.calibration)
                front = threshold_front(promise, anatomy.costs, exits)
                within = np.flatnonzero(front.cost <= budget * 1e6)
                network.scheme = front.schemes[int(within[-1]) if len(within) else 0]
            test = score(collect_profile(network, bench.parts.test), network.scheme, anatomy)
        return {
            "kind": kind,
            "budget_m": budget,
            "seed": self.seed,
            "executed_macs_m": test.executed_macs / 1e6,
            "ada_macs_m": test.ada_macs / 1e6,
            "backbone_macs_m": test.backbone_macs / 1e6,
            "accuracy": test.accuracy,
            "interval": list(wilson(test.accuracy, len(bench.parts.test))),
            "utilization": list(test.utilization),
            "thresholds": list(network.scheme.thresholds),
            "backbone": dict(open_.backbone.choices),
            "backbone_accuracy": test.backbone_accuracy,
            "seconds": round(time.monotonic() - start, 1),
        }


def _trade_offs(made: Composition, archive: Archive) -> Any:
    """Every searched backbone with each of its trade-offs."""
    if made.fronts is None:
        raise ValueError("the search has no threshold fronts")
    for _, evaluation in archive.replay():
        profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
        if profile is not None:
            yield from made.fronts.evaluations(evaluation, profile)


def _best(pool: Sequence[Evaluation], budget: float, kind: str) -> Candidate:
    """The most accurate on the validation part within the budget; the cheapest where nothing is within."""
    early = kind == "early-exit"

    def figures(each: Evaluation) -> tuple[float, float]:
        metrics = each.metrics
        if metrics is None:
            raise ValueError(f"{each.candidate.id} has no metrics")
        if early:
            return metrics.executed_macs, metrics.accuracy
        return metrics.backbone_macs, metrics.backbone_accuracy

    within = [each for each in pool if figures(each)[0] <= budget]
    if not within:
        return min(pool, key=lambda each: figures(each)[0]).candidate
    return max(within, key=lambda each: figures(each)[1]).candidate


def single_exit_cost(rows: Sequence[Mapping[str, Any]], accuracy: float) -> float | None:
    """MACs (M) at which the single-exit front, in straight lines between its networks, reaches `accuracy`."""
    points = sorted((r["executed_macs_m"], r["accuracy"]) for r in rows if r["kind"] == "single-exit")
    front = [p for i, p in enumerate(points) if all(p[1] > q[1] for q in points[:i])]
    if not front or accuracy > front[-1][1]:
        return None
    if accuracy <= front[0][1]:
        return float(front[0][0])
    return float(np.interp(accuracy, [p[1] for p in front], [p[0] for p in front]))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a line a network, and where the single-exit front of its supernet is as accurate."""
    lines = [
        "| network | budget | executed MACs | accuracy (95%) | paper | single exit needs | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    paper = {row[2]: f"{row[0]} {row[3]}%" for row in PUBLISHED[:4]}
    for row in rows:
        same = [r for r in rows if r["seed"] == row["seed"]]
        early = row["kind"] == "early-exit"
        needs = single_exit_cost(same, row["accuracy"]) if early else None
        low, high = row["interval"]
        cells = (
            f"{row['kind']}, seed {row['seed']}",
            f"{row['budget_m']:g}M",
            f"{row['executed_macs_m']:.2f}M",
            f"{row['accuracy']:.1%} ({low:.1%} to {high:.1%})",
            paper.get(row["budget_m"], "") if early else "",
            f"{needs:.2f}M" if needs else "more than it has" if early else "",
            f"{row['executed_macs_m'] / needs:.2f}" if needs else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Both fronts with the published points."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for kind, mark in (("early-exit", "o-"), ("single-exit", "s--")):
        points = sorted((r["executed_macs_m"], 100 * r["accuracy"]) for r in rows if r["kind"] == kind)
        axes.plot(*zip(*points, strict=True), mark, label=f"{kind}, same supernet")
    early = [(row[2], row[3]) for row in PUBLISHED if row[1]]
    single = [(row[2], row[3]) for row in PUBLISHED if not row[1]]
    axes.plot(*zip(*early, strict=True), "^", label="Table I, early exits (ADA_MACS)")
    axes.plot(*zip(*single, strict=True), "v", label="Table I, single exit")
    axes.plot(
        *zip(*[(r[1], r[2]) for r in REFERENCES], strict=True), "*", label="published single-exit networks"
    )
    axes.set(xlabel="executed MACs for an image on average (M)", ylabel="top-1 accuracy (%)")
    axes.legend()
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def main() -> None:
    """All stages of each seed, then the table."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--budgets", type=float, nargs="+", default=list(BUDGETS), help="MACs in M")
    parser.add_argument("--total-time", type=float, help="seconds of the supernet's training")
    parser.add_argument("--time-limit", type=float, help="seconds of this call")
    parser.add_argument("--finetune-epochs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    try:
        for seed in args.seeds:
            stages = Table(args, seed)
            stages.supernet()
            rows += stages.rows(stages.searched())
    except TimeUpError:
        print("Not finished. To go on: the same command again")
        return
    content = {
        "rows": rows,
        "published": PUBLISHED,
        "references": REFERENCES,
        "environment": environment(stages.settings()),
        "settings": args.set,
    }
    (args.out / "results.json").write_text(json.dumps(content, indent=1, default=str))
    draw(rows, args.out / "results.svg")
    print(table(rows))
    print("Where the images were packed as JPEG, that costs accuracy against the originals.")


if __name__ == "__main__":
    main()
