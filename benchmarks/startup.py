"""CPU seconds and peak memory of quick commands, each in a fresh process, beside their limits.

The least of several repeats is printed. The files are in the disk cache after the first one.

    python benchmarks/startup.py
    python benchmarks/startup.py --repeats 9
"""

import argparse
import os
import platform
import sys
from importlib.metadata import version

COMMANDS: tuple[tuple[str, list[str], float, float | None], ...] = (
    ("import edanas", ["-c", "import edanas"], 0.3, None),
    ("edanas --version", ["-m", "edanas.cli", "--version"], 0.5, 80.0),
    ("edanas --help", ["-m", "edanas.cli", "--help"], 0.5, 80.0),
    ("edanas plugins --help", ["-m", "edanas.cli", "plugins", "--help"], 0.5, 80.0),
    ("edanas plugins --jsn", ["-m", "edanas.cli", "plugins", "--jsn"], 0.5, 80.0),
)
BEYOND_TORCH: tuple[tuple[str, list[str], float], ...] = (
    ("edanas plugins", ["-m", "edanas.cli", "plugins"], 2.0),
    ("edanas doctor", ["-m", "edanas.cli", "doctor"], 2.0),
)


def measure(arguments: list[str], repeats: int) -> tuple[float, float]:
    """Return the least CPU seconds and the least peak memory, in MB, of a Python process."""
    measured = [_once(arguments) for _ in range(repeats)]
    return min(seconds for seconds, _ in measured), min(memory for _, memory in measured)


def _once(arguments: list[str]) -> tuple[float, float]:
    process = os.fork()
    if process == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.execv(sys.executable, [sys.executable, *arguments])
    _, _, usage = os.wait4(process, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6


def line(name: str, seconds: float, memory: float, limit: float, most_memory: float | None) -> str:
    """Return one line of the table."""
    memory_limit = "" if most_memory is None else f"{most_memory:.0f}"
    return f"{name:<24}{seconds:>7.2f}{limit:>7.2f}{seconds / limit:>7.2f}{memory:>8.0f}{memory_limit:>7}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    packages = ", ".join(f"{name} {version(name)}" for name in ("edanas", "torch", "typer", "rich"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; {packages}")
    print(f"{'command':<24}{'CPU s':>7}{'limit':>7}{'ratio':>7}{'MB':>8}{'limit':>7}")
    for name, arguments, limit, most_memory in COMMANDS:
        print(line(name, *measure(arguments, repeats), limit, most_memory))
    torch_seconds, torch_memory = measure(["-c", "import torch"], repeats)
    print(f"{'import torch':<24}{torch_seconds:>7.2f}{'':>14}{torch_memory:>8.0f}")
    for name, arguments, limit in BEYOND_TORCH:
        seconds, memory = measure(arguments, repeats)
        print(line(f"{name}, beyond", seconds - torch_seconds, memory, limit, None))


if __name__ == "__main__":
    main()
