"""The jobs of the executor `slurm`, and the files on the shared file system that they exchange with it."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edanas.core.errors import ConfigError
from edanas.core.machine import computing
from edanas.core.runfolder import replace_file


def item_file(folder: Path, number: int) -> Path:
    """Return the file with an item.

    Example:
        >>> item_file(Path("run"), 3).name
        'item-3.pickle'
    """
    return folder / f"item-{number}.pickle"


def answer_file(folder: Path, number: int) -> Path:
    """Return the file with the answer to an item.

    Example:
        >>> answer_file(Path("run"), 3).name
        'answer-3.pickle'
    """
    return folder / f"answer-{number}.pickle"


@dataclass(frozen=True)
class SlurmJob:
    """A job: several items, each of whose answers is durable once it is computed.

    Args:
        folder: The folder of the files.
        numbers: The numbers of the items.
        threads: The number of torch's threads.
    """

    folder: Path
    numbers: list[int]
    threads: int

    def __call__(self) -> None:
        """Compute the answers that are missing. An answer is a pair: (True, value) or (False, error)."""
        missing = [each for each in self.numbers if item_file(self.folder, each).exists()]
        missing = [each for each in missing if not answer_file(self.folder, each).exists()]
        if not missing:
            return
        try:
            function = pickle.loads((self.folder / "function.pickle").read_bytes())  # noqa: S301 - our driver's
        except Exception as error:
            text = f"executor: a job of 'slurm' cannot start: {type(error).__name__}: {error}"
            self._write(missing[0], (False, ConfigError(text)))
            return
        with computing(self.threads):
            for number in missing:
                item = pickle.loads(item_file(self.folder, number).read_bytes())  # noqa: S301 - as above
                try:
                    answer: tuple[bool, Any] = True, function(item)
                except Exception as error:
                    answer = False, RuntimeError(f"{type(error).__name__}: {error}")
                self._write(number, answer)

    def checkpoint(self) -> Any:
        """Return this job for submitit to submit again, after a preemption or at the time limit."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _write(self, number: int, answer: tuple[bool, Any]) -> None:
        content = pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
        replace_file(answer_file(self.folder, number), content)
