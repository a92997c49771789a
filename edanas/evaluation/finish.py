"""Finishing of candidates: each is given to the executor, and its row is written when it is finished."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edanas.core.attempt import reason
from edanas.core.contracts import Evaluator, Executor, Exporter, ThresholdSetter
from edanas.core.errors import CandidateError, RunError
from edanas.core.feasible import Feasibility
from edanas.core.idle_stages import running_costs
from edanas.core.progress import Bar, LocalBar, Progress, SilentBar
from edanas.core.records import parse, sealed_text, unsealed
from edanas.core.result_row import ResultRow
from edanas.core.runfolder import replace_file
from edanas.core.types import Candidate
from edanas.evaluation.finish_step import FinishOrder, FinishStep, StepAnswer
from edanas.evaluation.finish_time import FinishTime
from edanas.evaluation.workbench import Workbench
from edanas.executors.serial import Serial
from edanas.training.finetune import step_count

_START = 50_000
"""Multiply-adds that take as long as starting the operators of a stage or head, for each sample of a batch.

On a CPU, steps of tiny networks take 2 ms for each stage and head, whatever the multiply-adds.
"""


class Finisher:
    """Trains, calibrates, exports and tests candidates, as many at once as the executor has workers.

    If a resumed run finished a candidate before, the row of that candidate is read from its file. The test
    part is therefore used only once for each network. If the file is damaged, the candidate is finished
    again, which gives the same network.

    Args:
        workbench: The run's objects and data.
        evaluator: Returns each candidate's network with the weights that the search evaluated.
        setter: Sets the thresholds on the calibration part.
        exporters: Write each network, one file format each. `edanas.load` reads the first file of the first
            exporter.
        limits: The run's constraints; `None` = no constraints.
    """

    def __init__(
        self,
        workbench: Workbench,
        evaluator: Evaluator,
        setter: ThresholdSetter,
        exporters: Sequence[Exporter],
        limits: Feasibility | None = None,
    ) -> None:
        self.workbench, self.evaluator = workbench, evaluator
        self.step = FinishStep(workbench, evaluator, setter, exporters, limits or Feasibility())
        self.folder = self.step.folder

    def finish(
        self,
        candidates: Sequence[Candidate],
        label: str,
        progress: Progress,
        drops: Mapping[str, float] | None = None,
        executor: Executor | None = None,
        timing: FinishTime | None = None,
    ) -> tuple[list[ResultRow], list[dict[str, str]]]:
        """Finish each candidate. If a candidate fails, continue with the others.

        Args:
            candidates: The candidates to finish.
            label: Text of the progress bar.
            progress: Shows the progress bar and the messages.
            drops: Candidate id -> the accuracy, as a fraction, that the candidate lost in the search against
                its last exit. A candidate without an entry lost 0. `None` = no entries.
            executor: Runs `step` for each candidate; `None` = in this process, one after another.
            timing: Divides the remaining time of the run among the networks; `None` = the settings determine
                the number of steps.

        Returns:
            Two lists. The first has a row for each finished candidate, in the order of `candidates`. The
            second has a dictionary for each failed candidate: `id`, and the reason of the failure as `error`.

        Raises:
            RunError: The row of a finished network cannot be read, or the run folder cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        stored = {each.id: read_row(self._path(each), progress) for each in candidates}
        # The networks with most work come first, so that workers end at about the same time.
        unfinished = sorted((c for c in candidates if stored[c.id] is None), key=self.work, reverse=True)
        orders = _Orders(self, unfinished, drops or {}, timing)
        results: dict[str, ResultRow | str] = {name: row for name, row in stored.items() if row is not None}
        with progress.task(label, orders.steps * len(candidates)) as bar:
            bar.advance(orders.steps * (len(candidates) - len(orders.candidates)))
            answers = (executor or Serial()).as_completed(self.step, orders.drawn(bar))
            for number, answer in answers:
                candidate, share = orders.candidates[number], orders.bars[number]
                results[candidate.id] = self._record(candidate, answer, progress)
                orders.completed(number, answer)
                share.advance(share.left, f"{len(results)} of {len(candidates)} networks")
        rows = [row for each in candidates if isinstance(row := results[each.id], ResultRow)]
        errors = [(each.id, text) for each in candidates if isinstance(text := results[each.id], str)]
        return rows, [{"id": name, "error": text} for name, text in errors]

    def _path(self, candidate: Candidate) -> Path:
        return self.folder / f"{candidate.id}.row.json"

    def _record(
        self, candidate: Candidate, answer: StepAnswer | CandidateError, progress: Progress
    ) -> ResultRow | str:
        """Write the row in an answer and return it, or return the reason of the failure."""
        row = recorded_row(self.workbench.folder, answer, progress)
        if isinstance(row, ResultRow):
            write_row(self._path(candidate), row)
        else:
            progress.say(f"Network {candidate.id} could not be finished: {row}")
        return row

    def work(self, candidate: Candidate) -> float:
        """Return the work of a candidate's training for one sample, in multiply-adds of its backbone."""
        stages, last = self.workbench.segments(candidate.backbone)
        parts = len(stages) + 1 + candidate.scheme.exits
        running = running_costs(stages, candidate.scheme.placed)
        return float(sum(stage.macs for stage in running) + last.macs + _START * parts)


