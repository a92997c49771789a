"""Odd inputs: file names, class names, settings files and encodings that programs often stumble over."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fault_checks.job import Job

NAMES = (
    *(
        "=cmd()",
        "+1",
        "-rf",
        "@home",
        "a\x1b[31mred",
        "a\nError: no",
        "a\tb",
        "\u202egnp.exe",
        "قطة",
        "猫",
        "nai\u0308f",
    ),
    *("a" * 200, "with space", "100%", "{x}", "[bold]", "<b>", "a,b;c", '"quoted"', "$HOME", "~", "..."),
)
"""Names of classes and of files."""

TOMLS = (
    b"a = " + b"[" * 3000 + b"]" * 3000,
    b"x" + b".x" * 3000 + b" = 1",
    b"seed = " + b"9" * 5000,
    b"threads = 1e308",
    b"\xff\xfe",
    b"seed = 1\nseed = 2",
    b"seed = 1979-05-27T07:32:00Z",
    b'preset = "\x1b"',
    b"\x00",
    b"search.initial = 0x7fffffffffffffff",
)
"""Contents of settings files."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069]")


def odd_inputs(job: Job, count: int) -> dict[str, Any]:
    """Run commands on `count` odd inputs, and return the counts of outcomes and the faults."""
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    cases = list(_cases(job))
    chosen = sorted(job.random.sample(range(len(cases)), min(count, len(cases))))
    for name, arguments, encoding in (cases[index] for index in chosen):
        output = job.run(arguments, encoding=encoding)
        text = output.out + output.err
        is_clear = output.code in (0, 2) and "Traceback" not in text and not _CONTROLS.search(text)
        outcomes[{0: "accepted", 2: "refused"}.get(output.code, "fault")] += 1
        if not is_clear:
            faults.append(f"{name}: exit code {output.code}: {output.err[-300:]!r}")
    return {"counts": dict(outcomes), "faults": faults}


def _cases(job: Job) -> Iterator[tuple[str, tuple[Any, ...], str]]:
    """Yield the name, the command line and the encoding of each case."""
    network = sorted((job.reference / "models").glob("eenn-*.json"))[0]
    image = job.folder / "images" / "plain.png"
    _draw(image)
    for number, name in enumerate(NAMES):
        odd = image.with_name(f"{name}.png")
        shutil.copy(image, odd)
        form = ("csv", "table")[number % 2]
        yield f"image {name!r}", ("predict", network, odd, "--format", form), "utf-8"
        classes = job.folder / f"classes-{number}"
        for label in (name, "b"):
            for at in range(30):
                _draw(classes / label / f"{at}.png", len(label) + at)
        run = ("run", "--config", job.config, "--data", classes, "--max-evals", "2", "--dry-run")
        yield f"class {name!r}", run, ("utf-8", "ascii")[number % 2]
    for number, content in enumerate(TOMLS):
        path = job.folder / f"odd-{number}.toml"
        path.write_bytes(content)
        yield f"settings {content[:20]!r}", ("run", "--config", path, "--dry-run"), "utf-8"
    bad = Path(os.fsdecode(os.fsencode(job.folder) + b"/images/\xff\xfe.png"))
    shutil.copy(image, bad)
    loop = job.folder / "loop"
    loop.mkdir()
    (loop / "again").symlink_to(loop)
    for encoding in ("utf-8", "ascii", "latin-1"):
        yield (
            f"{encoding}: file name that is not UTF-8",
            ("predict", network, bad, "--format", "csv"),
            encoding,
        )
        for arguments in _every_command(job, network, image):
            yield f"{encoding}: {arguments[0]}", arguments, encoding
    for arguments in (
        ("predict", network, loop),
        ("predict", network, "/dev/null"),
        ("predict", "/dev/null", image),
        ("report", "/dev/null"),
        ("run", "--data", loop, "--dry-run"),
        ("run", "--config", "/dev/null", "--out", "/dev/null"),
        ("compare", job.folder / "none\x1b[2J", job.reference),
        ("predict", network, job.folder / "a\nb.png"),
        ("run", "--data", job.folder / "none\x1b", "--dry-run"),
        ("run", "--set", "seed=\x1b[31m"),
    ):
        yield f"{arguments[0]} {arguments[-1]}", arguments, "utf-8"


def _every_command(job: Job, network: Path, image: Path) -> Iterator[tuple[Any, ...]]:
    yield ("report", job.reference)
    yield ("watch", job.reference, "--once")
    yield ("compare", f"猫={job.reference}", f"قطة={job.reference}")
    yield ("plugins",)
    yield ("predict", network, image)
    yield ("export", network, "--to", "c-header", "--out", job.folder / "exported-猫")
    yield ("run", "--config", job.config, "--dry-run")
    yield ("tune", network, "--max-macs", "1M", "--out", job.folder / "tuned")
    yield ("--help",)


def _draw(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
