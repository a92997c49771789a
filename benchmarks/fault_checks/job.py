"""The job of the fault checks: a short search on the digits, run in forked processes."""

import io
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edanas.api import load
from edanas.cli import main
from edanas.core.archive import Archive
from edanas.report.result import Result

SETTINGS = """
plugin = "mbv3-sm"
preset = "quick"
data = "digits"
device = "cpu"
threads = 1
surrogates = ["rbf"]
recalibration = 32
examples = 1

[supernet]
name = "ofa-mbv3"
widths = [0.1]
resolutions = [8]
depths = [1, 2]
kernels = [3]
expansions = [3]
stem_stride = 1
stage_strides = [1, 2, 1, 2, 1]
final_expand = 64
last_width = 64

[search]
initial = 6
iterations = 2
per_iteration = 3
results = 2

[training]
epochs = 2
batch_size = 256
learning_rate = 0.01

[finetune]
epochs = 1
batch_size = 256

[baseline]
epochs = 1
share = 1.0
"""
"""Settings of the job: the digits and the bundle of the README, with one width and resolution.

The number of epochs of the plain networks is fixed, since by default it follows from the duration of the run.
"""

VOLATILE = ("seconds", "environment", "checksums")
"""Entries of `result.json` that differ between two equal runs."""

MEMORY = 24 * 2**30
"""Largest address space of a command, in bytes."""


@dataclass(frozen=True)
class Output:
    """Exit code and printed text of a command; the code is negative if a signal ended the command."""

    code: int
    out: str
    err: str


class Job:
    """The job, with the folder of an uninterrupted run.

    Args:
        folder: Folder for all files.
        seed: Seed of random choices.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.config = folder / "settings.toml"
        self.config.write_text(SETTINGS, encoding="utf-8")
        self.reference = folder / "reference"
        # In this process, so that forked processes need not import anything.
        if main([*self.command(self.reference)]):
            raise SystemExit("the job fails without any fault")
        self.figures = figures(self.reference)

    def command(self, out: Path) -> tuple[str, ...]:
        """Return the command line of the job."""
        return ("run", "--config", str(self.config), "--out", str(out))

    def run(self, arguments: tuple[Any, ...], *, seconds: int = 120, encoding: str = "utf-8") -> Output:
        """Run a command in a forked process.

        Args:
            arguments: The command line.
            seconds: Time after which the process is ended.
            encoding: Encoding of the standard streams.
        """
        files = [self.folder / name for name in ("out.txt", "err.txt")]

        def command() -> int:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.alarm(seconds)
            for number, path in enumerate(files, 1):
                handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
                os.dup2(handle, number)
            sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), encoding, "strict", write_through=True)
            sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), encoding, "strict", write_through=True)
            return main([str(argument) for argument in arguments])

        code = wait(forked(command))
        return Output(code, *(path.read_text(encoding="utf-8", errors="backslashreplace") for path in files))

    def run_anew(self, arguments: tuple[Any, ...]) -> Output:
        """Run a command in a new process, which takes longer than in a forked one."""
        command = [sys.executable, "-m", "edanas.cli", *map(str, arguments)]
        process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        return Output(process.returncode, process.stdout, process.stderr)


def forked(function: Callable[[], int]) -> int:
    """Run a function in a forked process, which exits with its result, and return the process id."""
    child = os.fork()
    if child:
        return child
    try:
        code = function()
        sys.stdout.flush()
    except BaseException as error:  # the process must end here, whatever happens
        sys.stderr.write(f"Traceback: {error!r}\n")
        code = 99
    os._exit(code)


def wait(child: int) -> int:
    """Wait for a process, and return its exit code; negative = the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def figures(folder: Path) -> dict[str, Any]:
    """Return what two equal runs have in common: archive, result, and networks byte for byte."""
    with Archive(folder, read_only=True) as archive:
        rows = [(genome.tolist(), evaluation) for genome, evaluation in archive.replay()]
    data = {key: value for key, value in Result.read(folder).data.items() if key not in VOLATILE}
    models = {path.name: path.read_bytes() for path in sorted((folder / "models").iterdir())}
    return {"archive": rows, "result": data, "models": models}


def weights(folder: Path) -> dict[str, Any]:
    """Load every network of a run, and return its description and the sum of its weights, by name."""
    networks = {}
    for path in sorted((folder / "models").glob("eenn-*.json")):
        network = load(path)
        total = float(sum(tensor.double().sum() for tensor in network.state_dict().values()))
        classes, pixels = network.classes, (network.mean, network.std, network.resolution)
        networks[path.name] = (network.scheme, classes, pixels, network.description, total)
    return networks
