"""One frame of a run in the terminal: progress, front, hypervolume, surrogates, last candidates, failures."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edanas.core.settings import labels
from edanas.core.types import Evaluation
from edanas.report.history import of_backbones, qualities
from edanas.report.state import FINISHED, RUNNING, RunState
from edanas.report.tables import fronts_table
from edanas.report.textplot import ASCII, Glyphs, scatter, sparkline
from edanas.report.words import in_words, mega, percent

_PLOT = 12
"""Lines of the front's plot."""
_LAST, _REASONS = 5, 3
"""Candidates, and reasons to fail, that are listed."""


class Frame:
    """What `edanas watch` shows of one look at a run; as wide as the terminal.

    Args:
        state: The look.
    """

    def __init__(self, state: RunState) -> None:
        self.state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = ASCII if options.ascii_only else Glyphs()
        yield Group(*self._parts(min(options.max_width, 100), glyphs))

    def _parts(self, width: int, glyphs: Glyphs) -> Iterator[RenderableType]:
        state, history = self.state, self.state.history
        yield from _head(state, width)
        heading, points = _searched(state)
        if points:
            costs, accuracies = zip(*points, strict=True)
            yield Text(f"\n{heading}", style="bold")
            yield Text("\n".join(scatter(costs, accuracies, width, _PLOT, glyphs)), no_wrap=True)
        yield from _trend(state, width, glyphs)
        if state.result is not None:
            yield Text("\nResults", style="bold")
            yield fronts_table(state.result)
        elif history.evaluations:
            backbones = of_backbones(history.settings)
            last = "backbones, without early exits" if backbones else "candidates"
            yield Text(f"\nLast {last}", style="bold")
            yield _last(history.evaluations[-_LAST:], backbones=backbones)
        yield from _failures(history.evaluations)


def _searched(state: RunState) -> tuple[str, list[tuple[float, float]]]:
    """What is plotted, in words, with the MACs and the validation accuracy of each point.

    The trade-offs of a search of backbones need costs by exit, which the archive does not hold; the result
    has them. Until then the backbones themselves are shown, and the hypervolume tells of their trade-offs.
    """
    found = [each.metrics for each in state.history.evaluations if each.metrics is not None]
    if not of_backbones(state.settings):
        heading = "Front of the search (validation, before fine-tuning)"
        return heading, [(each.executed_macs, each.accuracy) for each in found]
    if state.result is not None:
        kept = state.result.data.get("candidates") or []
        heading = "Trade-offs of the search (validation, before fine-tuning)"
        return heading, [(each[0], each[1]) for each in kept]
    heading = (
        "Backbones without early exits (validation, before fine-tuning);\n"
        "what early exits make of them is what the hypervolume counts"
    )
    return heading, [(each.backbone_macs, each.backbone_accuracy) for each in found]


def _head(state: RunState, width: int) -> Iterator[RenderableType]:
    done = len(state.history.evaluations)
    failed = sum(not each.ok for each in state.history.evaluations)
    style = {RUNNING: "cyan", FINISHED: "green"}.get(state.status, "yellow")
    yield Text.assemble((printable(str(state.folder)), "bold"), ": ", (state.doing, style))
    of = f" of {state.planned}" if state.planned else ""
    counts = f"{done}{of} candidates" + (f", {failed} failed" if failed else "")
    line = Table.grid(padding=(0, 1))
    line.add_row(Text(counts), ProgressBar(max(state.planned, done, 1), done, width=max(10, width - 40)))
    yield line


def _trend(state: RunState, width: int, glyphs: Glyphs) -> Iterator[RenderableType]:
    """Hypervolume and surrogates' quality by iteration."""
    steps = state.history.steps
    if not steps:
        return
    volumes = [step.hypervolume for step in steps]
    lines = [
        ("Hypervolume", sparkline(volumes, width // 2, glyphs), f"{volumes[0]:.4f} to {volumes[-1]:.4f}")
    ]
    objectives = labels(state.history.settings.get("objectives") or [])
    found = qualities(steps)
    for number in sorted({each.objective for each in found}):
        line = [each for each in found if each.objective == number]
        name = objectives[number] if number < len(objectives) else f"objective {number + 1}"
        said = f"{line[-1].surrogate}, tau {line[-1].tau:.2f}"
        lines.append((f"Surrogate of {name}", sparkline([e.tau for e in line], width // 2, glyphs), said))
    table = Table.grid(padding=(0, 2))
    for each in lines:
        table.add_row(*(Text(printable(part)) for part in each))
    yield Text()
    yield table


def _last(evaluations: Sequence[Evaluation], *, backbones: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    for each in evaluations:
        found = Text("failed", style="red")
        if (metrics := each.metrics) is not None:
            worth = metrics.accuracy, metrics.executed_macs
            accuracy, macs = (metrics.backbone_accuracy, metrics.backbone_macs) if backbones else worth
            found = Text(f"{percent(accuracy):>5}% at {mega(macs)}M")
        exits = [] if backbones else [in_words(each.candidate.scheme.exits)]
        table.add_row(
            f"iteration {each.iteration}", each.candidate.id, *exits, found, f"{each.seconds:.1f} s"
        )
    return table


def _failures(evaluations: Sequence[Evaluation]) -> Iterator[RenderableType]:
    reasons = Counter(str(each.error) for each in evaluations if not each.ok)
    if not reasons:
        return
    yield Text("\nFailures", style="bold")
    for reason, times in reasons.most_common(_REASONS):
        yield Text(f"{times} times: {printable(reason)}", overflow="ellipsis", no_wrap=True, style="red")
    if len(reasons) > _REASONS:
        yield Text(f"and {len(reasons) - _REASONS} more reasons", style="dim")


def printable(text: str) -> str:
    """Text that moves no cursor: what is no character to see becomes a space."""
    return "".join(each if each.isprintable() else " " for each in text)
