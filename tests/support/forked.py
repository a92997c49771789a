"""A copy of this process that runs one function: it needs no imports, and a test may kill it."""

import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress


class Forked:
    """A forked process in a session of its own, with the methods of `subprocess.Popen` that tests need.

    Args:
        call: The function of the process; it returns the exit code, or `None` for 0.
        environment: Variables of the process, besides those of this one.
    """

    def __init__(self, call: Callable[[], int | None], environment: Mapping[str, str] | None = None) -> None:
        pipes = [os.pipe() for _ in range(3)]
        child_ends = pipes[0][0], pipes[1][1], pipes[2][1]
        own_ends = pipes[0][1], pipes[1][0], pipes[2][0]
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; those of pytest and torch hold no lock that the function needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            for end in own_ends:
                os.close(end)
            os._exit(_exit_code(call, child_ends, environment or {}))
        for end in child_ends:
            os.close(end)
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(end, mode) for end, mode in zip(own_ends, "wrr", strict=True)
        )
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or `None` while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, 9)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end of the process, and return its output and errors; kill it after `timeout` s."""
        with suppress(BrokenPipeError):
            self.stdin.close()
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append(self.stderr.read()))
        limit = threading.Timer(timeout, self.kill)
        limit.start()
        reader.start()
        output = self.stdout.read()
        reader.join()
        limit.cancel()
        limit.join()
        if self.poll() is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.stdout.close()
        self.stderr.close()
        return output, errors[0]


def _exit_code(call: Callable[[], int | None], streams: Sequence[int], environment: Mapping[str, str]) -> int:
    """Run the function in the forked process, with `streams` as its standard streams."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.update(environment)
    try:
        code = call() or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code