class _Orders:
    """The orders for the executor, made when it draws them.

    Args:
        finisher: The finisher.
        candidates: The candidates that are not finished.
        drops: See `Finisher.finish`.
        timing: See `Finisher.finish`.
    """

    def __init__(
        self,
        finisher: Finisher,
        candidates: Sequence[Candidate],
        drops: Mapping[str, float],
        timing: FinishTime | None,
    ) -> None:
        self.candidates, self.drops, self.timing = candidates, drops, timing
        self.bars: list[_Share] = []
        bench = finisher.workbench
        # The additional step stands for the work before and after the training.
        self.steps = 1 if timing else 1 + step_count(bench.parts, bench.settings.finetune)
        if timing is not None:
            timing.begin([finisher.work(each) for each in candidates])

    def drawn(self, bar: Bar) -> Iterator[FinishOrder]:
        """Yield the orders; a time limit counts from the moment at which an order is drawn."""
        for candidate in self.candidates:
            self.bars.append(_Share(bar, self.steps))
            drop = self.drops.get(candidate.id, 0.0)
            if self.timing is None:
                yield FinishOrder(candidate, drop, self.bars[-1])
            else:
                yield FinishOrder(candidate, drop, SilentBar(), self.timing.start(candidate.id))

    def completed(self, number: int, answer: StepAnswer | CandidateError) -> None:
        """Record the time of a finished order."""
        if self.timing is not None:
            fits, overhead = (answer.fits, answer.overhead) if isinstance(answer, StepAnswer) else ({}, 0.0)
            self.timing.end(self.candidates[number].id, fits, overhead)


class _Share(LocalBar):
    """The part of a progress bar for one candidate; `left` is the number of remaining steps."""

    def __init__(self, bar: Bar, steps: int) -> None:
        super().__init__(bar)
        self.left = steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps
        super().advance(steps, note)


def recorded_row(folder: Path, answer: StepAnswer | CandidateError, progress: Progress) -> ResultRow | str:
    """Show the lines of an answer, and return its row or the reason of its failure.

    Args:
        folder: The run folder.
        answer: The answer of a step of the finishing.
        progress: Shows the lines.

    Raises:
        RunError: The run cannot go on, or a file of the network is missing in the folder.
    """
    if isinstance(answer, CandidateError):
        return reason(answer)
    for line in answer.lines:
        progress.say(line)
    if answer.fatal:
        raise RunError(answer.fatal)
    if answer.row is None:
        return answer.error
    for file in answer.row.files:
        if not (folder / file).exists():
            raise RunError(
                f"{folder / file}: was written by a worker, and does not exist here; allowed: a run folder "
                "on a file system that all machines share"
            )
    return answer.row


def read_row(path: Path, progress: Progress) -> ResultRow | None:
    """Read the row of a finished network from its file; `None` if the file is missing or damaged.

    Args:
        path: The file.
        progress: Shows a message if the file is damaged.

    Raises:
        RunError: The file cannot be read.
    """
    try:
        return ResultRow.from_json(unsealed(parse(path.read_bytes())))
    except FileNotFoundError:
        return None
    except ValueError as error:
        progress.say(f"{path}: is damaged ({error}); the network is finished again")
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


def write_row(path: Path, row: ResultRow) -> None:
    """Write the row of a finished network in one step, with a checksum.

    Raises:
        RunError: The file cannot be written.
    """
    replace_file(path, sealed_text(row.to_json()))
