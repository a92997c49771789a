"""One supernet, many early-exit networks on small photographs, and the table against published figures.

    python benchmarks/cifar.py FOLDER --out OUT                          # all of it, to the end
    python benchmarks/cifar.py FOLDER --out OUT --time-limit 540         # a piece; the same command goes on

FOLDER holds class folders (or `train/` with class folders). The stages, each kept in OUT and not done twice:

1. the supernet of the preset `cifar` is trained (`edanas train-supernet`), in pieces;
2. backbones are searched, each with all its exact threshold trade-offs (strategy `nested`);
3. for each budget of executed multiply-adds, the best early-exit backbones (`--candidates`) and the best
   single-exit backbone by validation accuracy are fine-tuned, learning from the supernet's largest backbone
   too, up to the exit behind which fewer than 2% leave in the search; so is the largest as a single-exit
   network. A network that was begun is finished, however long the call was to take;
4. on the calibration part each early-exit network gets temperatures, and its front of thresholds; for each
   budget the network is taken whose thresholds within it are the most accurate on the validation part;
5. the report part is looked at once for each network, as it is and cut off at each of its exits: the table,
   the fronts as a plot, and JSON.

No part but `train` is trained on, and nothing depends on the report part.
"""

import argparse
import json
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cifar_networks import EARLY, SINGLE, Networks, Wanted, reported
from cifar_table import BUDGETS, PUBLISHED, REFERENCES, draw, table

from edanas.core.archive import Archive
from edanas.core.devices import threads_of
from edanas.core.machine import computing
from edanas.core.progress import Progress, Silent
from edanas.core.settings import Settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.console import ConsoleProgress
from edanas.run.execution import run
from edanas.run.layers import layered_settings, user_layers
from edanas.run.pretraining import Order, train_supernet
from edanas.run.provenance import environment


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

    def check_asked(self) -> None:
        """What the stages keep is the answer to one question.

        Raises:
            SystemExit: What is in the folder was made for another.
        """
        path = self.out / "asked.json"
        names = ("folder", "budgets", "finetune_epochs", "candidates", "total_time", "set")
        asked = {name: getattr(self.args, name) for name in names}
        asked["folder"] = str(asked["folder"])
        if not path.exists():
            path.write_text(json.dumps(asked))
        for name, value in json.loads(path.read_text()).items():
            if value != asked[name]:
                sys.exit(f"{path}: {name} was {value}, now {asked[name]}; give the same, or another --out")

    def settings(self, **flags: Any) -> Settings:
        """The preset's, with what the command line changes."""
        given = {
            "data": str(self.args.folder),
            "preset": "cifar",
            "seed": self.seed,
            "device": self.args.device,
        }
        return layered_settings(self.registry, user_layers({**given, **flags}, self.args.set))

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

    @property
    def searching(self) -> Settings:
        """The search's settings; its results are not fine-tuned and not used."""
        more = {"training.epochs": 0, "finetune.epochs": 0, "search.results": 1}
        return self.settings(**{"weights": str(self.weights), **more})

    def search(self) -> None:
        """Stage 2: what was found is in the archive of the run's folder.

        Raises:
            TimeUpError: Before it begins; it is cut only by the setting `search.time_limit`.
        """
        start = time.monotonic()
        if start > self.end:
            raise TimeUpError
        run(self.registry, self.searching, self.out / "search", self.progress)
        self._note("search", {"seconds": time.monotonic() - start})

    def networks(self, folder: Path, progress: Progress) -> Networks:
        """What the supernet gives; `folder` is for what preparing it writes."""
        made = compose(self.registry, self.searching, folder, progress)
        made.evaluator.prepare(progress)
        return Networks(made, self.out / "networks", self.args.finetune_epochs, progress)

    def finetune(self, wanted: list[Wanted], kind: str) -> None:
        """Stage 3, of one kind, in processes; the costly ones begin."""
        path, start, threads = self.out / f"{kind}.took.json", time.monotonic(), threads_of(self.searching)
        workers = self.args.workers
        costly_first = sorted(wanted, key=lambda each: -(each.budget or math.inf))
        begin = (self.args, self.seed, max(1, threads // workers), self.end)
        with (
            ProcessPoolExecutor(workers, get_context("spawn"), begin_worker, begin) as pool,
            self.progress.task(f"Fine-tuning {kind} networks", len(wanted)) as bar,
        ):
            for _ in pool.map(finetune_in_worker, costly_first):
                bar.advance()
        before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
        path.write_text(json.dumps({"seconds": before + time.monotonic() - start, "workers": workers}))

    def rows(self) -> list[dict[str, Any]]:
        """Stages 3 to 5; the last is kept in a file, so that the report part is looked at once.

        Raises:
            TimeUpError: Before the last network is fine-tuned.
        """
        path, budgets = self.out / "rows.json", [budget * 1e6 for budget in self.args.budgets]
        if path.exists():
            return list(json.loads(path.read_text()))
        with computing(threads_of(self.searching)):
            networks = self.networks(self.out / "search", self.progress)
            with Archive(self.out / "search", read_only=True) as archive:
                wanted = networks.wanted(archive, budgets, self.args.candidates)
            for kind in (EARLY, SINGLE):
                named = {each.name: each for each in wanted if each.kind == kind}
                missing = [each for each in named.values() if not networks.is_finetuned(each)]
                if missing and time.monotonic() < self.end:
                    self.finetune(missing, kind)
                if not all(networks.is_finetuned(each) for each in missing):
                    raise TimeUpError
            rows = reported(networks, wanted, budgets)
        path.with_suffix(".partial").write_text(json.dumps(rows, indent=1))
        path.with_suffix(".partial").replace(path)
        return rows

    def _note(self, stage: str, figures: dict[str, Any]) -> None:
        """What a stage took in the call that ended it; the supernet's, in all."""
        path = self.out / f"{stage}.took.json"
        if not path.exists():
            path.write_text(json.dumps(figures))


_IN_WORKER: list[tuple[Networks, int, float]] = []
"""What a process fine-tunes with, its threads, and when its time is over; set as it starts."""


def begin_worker(args: argparse.Namespace, seed: int, threads: int, end: float) -> None:
    """In a process of its own: prepare the supernet."""
    with TemporaryDirectory() as folder, computing(threads):
        _IN_WORKER.append((Table(args, seed).networks(Path(folder), Silent()), threads, end))


def finetune_in_worker(wanted: Wanted) -> None:
    """Unless the call's time is over; a network that was begun is finished."""
    networks, threads, end = _IN_WORKER[0]
    if time.monotonic() < end:
        with computing(threads):
            networks.finetune(wanted)


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
    parser.add_argument("--finetune-epochs", type=int, default=3)
    parser.add_argument(
        "--candidates",
        type=int,
        choices=range(1, 9),
        default=1,
        help="early-exit backbones to fine-tune a budget",
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that fine-tune, sharing the threads"
    )
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
            stages.check_asked()
            stages.supernet()
            stages.search()
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
        "asked": vars(args),
    }
    (args.out / "results.json").write_text(json.dumps(content, indent=1, default=str))
    draw(rows, args.out / "results.svg")
    print(table(rows))
    print("Where the images were packed as JPEG, that costs accuracy against the originals.")


if __name__ == "__main__":
    main()
