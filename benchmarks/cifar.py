"""One supernet, many early-exit networks on small photographs, and the table against published figures.

    python benchmarks/cifar.py FOLDER --out OUT                          # all of it, to the end
    python benchmarks/cifar.py FOLDER --out OUT --time-limit 540         # a piece; the same command goes on

FOLDER holds class folders (or `train/` with class folders). The stages, each kept in OUT and not done twice:

1. the supernet of the preset `cifar` is trained (`edanas train-supernet`), in pieces;
2. backbones are searched, each with all its exact threshold trade-offs (strategy `nested`);
3. for each budget of executed multiply-adds, the best early-exit and the best single-exit backbone by
   validation accuracy are fine-tuned, learning from the supernet's largest backbone too; so is the largest
   as a single-exit network;
4. on the calibration part each early-exit network gets temperatures, and its front of thresholds; for each
   budget the network is taken whose thresholds within it are the most accurate on the validation part;
5. the report part is looked at once for each network, as it is and cut off at each of its exits: the table,
   the fronts as a plot, and JSON.

No part but `train` is trained on, and nothing depends on the report part.
"""

import argparse
import json
import math
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from cifar_networks import EARLY, SINGLE, Networks
from cifar_table import BUDGETS, PUBLISHED, REFERENCES, draw, table

from edanas.api import layers
from edanas.cli.progress import ConsoleProgress
from edanas.compose import Composition, compose
from edanas.core.archive import Archive
from edanas.core.machine import computing
from edanas.core.settings import Settings
from edanas.devices import threads_of
from edanas.layering import layered_settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.pretraining import Order, train_supernet
from edanas.provenance import environment
from edanas.running import run


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
    def notes(self) -> list[Path]:
        """What the stages took."""
        return sorted(self.out.glob("*.took.json"))

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
        self._note("supernet", {"seconds": done.seconds, "steps": done.steps[1], "epochs": done.epochs})

    @cached_property
    def made(self) -> Composition:
        """Stage 2: the archive is in the run's folder; its results are not fine-tuned and not used."""
        folder, start = self.out / "search", time.monotonic()
        settings = self.settings(
            **{"weights": str(self.weights), "training.epochs": 0, "finetune.epochs": 0, "search.results": 1}
        )
        run(self.registry, settings, folder, self.progress)
        self._note("search", {"seconds": time.monotonic() - start})
        made = compose(self.registry, settings, folder, self.progress)
        with computing(threads_of(settings)):
            made.evaluator.prepare(self.progress)
        return made

    def rows(self) -> list[dict[str, Any]]:
        """Stages 3 to 5; the last is kept in a file, so that the report part is looked at once."""
        path, made = self.out / "rows.json", self.made
        if path.exists():
            return list(json.loads(path.read_text()))
        start, budgets = time.monotonic(), [budget * 1e6 for budget in self.args.budgets]
        networks = Networks(made, self.out / "networks", self.args.finetune_epochs, self.progress)
        with computing(threads_of(made.workbench.settings)):
            with Archive(self.out / "search", read_only=True) as archive:
                wanted = networks.wanted(archive, budgets)
            for each in wanted:
                if not networks.is_finetuned(each) and time.monotonic() > self.end:
                    raise TimeUpError
                networks.finetuned(each)
            self._note("finetuning", {"seconds": time.monotonic() - start})
            early = {each.backbone.id: each for each in wanted if each.kind == EARLY}
            tuned = [networks.finetuned(each) for each in early.values()]
            offers = [networks.offers(network, budgets) for network in tuned]
            single = [each for each in wanted if each.kind == SINGLE]
            rows = [networks.report(SINGLE, each.budget, networks.finetuned(each)) for each in single]
            rows += [row for network in tuned for row in networks.cuts(network)]
            for within in zip(*offers, strict=True):
                chosen = max(within, key=lambda offer: offer.accuracy)
                chosen.network.scheme = chosen.scheme
                rows.append(networks.report(EARLY, chosen.budget, chosen.network))
        path.with_suffix(".partial").write_text(json.dumps(rows, indent=1))
        path.with_suffix(".partial").replace(path)
        return rows

    def _note(self, stage: str, figures: dict[str, Any]) -> None:
        """What a stage took in the call that ended it; the supernet's, in all."""
        path = self.out / f"{stage}.took.json"
        if not path.exists():
            path.write_text(json.dumps(figures))


def parsed() -> argparse.Namespace:
    """The command line."""
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
    return parser.parse_args()


def main() -> None:
    """All stages of each seed, then the table."""
    args = parsed()
    rows: list[dict[str, Any]] = []
    took: dict[str, Any] = {}
    try:
        for seed in args.seeds:
            stages = Table(args, seed)
            stages.supernet()
            rows += stages.rows()
            took[f"seed {seed}"] = {p.name.split(".")[0]: json.loads(p.read_text()) for p in stages.notes}
    except TimeUpError:
        print("Not finished. To go on: the same command again")
        return
    content = {
        "rows": rows,
        "took": took,
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
