"""How a measurement is told: tables, JSON, and the plot."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from edanas.benchmark.results import BatchBench, Bench, Benched, ByExit, FormBench
from edanas.core.runfolder import replace_file
from edanas.deploy.timing import PERCENTILES, Timing
from edanas.report.formatting import NONE, mega, percent
from edanas.report.plots import save
from edanas.report.speedup import Series, draw_speedup

_WIDTH = 100


def show(found: Bench, files: list[Path]) -> None:
    """Print two tables for each network, what should be known, and where the files are."""
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    machine, versions = found.machine, found.machine["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("edanas", "torch", "onnxruntime"))
    say(f"{machine['platform']}, {machine['cores']} cores, {machine['device']}; {named}")
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    repeats = f"{found.repeats} repetition{'s' * (found.repeats > 1)}"
    say(f"{threads}, {found.clock}, ms for a call; {repeats} in turns, seed {found.seed}")
    for network in found.networks:
        say(f"\n{_heading(network)}")
        console.print(_by_batch(network, energy=not found.energy))
        console.print(_by_exit(network))
        for remark in network.remarks:
            say(remark)
    if found.energy:
        say(found.energy)
    for path in files:
        say(f"Written: {path}")


def _heading(network: Benched) -> str:
    macs = mega(network.backbone_macs)
    return f"{network.model}: {network.samples} samples, {network.part}; backbone {macs}M MACs"


def _by_batch(network: Benched, *, energy: bool) -> Table:
    """A line for each form and batch size."""
    heads = (
        "form",
        "batch",
        "mean",
        *(f"p{p}" for p in PERCENTILES),
        "backbone",
        "speed-up",
        "of MACs\nratio",
    )
    table = Table(*heads, *(["mJ each"] if energy else []), box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for form in network.forms:
        for number, each in enumerate(form.batches):
            times = (each.early.mean, *each.early.percentiles, each.backbone.mean if each.backbone else None)
            joules = (
                [_number(each.early.joules and 1e3 * each.early.joules / each.batch_size)] if energy else []
            )
            table.add_row(
                form.name if not number else "",
                str(each.batch_size),
                *(_milliseconds(time) for time in times),
                _number(each.speed_up),
                _number(each.of_macs_ratio),
                *joules,
            )
        table.add_section()
    return table


def _by_exit(network: Benched) -> Table:
    """A line for each form: what it answers, and where."""
    exits = network.forms[0].exits
    names = [_exit_name(each, exits) for each in exits]
    heads = ("form", "accuracy\n%", "as the\nnetwork", "MACs\nratio", "memory\nMB", *names)
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for form in network.forms:
        memory = NONE if form.memory is None else f"{form.memory / 1e6:.1f}"
        times = [_milliseconds(each.timing.mean if each.timing else None) for each in form.exits]
        table.add_row(
            form.name,
            percent(form.accuracy),
            f"{form.same}/{form.compared}",
            _number(network.backbone_macs / form.executed_macs),
            memory,
            *(f"{time} ({each.share:.0%})" for time, each in zip(times, form.exits, strict=True)),
        )
    table.caption = "By exit: ms for a single image that leaves there, and how many do."
    table.caption_justify = "left"
    return table


def _exit_name(found: ByExit, exits: tuple[ByExit, ...]) -> str:
    return "last exit" if found is exits[-1] else f"exit {found.exit + 1}"


def _milliseconds(seconds: float | None) -> str:
    return NONE if seconds is None else f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def draw(found: Bench, path: Path) -> Path:
    """Write the plot, replaced as a whole, and return its path."""
    several = len(found.networks) > 1
    series = [
        Series(
            name=f"{network.model}, {form.name}" if several else form.name,
            speed_ups=[
                (each.batch_size, each.macs_ratio, each.speed_up) for each in form.batches if each.speed_up
            ],
            exits=[
                (_exit_name(each, form.exits), 1e3 * each.timing.mean, 1e3 * each.timing.percentiles[1])
                for each in form.exits
                if each.timing
            ],
        )
        for network in found.networks
        for form in network.forms
    ]
    with TemporaryDirectory() as folder:
        whole = Path(folder) / path.name
        save(draw_speedup(series), whole)
        replace_file(path, whole.read_bytes())
    return path


def plain(found: Bench) -> dict[str, Any]:
    """Everything in JSON's types: seconds, bytes, joules, multiply-adds; what is not known is null."""
    return {
        "machine": dict(found.machine),
        "clock": found.clock,
        "energy": found.energy or None,
        "repeats": found.repeats,
        "seed": found.seed,
        "networks": [
            {
                "model": network.model,
                "samples": network.samples,
                "part": network.part,
                "backbone_macs": network.backbone_macs,
                "forms": [_form(form) for form in network.forms],
                "remarks": list(network.remarks),
            }
            for network in found.networks
        ],
    }


def _form(form: FormBench) -> dict[str, Any]:
    return {
        "form": form.name,
        "same": form.same,
        "compared": form.compared,
        "accuracy": form.accuracy,
        "executed_macs": form.executed_macs,
        "macs_ratio": form.batches[0].macs_ratio,
        "memory": form.memory,
        "exits": [{"exit": e.exit, "share": e.share, "latency": _timing(e.timing)} for e in form.exits],
        "batches": [_batch(each) for each in form.batches],
    }


def _batch(each: BatchBench) -> dict[str, Any]:
    return {
        "batch_size": each.batch_size,
        "latency": _timing(each.early),
        "backbone": _timing(each.backbone),
        "speed_up": each.speed_up,
        "of_macs_ratio": each.of_macs_ratio,
    }


def _timing(timing: Timing | None) -> dict[str, float | None] | None:
    if timing is None:
        return None
    percentiles = {f"p{p}": value for p, value in zip(PERCENTILES, timing.percentiles, strict=True)}
    return {"mean": timing.mean, **percentiles, "joules": timing.joules}
