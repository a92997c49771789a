"""Compare searches with and without early stopping of candidates at equal epochs, on the digits.

Both searches of a seed have the evaluation `finetune` of untrained backbones, the same initial archive, and
one budget of epochs for the trainings of all candidates. The hypervolumes have one box, that of the initial
archive. The runs are tasks of the executor `process`.

    python benchmarks/early_stopping.py                       # 10 seeds, 3 rungs
    python benchmarks/early_stopping.py --seeds 3 --epochs 150
"""

import argparse
import tempfile
from contextlib import closing
from dataclasses import dataclass

from asynchronous import interval

from edanas.core.durations import LONGEST
from edanas.executors.process import Process

SETTINGS = (
    "evaluation=finetune",
    "threads=1",
    "device=cpu",
    "surrogates=['rbf']",
    "supernet.widths=[0.25]",
    "supernet.resolutions=[8]",
    "supernet.depths=[1, 2]",
    "supernet.kernels=[3, 5]",
    "supernet.expansions=[3, 4]",
    "supernet.stem_stride=1",
    "supernet.stage_strides=[1, 2, 1, 2, 1]",
    "supernet.final_expand=64",
    "supernet.last_width=64",
    "training.batch_size=64",
    "training.learning_rate=0.01",
    "search.iterations=1000",
    "search.results=1",
    "finetune.epochs=0",
    "baseline.epochs=0",
    "final_thresholds=grid",
    "examples=0",
)


@dataclass(frozen=True)
class Job:
    """A search.

    Args:
        seed: Seed of all randomness.
        rungs: Number of rungs; 1 = no early stopping.
        settings: Settings of all searches.
    """

    seed: int
    rungs: int
    settings: tuple[str, ...]


def search(job: Job) -> tuple[float, int]:
    """Return the last hypervolume of a search, and its number of candidates."""
    import edanas

    with tempfile.TemporaryDirectory() as folder:
        more = (f"evaluation.early_stopping={job.rungs}", f"seed={job.seed}")
        result = edanas.search(
            data="digits", preset="quick", out=f"{folder}/run", settings=[*SETTINGS, *job.settings, *more]
        )
        return float(result.data["hypervolume"][-1]), int(result.data["evaluations"])


def main() -> None:
    """Print hypervolumes and numbers of candidates by seed, and the difference of hypervolumes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rungs", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=216, help="budget of a search")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of all searches")
    options = parser.parse_args()
    sizes = ("training.epochs=9", "search.initial=8", "search.per_iteration=4")
    settings = (*sizes, f"search.max_epochs={options.epochs}", *options.set)
    jobs = [Job(seed, rungs, settings) for seed in range(options.seeds) for rungs in (1, options.rungs)]
    answers = {}
    with closing(Process(options.workers, threads=1, timeout=LONGEST)) as executor:
        for number, answer in executor.as_completed(search, jobs):
            answers[jobs[number].seed, jobs[number].rungs] = answer
            print(f"seed {jobs[number].seed}, {jobs[number].rungs} rungs: {answer}", flush=True)
    gains = [answers[seed, options.rungs][0] - answers[seed, 1][0] for seed in range(options.seeds)]
    print(f"hypervolume, {options.rungs} rungs minus 1: {interval(gains)}")


if __name__ == "__main__":
    main()
