"""Damaged files of a run: each damage is named, repaired from the archive, or without effect."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from edanas.core.errors import EdanasError
from fault_checks.job import Job, figures, weights

PATTERNS = (
    "archive.sqlite",
    "result.json",
    "log.jsonl",
    "supernet.pt",
    "env.json",
    "config.toml",
    "seconds.json",
    "models/plain-plan.json",
    "models/*.row.json",
    "models/eenn-*.json",
    "models/eenn-*.safetensors",
)
"""Records of a run, which a later command reads."""

_KINDS = ("bit", "bit", "bit", "byte", "end", "zeros")


def damaged_files(job: Job, count: int) -> dict[str, Any]:
    """Damage `count` files, one in each copy of a finished or unfinished run, and return the outcomes.

    `named`: exit code 2 and the name of the file. `repaired`: the result of the intact run, after a message.
    `without effect`: the result of the intact run. Anything else is a fault.
    """
    intact = weights(job.reference)
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    for number in range(count):
        folder = Path(shutil.copytree(job.reference, job.folder / "damaged"))
        is_finished = job.random.random() < 0.5
        if not is_finished:
            (folder / "result.json").unlink()
        pattern = PATTERNS[number % len(PATTERNS)]
        if is_finished or pattern != "result.json":
            path = job.random.choice(sorted(folder.glob(pattern)))
        else:
            path = folder / "archive.sqlite"
        damage = _damage(job, path)
        outcome = _outcome(job, folder, path, intact)
        if outcome.startswith("fault"):
            faults.append(f"{path.relative_to(folder)}, {damage}, finished {is_finished}: {outcome}")
        outcomes[outcome.partition(":")[0]] += 1
        shutil.rmtree(folder)
    return {"counts": dict(outcomes), "faults": faults}


def _damage(job: Job, path: Path) -> str:
    """Damage a file at a random place, and return a description."""
    content = bytearray(path.read_bytes())
    kind, at = job.random.choice(_KINDS), job.random.randrange(len(content))
    if kind == "bit":
        content[at] ^= 1 << job.random.randrange(8)
    elif kind == "byte":
        content[at] = job.random.randrange(256)
    elif kind == "end":
        del content[at:]
    else:
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    path.write_bytes(bytes(content))
    return f"{kind} at {at} of {len(content)}"


def _outcome(job: Job, folder: Path, path: Path, intact: dict[str, Any]) -> str:
    """Return the outcome of a resumption, and of the loading of every network."""
    output = job.run(job.command(folder))
    if output.code == 2 and path.name in output.err and "Traceback" not in output.err:
        return "named"
    if output.code:
        return f"fault: exit code {output.code}: {output.err[-300:]}"
    try:
        if weights(folder) != intact:
            return "fault: other networks"
        present = figures(folder)
    except EdanasError as error:
        # A finished run is not replayed, so that later commands name a damaged row of its archive.
        named = path.stem.removesuffix(".row") in str(error)
        return "named" if named else f"fault: the error names another file: {error}"
    both = [{k: v for k, v in each.items() if k != "models"} for each in (present, job.figures)]
    if both[0] != both[1]:
        return "fault: another result"
    return "repaired" if path.name in output.err else "without effect"
