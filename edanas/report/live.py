"""Terminal view of a run: progress, plot of the front, hypervolume, surrogates, candidates and failures."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edanas.core.settings import labels
from edanas.core.types import Evaluation
from edanas.core.visible import visible
from edanas.report.formatting import exits_text, mega, percent
from edanas.report.history import qualities, searches_backbones
from edanas.report.state import FINISHED, RUNNING, RunState
from edanas.report.tables import fronts_table
from edanas.report.textplot import ASCII, Glyphs, scatter, sparkline

_PLOT = 12
"""Height of the plot in lines."""
_LAST, _REASONS = 5, 3
"""Maximum numbers of latest candidates and of reasons of failure that are listed."""


class Frame:
    """View of a run at one moment, for rich. It is as wide as the terminal, up to 100 columns.

    Args:
        state: The run's state at that moment.
    """

    def __init__(self, state: RunState) -> None:
        self.state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = ASCII if options.ascii_only else Glyphs()
        yield Group(*self._parts(min(options.max_width, 100), glyphs))

    def _parts(self, width: int, glyphs: Glyphs) -> Iterator[RenderableType]:
        """Yield the parts of the view from top to bottom; `width` is in columns."""
        state, history = self.state, self.state.history
        yield from _head(state, width)
        heading, points = _candidates(state)
        if points:
            costs, accuracies = zip(*points, strict=True)
            yield Text(f"\n{heading}", style="bold")
            yield Text("\n".join(scatter(costs, accuracies, width, _PLOT, glyphs)), no_wrap=True)
        yield from _trend(state, width, glyphs)
        if state.result is not None:
            yield Text("\nResults", style="bold")
            yield fronts_table(state.result)
        elif history.evaluations:
            backbones = searches_backbones(history.settings)
            last = "backbones, without early exits" if backbones else "candidates"
            yield Text(f"\nLast {last}", style="bold")
            yield _last(history.evaluations[-_LAST:], backbones=backbones)
        yield from _failures(history.evaluations)


def _candidates(state: RunState) -> tuple[str, list[tuple[float, float]]]:
    """Return the heading of the plot, and a pair of MACs and validation accuracy for each point.

    The points are the candidates of the archive. With continuous thresholds, the points are the trade-offs
    in the result of a finished run. For an unfinished run, the points are the backbones in the archive.
    """
    every = state.history.evaluations
    metrics = [evaluation.metrics for evaluation in every if evaluation.metrics is not None]
    if not searches_backbones(state.settings):
        heading = "Front of the search (validation, before fine-tuning)"
        return heading, [(each.executed_macs, each.accuracy) for each in metrics]
    if state.result is not None:
        trade_offs = state.result.data.get("candidates") or []
        heading = "Trade-offs of the search (validation, before fine-tuning)"
        return heading, [(values[0], values[1]) for values in trade_offs]
    heading = (
        "Backbones without early exits (validation, before fine-tuning);\n"
        "the hypervolume counts their trade-offs with early exits"
    )
    return heading, [(each.backbone_macs, each.backbone_accuracy) for each in metrics]


def _head(state: RunState, width: int) -> Iterator[RenderableType]:
    """Show folder, activity and number of evaluated candidates."""
    done = len(state.history.evaluations)
    failed = sum(not evaluation.ok for evaluation in state.history.evaluations)
    style = {RUNNING: "cyan", FINISHED: "green"}.get(state.status, "yellow")
    yield Text.assemble((visible(str(state.folder)), "bold"), ": ", (state.doing, style))
    planned = f" of {state.planned}" if state.planned else ""
    counts = f"{done}{planned} candidates" + (f", {failed} failed" if failed else "")
    line = Table.grid(padding=(0, 1))
    line.add_row(Text(counts), ProgressBar(max(state.planned, done, 1), done, width=max(10, width - 40)))
    yield line


def _trend(state: RunState, width: int, glyphs: Glyphs) -> Iterator[RenderableType]:
    """Show the hypervolume and the quality of the surrogates by iteration."""
    steps = state.history.steps
    if not steps:
        return
    volumes = [step.hypervolume for step in steps]
    lines = [
        ("Hypervolume", sparkline(volumes, width // 2, glyphs), f"{volumes[0]:.4f} to {volumes[-1]:.4f}")
    ]
    objectives = labels(state.history.settings.get("objectives") or [])
    every = qualities(steps)
    for number in sorted({quality.objective for quality in every}):
        own = [quality for quality in every if quality.objective == number]
        name = objectives[number] if number < len(objectives) else f"objective {number + 1}"
        latest = f"{own[-1].surrogate}, tau {own[-1].tau:.2f}"
        bars = sparkline([quality.tau for quality in own], width // 2, glyphs)
        lines.append((f"Surrogate of {name}", bars, latest))
    table = Table.grid(padding=(0, 2))
    for line in lines:
        table.add_row(*(Text(visible(cell)) for cell in line))
    yield Text()
    yield table


def _last(evaluations: Sequence[Evaluation], *, backbones: bool) -> Table:
    """Return a table of evaluations; with `backbones`, their accuracy and cost without early exits."""
    table = Table.grid(padding=(0, 2))
    for evaluation in evaluations:
        outcome = Text("failed", style="red")
        if (metrics := evaluation.metrics) is not None:
            accuracy, macs = metrics.accuracy, metrics.executed_macs
            if backbones:
                accuracy, macs = metrics.backbone_accuracy, metrics.backbone_macs
            outcome = Text(f"{percent(accuracy):>5}% at {mega(macs)}M")
        exits = [] if backbones else [exits_text(evaluation.candidate.scheme.exits)]
        iteration, seconds = f"iteration {evaluation.iteration}", f"{evaluation.seconds:.1f} s"
        table.add_row(iteration, evaluation.candidate.id, *exits, outcome, seconds)
    return table


def _failures(evaluations: Sequence[Evaluation]) -> Iterator[RenderableType]:
    """Show the most frequent reasons of failure; nothing if no evaluation failed."""
    reasons = Counter(str(evaluation.error) for evaluation in evaluations if not evaluation.ok)
    if not reasons:
        return
    yield Text("\nFailures", style="bold")
    for reason, times in reasons.most_common(_REASONS):
        noun = "candidate" if times == 1 else "candidates"
        yield Text(f"{times} {noun}: {visible(reason)}", overflow="ellipsis", no_wrap=True, style="red")
    if len(reasons) > _REASONS:
        yield Text(f"{len(reasons) - _REASONS} more reasons are not listed", style="dim")
