"""Fuzzed settings: each hostile value is accepted or refused by one clear error."""

import tomllib
from collections import Counter
from typing import Any

import tomli_w

from edanas.core.config import reference
from fault_checks.job import SETTINGS, Job

VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 7, 2**31, 2**63 - 1, -(2**63), 10**30, 0.0, -0.0, 0.5, 1e-308, 1e308, -1e308),
    *(float("nan"), float("inf"), -float("inf"), True, False),
    *(
        "",
        " ",
        "none",
        "auto",
        "x" * 5000,
        "\u202ereversed",
        "a\x1b[2Jb",
        "=1+1",
        "../..",
        "/dev/null",
        "ünï",
        "0",
    ),
    *(
        [],
        [1],
        [[]],
        ["none"],
        [0.1, 0.2],
        [1e308],
        ["a", "a"],
        [[[[[1]]]]],
        list(range(300)),
        [True, "x", 1.5],
        [10**9],
        [-1],
        [8, 8],
    ),
    *({}, {"name": "gp"}, {"name": ""}, {"name": 1}, {"a": {"b": {"c": 1}}}, {"name": "digits", "x": [1]}),
)
"""Values of every type that TOML has, at and beyond the limits of types."""


def fuzzed_settings(job: Job, count: int) -> dict[str, Any]:
    """Plan runs with `count` random settings, and return the counts of outcomes and the faults."""
    paths = [each.path for each in reference() if each.path not in ("plugin",)]
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    options = ("supernet.widths", "supernet.depths", "supernet.last_width", "supernet.resolutions")
    for number in range(count):
        path = paths[number % len(paths)] if number % 6 else job.random.choice(options)
        value = job.random.choice(VALUES)
        settings: dict[str, Any] = tomllib.loads(SETTINGS)
        *groups, name = path.split(".")
        table = settings
        for group in groups:
            table = table.setdefault(group, {})
        table[name] = value
        config = job.folder / "fuzzed.toml"
        config.write_text(tomli_w.dumps(settings), encoding="utf-8")
        command = ("run", "--config", config, "--dry-run")
        # Threads of a forked process can hang, because those of its parent are lost; a new process has none.
        output = job.run_anew(command) if path == "threads" else job.run(command, seconds=60)
        text = output.out + output.err
        is_clear = output.code in (0, 2) and "Traceback" not in text and "\x1b" not in text
        outcomes[{0: "accepted", 2: "refused"}.get(output.code, "fault")] += 1
        if not is_clear:
            faults.append(f"{path} = {value!r:.80}: exit code {output.code}: {output.err[-200:]}")
    return {"counts": dict(outcomes), "faults": faults}
