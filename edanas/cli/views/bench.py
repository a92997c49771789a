"""Output of `edanas bench`: tables, JSON and the plot."""

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from edanas.benchmark.results import BatchBench, Bench, ByExit, FormBench, NetworkBench
from edanas.cli.views.output import output_console, print_line, replace_plot
from edanas.deploy.timing import PERCENTILES, Timing
from edanas.report.formatting import NONE, mega, percent
from edanas.report.plots import save
from edanas.report.speedup import Series, draw_speedup

_WIDTH = 100


def show_bench(result: Bench, files: list[Path]) -> None:
    """Print two tables and the remarks for each network, then the paths of the files."""
    console = output_console(_WIDTH)
    machine, versions = result.machine, result.machine["versions"]
    packages = ", ".join(f"{name} {versions[name]}" for name in ("edanas", "torch", "onnxruntime"))
    print_line(console, f"{machine['platform']}, {machine['cores']} cores, {machine['device']}; {packages}")
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    repeats = f"{result.repeats} repetition{'s' * (result.repeats > 1)}"
    print_line(
        console, f"{threads}, {result.clock} in ms for a batch; {repeats}, forms in turns; seed {result.seed}"
    )
    for network in result.networks:
        print_line(console, f"\n{_heading(network)}")
        console.print(_batch_table(network, energy=not result.energy))
        console.print(_exit_table(network))
        for remark in network.remarks:
            print_line(console, remark)
    if result.energy:
        print_line(console, result.energy)
    for path in files:
        print_line(console, f"Written: {path}")


def _heading(network: NetworkBench) -> str:
    macs = mega(network.backbone_macs)
    return f"{network.model}: {network.samples} samples, {network.part}; backbone {macs}M MACs"


def _batch_table(network: NetworkBench, *, energy: bool) -> Table:
    """Return the table of times and speed-ups, with a row for each form and batch size."""
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


def _exit_table(network: NetworkBench) -> Table:
    """Return the table of accuracy, memory and the time of each exit, with a row for each form."""
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
    table.caption = (
        "Exit columns: ms for a single sample that exits there, and the share of samples that exit there."
    )
    table.caption_justify = "left"
    return table


def _exit_name(each: ByExit, exits: tuple[ByExit, ...]) -> str:
    return "last exit" if each is exits[-1] else f"exit {each.exit + 1}"


def _milliseconds(seconds: float | None) -> str:
    return NONE if seconds is None else f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def draw_bench(result: Bench, path: Path) -> Path:
    """Write the plot of speed-ups and of times by exit, and return `path`."""
    several = len(result.networks) > 1
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
        for network in result.networks
        for form in network.forms
    ]
    return replace_plot(path, lambda temporary: save(draw_speedup(series), temporary))


def bench_json(result: Bench) -> str:
    """Return the measurements as JSON: seconds, bytes, joules and multiply-adds; unknown values are null."""
    return json.dumps(
        {
            "machine": dict(result.machine),
            "clock": result.clock,
            "energy": result.energy or None,
            "repeats": result.repeats,
            "seed": result.seed,
            "networks": [
                {
                    "model": network.model,
                    "samples": network.samples,
                    "part": network.part,
                    "backbone_macs": network.backbone_macs,
                    "forms": [_form_record(form) for form in network.forms],
                    "remarks": list(network.remarks),
                }
                for network in result.networks
            ],
        },
        indent=2,
    )


def _form_record(form: FormBench) -> dict[str, Any]:
    return {
        "form": form.name,
        "same": form.same,
        "compared": form.compared,
        "accuracy": form.accuracy,
        "executed_macs": form.executed_macs,
        "macs_ratio": form.batches[0].macs_ratio,
        "memory": form.memory,
        "exits": [
            {"exit_number": e.exit + 1, "share": e.share, "latency": _timing_record(e.timing)}
            for e in form.exits
        ],
        "batches": [_batch_record(each) for each in form.batches],
    }


def _batch_record(each: BatchBench) -> dict[str, Any]:
    return {
        "batch_size": each.batch_size,
        "latency": _timing_record(each.early),
        "backbone": _timing_record(each.backbone),
        "speed_up": each.speed_up,
        "of_macs_ratio": each.of_macs_ratio,
    }


def _timing_record(timing: Timing | None) -> dict[str, float | None] | None:
    if timing is None:
        return None
    percentiles = {f"p{p}": value for p, value in zip(PERCENTILES, timing.percentiles, strict=True)}
    return {"mean": timing.mean, **percentiles, "joules": timing.joules}
