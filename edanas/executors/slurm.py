"""The executor `slurm`: work in jobs of a SLURM cluster, which the package submitit submits.

The function is a file on the file system that all nodes share, and each answer becomes another. A job that
is preempted, or reaches its time limit, is submitted again and goes on after its last answer.
"""

import math
import pickle
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.core.runfolder import replace_file
from edanas.core.time_limits import TimeLimit
from edanas.executors.shared_tensors import dumps
from edanas.executors.slurm_job import SlurmJob, answer_file, item_file

_SHORTEST_POLL, _LONGEST_POLL = 0.1, 10.0
"""Seconds between two looks at the files of the answers; the time grows while there are none."""

_DEFAULT_MINUTES = 240
"""Time limit of an item in minutes, unless `timeout` is set."""

_MOST_TIMEOUTS = 1
"""Number of times that a job which reached its time limit is submitted again."""

_LINES = 5
"""Number of a job's last lines of output that stand in the error of its item."""


@dataclass
class _Job:
    """A submitted job.

    Args:
        job: The job of submitit.
        numbers: The numbers of its items.
        since: The time of its submission, on the clock of `time.monotonic`.
    """

    job: Any
    numbers: list[int]
    since: float


class Slurm(Executor):
    """Evaluate candidates in jobs of a SLURM cluster, which are submitted as arrays.

    Args:
        cluster: `slurm`, the default; or `local`, which runs the jobs as processes of this machine, to try
            settings before they wait in a queue.
        workers: The number of jobs at once, 1 or more; 8 by default.
        chunk: The number of candidates in a job, 1 by default; more save the start of a Python process for
            each candidate.
        folder: A folder on a file system that all nodes share, for the data, the answers and the output of
            the jobs; by default, `edanas-slurm` in the current folder. A run deletes its files at its end,
            apart from the output.
        partition: The partition of the jobs; by default, that of the cluster.
        cpus: The number of CPU cores of a job; 1 by default.
        gpus: The number of GPUs of a job; 0 by default.
        memory_gb: The memory of a job in GB; 0, the default, for that of the cluster.
        parameters: Further options of `sbatch` as `name=value`, separated by commas, e.g.
            `account=vision,qos=low`.
        threads: The number of torch threads in a job; 0, the default, for the number in the calling process.
        timeout: The largest number of seconds for one candidate, from which the time limit of a job follows;
            0, the default, for 4 hours.

    Raises:
        ConfigError: An option is out of range, or the package submitit is not installed. The method `run`
            raises it if no job can be submitted.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> try:
        ...     Slurm(chunk=0)
        ... except ConfigError as error:
        ...     print(error)
        executor.chunk: found 0; allowed: 1 or more
    """

    def __init__(
        self,
        cluster: str = "slurm",
        workers: int = 8,
        chunk: int = 1,
        folder: str = "edanas-slurm",
        partition: str = "",
        cpus: int = 1,
        gpus: int = 0,
        memory_gb: float = 0.0,
        parameters: str = "",
        threads: int = 0,
        timeout: float = 0.0,
    ) -> None:
        if cluster not in ("slurm", "local"):
            raise ConfigError(f"executor.cluster: found '{cluster}'; allowed: slurm, local")
        for name, number in (("workers", workers), ("chunk", chunk), ("cpus", cpus)):
            if number < 1:
                raise ConfigError(f"executor.{name}: found {number}; allowed: 1 or more")
        for name, size in (("gpus", gpus), ("memory_gb", memory_gb), ("threads", threads)):
            if not 0 <= size < math.inf:
                raise ConfigError(f"executor.{name}: found {size}; allowed: 0 or more")
        self.cluster, self.workers, self.chunk, self.threads = cluster, workers, chunk, threads
        self.timeout, self.folder = timeout, Path(folder)
        TimeLimit(timeout)
        minutes = math.ceil(chunk * timeout / 60) if timeout else chunk * _DEFAULT_MINUTES
        self._parameters: dict[str, Any] = {"name": "edanas", "cpus_per_task": cpus, "timeout_min": minutes}
        if gpus:
            self._parameters["gpus_per_node"] = gpus
        if memory_gb:
            self._parameters["mem_gb"] = memory_gb
        self._parameters["slurm_array_parallelism"] = workers
        if partition:
            self._parameters["slurm_partition"] = partition
        if parameters:
            self._parameters["slurm_additional_parameters"] = _pairs(parameters)
        self._submitit = import_optional("executor", "slurm", "slurm", "submitit")
        self._submitter: Any = None
        self._output = self.folder.absolute() / "output"
        self._function: Callable[..., Any] | None = None
        self._files = Path()
        self._jobs: list[_Job] = []
        self._next = 0

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`. At most `workers * chunk` items are in progress."""
        answers: dict[int, Answer | CandidateError] = {}
        due = 0
        results = self._stream(function, items, lambda: self.workers * self.chunk - len(answers))
        with closing(results):
            for number, answer in results:
                answers[number] = answer
                while due in answers:
                    yield answers.pop(due)
                    due += 1

    def as_completed(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[int, Answer | CandidateError]]:
        """See `Executor.as_completed`. At most `workers * chunk` items are in progress."""
        return self._stream(function, items, lambda: self.workers * self.chunk)

    def _stream(
        self, function: Callable[..., Any], items: Iterable[Any], most: Callable[[], int]
    ) -> Generator[tuple[int, Any], None, None]:
        self._ship(function)
        source, first = iter(items), self._next
        pending: deque[int] = deque()
        deaths: Counter[int] = Counter()
        waiting, poll = set[int](), _SHORTEST_POLL
        try:
            while True:
                for item in islice(source, max(0, most() - len(waiting))):
                    item_file(self._files, self._next).write_bytes(pickle.dumps(item))
                    waiting.add(self._next)
                    pending.append(self._next)
                    self._next += 1
                self._submit(pending)
                if not waiting:
                    return
                answers = self._collect(waiting, pending, deaths)
                poll = _SHORTEST_POLL if answers else min(_LONGEST_POLL, 1.2 * poll)
                if not answers and not pending:
                    time.sleep(poll)
                for number, answer in sorted(answers.items()):
                    waiting.discard(number)
                    yield number - first, answer
        finally:
            self._cancel()

    def check(self) -> None:
        """See `Executor.check`: this machine must have SLURM's programs."""
        try:
            self._submitter = self._submitit.AutoExecutor(
                self._output, cluster=self.cluster, slurm_max_num_timeout=_MOST_TIMEOUTS
            )
            self._submitter.update_parameters(**self._accepted())
        except (RuntimeError, NameError, AssertionError, OSError) as error:
            raise ConfigError(
                f"executor: 'slurm' cannot submit jobs from this machine ({error}); run it where `sbatch` "
                "works, or try the settings with executor.cluster=local"
            ) from error

    def waiting_for(self) -> str:
        """See `Executor.waiting_for`."""
        now = time.monotonic()
        return ", ".join(
            f"job {each.job.job_id} ({str(each.job.state).lower()}) for {now - each.since:.0f} s"
            for each in list(self._jobs)
        )

    def close(self) -> None:
        """Cancel the jobs, and delete the files of function, items and answers."""
        self._cancel()
        if self._function is not None:
            shutil.rmtree(self._files, ignore_errors=True)
            self._function = None

    def _cancel(self) -> None:
        """Cancel the jobs with unanswered items; wait for the end of local jobs, which are processes."""
        for each in self._jobs:
            if any(item_file(self._files, number).exists() for number in each.numbers):
                with suppress(Exception):
                    each.job.cancel()
        end = time.monotonic() + _LONGEST_POLL
        while self.cluster == "local" and not all(each.job.done() for each in self._jobs):
            if time.monotonic() > end:
                break
            time.sleep(_SHORTEST_POLL)
        self._jobs.clear()

    def _ship(self, function: Callable[..., Any]) -> None:
        """Write the function to a new folder for the jobs.

        Raises:
            ConfigError: The function cannot be pickled, or this machine cannot submit jobs.
        """
        if function is self._function:
            return
        self.close()
        try:
            self._output.mkdir(parents=True, exist_ok=True)
            self._files = Path(tempfile.mkdtemp(prefix="run-", dir=self.folder.absolute()))
        except OSError as error:
            raise ConfigError(
                f"executor.folder: '{self.folder}' cannot be written ({error.strerror}); allowed: a folder "
                "on a file system that all nodes share"
            ) from error
        self.check()
        try:
            content = dumps(function, self._files)
        except Exception as error:
            raise ConfigError(
                f"executor: 'slurm' sends the evaluation to its jobs, but it cannot be pickled "
                f"({type(error).__name__}: {error}); use 'serial'"
            ) from error
        replace_file(self._files / "function.pickle", content)
        self._function = function

    def _accepted(self) -> dict[str, Any]:
        """Return the parameters for the cluster; the local one has no array."""
        if self.cluster == "slurm":
            return self._parameters
        return {name: value for name, value in self._parameters.items() if not name.startswith("slurm_")}

    def _submit(self, pending: deque[int]) -> None:
        """Submit pending items as an array of jobs, `chunk` items in each.

        Raises:
            ConfigError: `sbatch` refuses the jobs.
        """
        free = self.workers - len(self._jobs)
        groups: list[list[int]] = []
        while pending and len(groups) < free:
            groups.append([pending.popleft() for _ in range(min(self.chunk, len(pending)))])
        if not groups:
            return
        threads = self.threads or torch.get_num_threads()
        try:
            with self._submitter.batch():
                jobs = [self._submitter.submit(SlurmJob(self._files, group, threads)) for group in groups]
        except (RuntimeError, OSError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ConfigError(
                f"executor: 'slurm' cannot submit jobs ({lines[-1]}); see executor.partition, executor.cpus, "
                "executor.gpus, executor.memory_gb and executor.parameters"
            ) from error
        now = time.monotonic()
        self._jobs += [_Job(job, group, now) for job, group in zip(jobs, groups, strict=True)]

    def _collect(self, waiting: set[int], pending: deque[int], deaths: Counter[int]) -> dict[int, Any]:
        """Return the answers that have arrived, by number; items of ended jobs become pending again.

        Args:
            waiting: The numbers of all items without an answer.
            pending: The numbers of the items that no job has; the method adds to it.
            deaths: The number of jobs that ended at an item, by number of the item.

        Raises:
            ConfigError: A job cannot load the function.
            RuntimeError: The function raised an error.
        """
        # Whether a job has ended is read before its answers, since it writes them before its end.
        ended = [each for each in self._jobs if each.job.done()]
        # A network file system may hide a new file from a look at its path, but not from a listing.
        files = set(self._files.iterdir())
        answers: dict[int, Any] = {}
        for each in self._jobs:
            for number in each.numbers:
                path = answer_file(self._files, number)
                if number in waiting and path in files:
                    succeeded, value = pickle.loads(path.read_bytes())  # noqa: S301 - bytes of our own job
                    path.unlink()
                    item_file(self._files, number).unlink()
                    if not succeeded:
                        raise value
                    answers[number] = value
        for each in ended:
            self._jobs.remove(each)
            rest = [number for number in each.numbers if number in waiting and number not in answers]
            if rest:
                deaths[rest[0]] += 1
                if deaths[rest[0]] > 1:
                    answers[rest[0]] = CandidateError(
                        f"two jobs ended on this candidate ({_reason(each.job)}){_last_lines(each.job)}"
                    )
                    rest = rest[1:]
                pending.extendleft(reversed(rest))
        return answers


def _pairs(text: str) -> dict[str, str]:
    """Return the option `parameters` as a dictionary.

    Raises:
        ConfigError: A part of the text is not of the form `name=value`.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    for name, equals, value in pairs:
        if not (name.strip() and equals and value.strip()):
            raise ConfigError(
                f"executor.parameters: found '{text}'; allowed: `name=value`, separated by commas, e.g. "
                "account=vision,qos=low"
            )
    return {name.strip(): value.strip() for name, _, value in pairs}


def _reason(job: Any) -> str:
    """Return why a job ended without all of its answers, in a line."""
    try:
        error = job.exception()
    except Exception as failure:
        error = failure
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if error and lines else f"state {job.state}"


def _last_lines(job: Any) -> str:
    """Return the last lines of the output of a job, for a message."""
    try:
        lines = (job.stderr() or job.stdout() or "").strip().splitlines()[-_LINES:]
    except OSError:
        return ""
    return f"; its last lines: {' | '.join(lines)}" if lines else ""


@hookimpl
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:
    """Register the executor `slurm`."""
    return {"slurm": Slurm}
