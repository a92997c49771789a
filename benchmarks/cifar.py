"""Train one supernet, search early-exit networks on small photographs, and compare with published figures.

    python benchmarks/cifar.py FOLDER --out OUT                          # all stages
    python benchmarks/cifar.py FOLDER --out OUT --time-limit 540         # in pieces; the same command resumes

FOLDER holds class folders (or `train/` with class folders). OUT keeps the results of each stage:

1. The supernet of the preset `cifar` is trained (`edanas train-supernet`), in pieces (not with `--weights`).
2. Backbones are searched, each with its exact front of thresholds (strategy `nested`).
3. For each budget of executed multiply-adds, the best early-exit backbones (`--candidates`) by validation
   accuracy are fine-tuned. So are the best single-exit backbone, and the largest backbone with a single exit.
   The supernet's largest backbone teaches them. Exits beyond which fewer than 2% of the samples exit in the
   search are not trained. A network in training is finished even after the time limit.
4. On the calibration part each early-exit network gets temperatures and its front of thresholds. For each
   budget, the network is chosen whose thresholds within it are most accurate on the validation part.
5. The report part is evaluated once for each network, whole and cut off at each of its exits. The script
   writes the table, the fronts as a plot, and JSON.

Training uses the part `train` alone, and no decision depends on the report part.
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
    """The time of this call is over; the same command resumes."""


class Table:
    """The stages of one seed.

    Args:
        args: The command line's arguments.
        seed: Seed of split, supernet, search and fine-tuning.
    """

    def __init__(self, args: argparse.Namespace, seed: int) -> None:
        self.args, self.seed = args, seed
        self.end = time.monotonic() + (args.time_limit or math.inf)
        self.out = args.out / f"seed{seed}"
        self.out.mkdir(parents=True, exist_ok=True)
        self.progress = ConsoleProgress()
        self.registry = Registry(load_plugins(print))

    def check_arguments(self) -> None:
        """Compare the arguments with those that the folder's stages were made with.

        Raises:
            SystemExit: An argument differs.
        """
        path = self.out / "asked.json"
        names = ("folder", "plugin", "weights", "budgets", "finetune_epochs", "candidates", "total_time")
        arguments = {name: getattr(self.args, name) for name in (*names, "set")}
        arguments["folder"] = str(arguments["folder"])
        if not path.exists():
            path.write_text(json.dumps(arguments))
        for name, value in json.loads(path.read_text()).items():
            if value != arguments[name]:
                sys.exit(f"{path}: {name} was {value}, now {arguments[name]}; choose another --out")

    def settings(self, **flags: Any) -> Settings:
        """Return the preset's settings with the command line's changes."""
        common = {
            "data": str(self.args.folder),
            "plugin": self.args.plugin,
            "preset": "cifar",
            "seed": self.seed,
            "device": self.args.device,
        }
        return layered_settings(self.registry, user_layers({**common, **flags}, self.args.set))

    @property
    def notes(self) -> list[Path]:
        """Files with the durations of the stages."""
        return sorted(self.out.glob("*.took.json"))

    @property
    def weights(self) -> str:
        """File of the trained supernet, or its name."""
        return str(self.args.weights or self.out / "supernet.safetensors")

    def supernet(self) -> None:
        """Train the supernet, unless its weights are given: stage 1."""
        if self.args.weights:
            return
        left = self.end - time.monotonic()
        done = train_supernet(
            self.registry,
            Order(self.settings(), Path(self.weights), left, self.args.total_time),
            self.progress,
        )
        if not done.finished:
            self.progress.say(f"Supernet: step {done.steps[0]} of {done.steps[1]}, {done.seconds:.0f} s")
            raise TimeUpError
        self._note("supernet", {"seconds": done.seconds, "steps": done.steps[1], "epochs": done.epochs})

    @property
    def searching(self) -> Settings:
        """Settings of the search, whose own results are neither fine-tuned nor used."""
        more = {"training.epochs": 0, "finetune.epochs": 0, "search.results": 1}
        return self.settings(**{"weights": self.weights, **more})

    def search(self) -> None:
        """Search backbones into the archive of the run folder: stage 2.

        Raises:
            TimeUpError: The time is over before the start; only `search.time_limit` ends a running search.
        """
        start = time.monotonic()
        if start > self.end:
            raise TimeUpError
        run(self.registry, self.searching, self.out / "search", self.progress)
        self._note("search", {"seconds": time.monotonic() - start})

    def networks(self, folder: Path, progress: Progress) -> Networks:
        """Return the supernet's networks; preparing it writes into `folder`."""
        composition = compose(self.registry, self.searching, folder, progress)
        composition.evaluator.prepare(progress)
        return Networks(composition, self.out / "networks", self.args.finetune_epochs, progress)

    def finetune(self, orders: list[Wanted], kind: str) -> None:
        """Fine-tune networks of one kind in worker processes, the costly ones first: stage 3."""
        path, start, threads = self.out / f"{kind}.took.json", time.monotonic(), threads_of(self.searching)
        workers = self.args.workers
        costly_first = sorted(orders, key=lambda each: -(each.budget or math.inf))
        begin = (self.args, self.seed, max(1, threads // workers), self.end)
        with (
            ProcessPoolExecutor(workers, get_context("spawn"), begin_worker, begin) as pool,
            self.progress.task(f"Fine-tuning {kind} networks", len(orders)) as bar,
        ):
            for _ in pool.map(finetune_in_worker, costly_first):
                bar.advance()
        before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
        path.write_text(json.dumps({"seconds": before + time.monotonic() - start, "workers": workers}))

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table: stages 3 to 5. A file keeps them, so the report part is used once.

        Raises:
            TimeUpError: The time is over before the last network is fine-tuned.
        """
        path, budgets = self.out / "rows.json", [budget * 1e6 for budget in self.args.budgets]
        if path.exists():
            return list(json.loads(path.read_text()))
        with computing(threads_of(self.searching)):
            networks = self.networks(self.out / "search", self.progress)
            with Archive(self.out / "search", read_only=True) as archive:
                orders = networks.wanted(archive, budgets, self.args.candidates)
            for kind in (EARLY, SINGLE):
                named = {each.name: each for each in orders if each.kind == kind}
                missing = [each for each in named.values() if not networks.is_finetuned(each)]
                if missing and time.monotonic() < self.end:
                    self.finetune(missing, kind)
                if not all(networks.is_finetuned(each) for each in missing):
                    raise TimeUpError
            rows = reported(networks, orders, budgets)
        path.with_suffix(".partial").write_text(json.dumps(rows, indent=1))
        path.with_suffix(".partial").replace(path)
        return rows

    def _note(self, stage: str, figures: dict[str, Any]) -> None:
        """Record the duration of a stage in the call that ended it; for the supernet, in all calls."""
        path = self.out / f"{stage}.took.json"
        if not path.exists():
            path.write_text(json.dumps(figures))


_IN_WORKER: list[tuple[Networks, int, float]] = []
"""Networks of a worker process, its threads, and the end of its time; set at its start."""


def begin_worker(args: argparse.Namespace, seed: int, threads: int, end: float) -> None:
    """Prepare the supernet in a worker process."""
    with TemporaryDirectory() as folder, computing(threads):
        _IN_WORKER.append((Table(args, seed).networks(Path(folder), Silent()), threads, end))


def finetune_in_worker(order: Wanted) -> None:
    """Fine-tune a network to its end, unless the time is over before the start."""
    networks, threads, end = _IN_WORKER[0]
    if time.monotonic() < end:
        with computing(threads):
            networks.finetune(order)


def parsed() -> argparse.Namespace:
    """Return the command line's arguments."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plugin", default="mbv3-sm", help="bundle with a preset `cifar`")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--budgets", type=float, nargs="+", default=list(BUDGETS), help="MACs in M")
    parser.add_argument("--weights", help="trained supernet, in place of stage 1: a file or a name")
    parser.add_argument("--total-time", type=float, help="seconds of the supernet's training")
    parser.add_argument("--time-limit", type=float, help="seconds of this call")
    parser.add_argument("--finetune-epochs", type=int, default=3)
    parser.add_argument(
        "--candidates",
        type=int,
        choices=range(1, 9),
        default=1,
        help="early-exit backbones to fine-tune for each budget",
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that fine-tune, sharing the threads"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    return parser.parse_args()


def main() -> None:
    """Run all stages for each seed, then print the table."""
    args = parsed()
    rows: list[dict[str, Any]] = []
    took: dict[str, Any] = {}
    try:
        for seed in args.seeds:
            stages = Table(args, seed)
            stages.check_arguments()
            stages.supernet()
            stages.search()
            rows += stages.rows()
            took[f"seed {seed}"] = {p.name.split(".")[0]: json.loads(p.read_text()) for p in stages.notes}
    except TimeUpError:
        print("Not finished; the same command resumes.")
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
    print("If the images are JPEG files, compression costs some accuracy compared with the originals.")


if __name__ == "__main__":
    main()
