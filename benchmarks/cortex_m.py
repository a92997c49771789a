"""Run an exported C network on an emulated Cortex-M4, and print instructions, stack, RAM and flash.

`python benchmarks/cortex_m.py NETWORK.c99.json IMAGES.npy` needs `gcc-arm-none-eabi` and `qemu-system-arm`.
IMAGES are uint8 of shape (B, C, H, W). QEMU counts instructions, not cycles, since it models no pipeline.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BOARD = Path(__file__).with_name("cortex_m")
COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
TICKS_PER_INSTRUCTION = 1.6
OPTIONS = ["-mcpu=cortex-m4", "-mthumb", "-std=gnu99", "-O2", "-ffunction-sections", "-fdata-sections"]


class Measured(NamedTuple):
    """Results of a network on the emulated board.

    Args:
        rows: Label, exit, confidence (24 bits after the binary point) and instructions of each image.
        stack: Largest number of bytes on the stack.
        flash: Bytes of code and constants of the network, without the board's own code.
        ram: Bytes of static memory of the network.
    """

    rows: list[tuple[int, int, int, int]]
    stack: int
    flash: int
    ram: int


def missing_programs() -> list[str]:
    """Return the names of the programs that are not installed."""
    return [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]


def measure(folder: Path, images: npt.NDArray[np.uint8]) -> Measured:
    """Compile the C files in a folder for a Cortex-M4, and classify images (B, C, H, W) on it."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        parts = [folder / f"{part}.c" for part in ("network", "kernels", "decision")]
        pixels = images.transpose(0, 2, 3, 1).reshape(len(images), -1)
        rows = ",\n".join("{" + ",".join(map(str, row)) + "}" for row in pixels.tolist())
        (work / "samples.h").write_text(
            f"#define SAMPLES {len(pixels)}\n"
            f"static const uint8_t samples[SAMPLES][{pixels.shape[1]}] = {{\n{rows}}};\n"
        )
        objects = [work / f"{part.stem}.o" for part in parts]
        for part, target in zip(parts, objects, strict=True):
            _run([COMPILER, *OPTIONS, "-Wall", "-Wextra", "-Werror", "-c", str(part), "-o", str(target)])
        linking = ["-nostartfiles", "-Wl,--gc-sections", "-T", str(BOARD / "board.ld"), "--specs=nosys.specs"]
        program, mapping = work / "network.elf", work / "network.map"
        _run(
            [
                *(COMPILER, *OPTIONS, f"-I{folder}", f"-I{work}", str(BOARD / "board.c"), *map(str, objects)),
                *(*linking, f"-Wl,-Map={mapping}", "-o", str(program)),
            ]
        )
        machine = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
        semihosting = ["-semihosting-config", "enable=on,target=native", "-icount", "shift=6"]
        output = _run([EMULATOR, *machine, *semihosting, "-kernel", str(program)])
        flash, ram = _sizes(mapping.read_text(), {each.name for each in objects})
    lines = output.split("\n")
    measured = [tuple(map(int, line.split())) for line in lines if re.fullmatch(r"\d+ \d+ \d+ \d+", line)]
    stack = int(next(line.split()[1] for line in lines if line.startswith("stack ")))
    results = [(a, b, c, round(ticks / TICKS_PER_INSTRUCTION)) for a, b, c, ticks in measured]
    return Measured(results, stack, flash, ram)


def _sizes(mapping: str, objects: set[str]) -> tuple[int, int]:
    """Return the bytes of flash and of RAM that the linked sections of some object files take."""
    flash = ram = 0
    linked = mapping.split("Linker script and memory map")[-1]
    for section, size, file in re.findall(r"^ (\.\S+)\s+0x\w+\s+0x(\w+) (\S+)$", linked, re.MULTILINE):
        if Path(file).name not in objects:
            continue
        if section.startswith((".text", ".rodata", ".data")):
            flash += int(size, 16)
        if section.startswith((".bss", ".data")):
            ram += int(size, 16)
    return flash, ram


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def main() -> None:
    """Print the figures of one network."""
    missing = missing_programs()
    if missing or len(sys.argv) != 3:
        sys.exit(f"not installed: {', '.join(missing)}" if missing else __doc__)
    manifest = Path(sys.argv[1])
    measured = measure(manifest.with_suffix(""), np.load(sys.argv[2]))
    exits = np.array([row[1] for row in measured.rows])
    counts = np.array([row[3] for row in measured.rows])
    for exit_ in np.unique(exits):
        own = counts[exits == exit_]
        print(f"exit {exit_ + 1}: {len(own)} images, {own.mean():,.0f} instructions on average")
    print(f"all: {len(counts)} images, {counts.mean():,.0f} instructions on average")
    print(
        f"stack {measured.stack:,} bytes; static RAM {measured.ram:,} bytes; flash {measured.flash:,} bytes"
    )


if __name__ == "__main__":
    main()
