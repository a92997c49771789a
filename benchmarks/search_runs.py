"""Running the methods of `search.py` in worker processes, and the file of their results."""

import json
import os
import platform
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from search_functions import Function, plain_space
from search_rivals import OURS, Options, Recorder, Spent, method

from edanas.core.durations import LONGEST
from edanas.core.errors import CandidateError
from edanas.core.space import SearchSpace
from edanas.executors.process import Process

PACKAGES = ("numpy", "scipy", "torch", "pymoo", "optuna", "botorch", "gpytorch", "smac")

SCALED = ("paper", "smac parego")
"""Methods whose initial design depends on the budget."""


@dataclass(frozen=True)
class Job:
    """One run: a method on a function, with a seed."""

    function: Function
    name: str
    seed: int
    options: Options

    @property
    def key(self) -> tuple[Any, ...]:
        """Identity of the run in the file of results."""
        how = self.options
        return (
            *(self.function.name, self.name, self.seed, how.budget),
            *(self.function.digest, how.initial, how.batch, how.seconds),
        )


@dataclass(frozen=True)
class Run:
    """The result of a job.

    Args:
        function: Name of the function.
        method: Name of the method.
        seed: Seed of all randomness.
        budget: Limit of evaluations.
        stopped: `budget`, `seconds` (the limit of its own), `ended` (no candidates left), or an error.
        genomes: (n, D) evaluated genomes, in order.
        values: (n, 2) minimised values.
        sizes: Evaluations in each batch.
        own: CPU seconds of the method's own computation before each batch.
        machine: Machine and versions.
        table: Digest of the table, empty without one; `None` in an older file, which matches any.
        initial: Size of our strategies' initial archive; older files have the default of their time, for
            `batch`, too.
        batch: Candidates of one proposal.
        seconds: Limit of the method's own CPU seconds; `None` in an older file, which matches any.
    """

    function: str
    method: str
    seed: int
    budget: int
    stopped: str
    genomes: Any
    values: Any
    sizes: Sequence[int]
    own: Sequence[float]
    machine: str = ""
    table: str | None = None
    initial: int = 16
    batch: int = 8
    seconds: float | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Identity as `Job.key`; `None` for unknown parts."""
        return (
            *(self.function, self.method, self.seed, self.budget),
            *(self.table, self.initial, self.batch, self.seconds),
        )

    def answers(self, key: tuple[Any, ...]) -> bool:
        """True if this run has that key, as far as is known.

        A run that stayed within its limit of seconds also matches every other limit above its seconds.
        """
        *mine, limit = self.key
        *others, allowed = key
        if not all(None in pair or pair[0] == pair[1] for pair in zip(mine, others, strict=True)):
            return False
        within = self.stopped != "seconds" and allowed is not None and sum(self.own) <= allowed
        return None in (limit, allowed) or limit == allowed or within


def machine() -> str:
    """Return machine and versions as text."""
    packages = []
    for package in PACKAGES:
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; {', '.join(packages)}"
    )


def variants(name: str, options: Options, budgets: Iterable[int]) -> list[Options]:
    """Return the runs that a method needs: one, whose prefixes serve all budgets.

    The paper's procedure and SMAC3 need one for each budget: their initial designs, 100 of 340 candidates and
    at most a quarter of the budget, shrink with the budget.
    """
    if name not in SCALED:
        return [options]
    smaller = {min(b, options.budget) for b in budgets}
    return [replace(options, budget=b, scaled=b) for b in sorted(smaller)]


@dataclass(frozen=True)
class Offered:
    """A function as rivals see it: its variables with more than one choice, as integers.

    Args:
        space: Space of these variables.
        reference: Reference point of the hypervolume.
        whole: (n, d) genomes of that space -> canonical genomes of the function's space.
    """

    space: SearchSpace
    reference: Any
    whole: Any

    @classmethod
    def of(cls, function: Function) -> "Offered":
        """Leave out variables with a single choice; unexpressed genes stay, without effect."""
        free = np.flatnonzero(function.space.counts > 1)

        def whole(genomes: Any) -> Any:
            full = np.zeros((len(genomes), function.space.dimensions), dtype=np.int64)
            full[:, free] = genomes
            return function.space.canonical(full)

        return cls(plain_space([range(n) for n in function.space.counts[free]]), function.reference, whole)


def _side(job: Job) -> Function:
    """Return the function, or its nested form for a nested strategy."""
    if job.name.startswith(OURS):
        from search_rivals.edanas_strategies import is_nested

        nested = job.function.nested() if is_nested(job.name.removeprefix(OURS)) else None
        return nested or job.function
    return job.function


def one(job: Job) -> Run:
    """Run a job in this process."""
    import torch

    torch.set_num_threads(1)
    np.random.seed(job.seed)  # noqa: NPY002 - for libraries that draw from the global generator
    run = method(job.name)
    function = _side(job)
    offered: Any = function if job.name.startswith(OURS) else Offered.of(function)
    whole = offered.whole if isinstance(offered, Offered) else function.space.canonical
    record = Recorder(function.evaluate, whole, job.options)
    try:
        run(offered, record, job.seed, job.options)
        record.stopped = "ended"
    except Spent:
        pass
    except Exception as error:  # a rival may fail in any way; the other jobs continue
        traceback.print_exc()
        record.stopped = f"{type(error).__name__}: {error}"
    sizes = record.sizes + [0] * (len(record.own) - len(record.sizes))
    return Run(
        *job.key[:4],
        stopped=record.stopped,
        genomes=record.genomes,
        values=record.values,
        sizes=sizes,
        own=record.own,
        machine=machine(),
        table=job.function.digest,
        initial=job.options.initial,
        batch=job.options.batch,
        seconds=job.options.seconds,
    )


def run(jobs: Sequence[Job], results: Path, workers: int, *, again: bool) -> None:
    """Run the jobs that the file lacks, or with `again` all, and append each run at its end.

    With 0 workers, the jobs run in this process.
    """
    held = [] if again else load(results).values()
    missing = [job for job in jobs if not any(run.answers(job.key) for run in held)]
    if not missing:
        return
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # for the workers, before they load anything
    start = time.monotonic()
    with closing(_answers(missing, workers)) as answers:
        for done, ended in enumerate(answers, 1):
            _append(results, json.dumps(_packed(ended)))
            print(f"[{done}/{len(missing)}, {time.monotonic() - start:.0f} s] {_line(ended)}", flush=True)


def _append(results: Path, line: str) -> None:
    """Append a line under a lock, after a cut-off line of a killed benchmark if there is one."""
    with FileLock(f"{results}.lock"), results.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())


def _answers(jobs: Sequence[Job], workers: int) -> Iterator[Run]:
    if not workers:
        yield from map(one, jobs)
        return
    with closing(Process(min(workers, len(jobs)), threads=1, timeout=LONGEST)) as executor:
        for _, answer in executor.as_completed(one, jobs):
            if isinstance(answer, CandidateError):
                raise answer
            yield answer


def _line(run: Run) -> str:
    done = f"{len(run.values)} evaluations, own {sum(run.own):.1f} s, {run.stopped}"
    return f"{run.function}, {run.method}, seed {run.seed}: {done}"


def load(results: Path) -> dict[tuple[Any, ...], Run]:
    """Return all runs of a file by their keys; of equal keys, the last.

    A cut-off line of a killed benchmark is skipped, so that its run is missing.
    """
    runs: dict[tuple[Any, ...], Run] = {}
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                continue
            genes = [[int(gene) for gene in row.split()] for row in values.pop("genomes")]
            run = Run(**values, genomes=np.array(genes, dtype=np.int64))
            run = replace(run, values=np.array(run.values, dtype=np.float64).reshape(-1, 2))
            if None not in run.key:  # it may repeat an older line with unknown parts
                for old in [key for key in runs if None in key and runs[key].answers(run.key)]:
                    del runs[old]
            runs.pop(run.key, None)
            runs[run.key] = run
    return runs


def comparable(runs: Mapping[tuple[Any, ...], Run], options: Options) -> dict[tuple[Any, ...], Run]:
    """Return the runs with these sizes of the initial archive and of batches."""
    sizes = options.initial, options.batch
    return {key: run for key, run in runs.items() if (run.initial, run.batch) == sizes}


def _packed(run: Run) -> dict[str, Any]:
    rows = [" ".join(map(str, genome)) for genome in run.genomes]
    own = [round(seconds, 4) for seconds in run.own]
    return {**vars(run), "genomes": rows, "own": own}
