"""Charts as SVG: axes with round ticks, lines and points. The style sheet sets the colours.

The description of each point is a `<title>` element, which browsers show and screen readers read. The script
of the page also shows the description beside the chart. The arrow keys select the next or previous point.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edanas.report.html.markup import text

WIDTH, HEIGHT = 600, 400
"""Size of a chart in the drawing's units."""
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 58
"""Margins around the axes in the drawing's units."""


@dataclass(frozen=True)
class Scale:
    """Linear map from an interval of values to an interval of positions in a drawing.

    Args:
        low: Lower end of the values.
        high: Upper end of the values, above `low`.
        start: Position of `low` in the drawing's units.
        end: Position of `high` in the drawing's units.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of `value` in the drawing's units."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Point:
    """Point of a chart, drawn as a disc.

    Args:
        x: Value on the horizontal axis, in the unit of the axis.
        y: Value on the vertical axis, in the unit of the axis.
        title: Description of the point, in one or more lines.
        kind: Classes of the point in the style sheet, separated by spaces; default none.
        mark: Text drawn on the disc; default none.
        iteration: Iteration of the point's candidate, for the slider of the page; `None` = not known.
        target: Id of the page's element with details on the point; default none.
        radius: Radius of the disc in the drawing's units.
    """

    x: float
    y: float
    title: str
    kind: str = ""
    mark: str = ""
    iteration: int | None = None
    target: str = ""
    radius: float = 4.5


@dataclass(frozen=True)
class Chart:
    """Axes of a chart, with ticks and titles.

    Args:
        x: Lower and upper end of the horizontal axis.
        y: Lower and upper end of the vertical axis.
        x_title: Title of the horizontal axis, with its unit.
        y_title: Title of the vertical axis, with its unit.
        whole: `True` = the ticks of the horizontal axis are integers; default `False`.
        height: Height of the drawing, in the units in which its width is `WIDTH`.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_title: str
    y_title: str
    whole: bool = False
    height: int = HEIGHT

    @property
    def across(self) -> Scale:
        """Scale of the horizontal axis."""
        return Scale(*widened(*self.x), LEFT, WIDTH - RIGHT)

    @property
    def up(self) -> Scale:
        """Scale of the vertical axis."""
        return Scale(*widened(*self.y), self.height - BOTTOM, TOP)

    def draw(self, name: str, label: str, marks: Iterable[str]) -> str:
        """Return the chart as an `<svg>` element.

        Args:
            name: Id of the element.
            label: A sentence that describes the chart for screen readers.
            marks: SVG elements that are drawn over the grid, in order.
        """
        attributes = f'role="group" tabindex="0" aria-describedby="{name}-description"'
        return (
            f'<svg id="{name}" class="chart" viewBox="0 0 {WIDTH} {self.height}" {attributes} '
            f'aria-label="{text(label)}">'
            f"{self._axes()}{''.join(marks)}</svg>"
        )

    def _axes(self) -> str:
        """Return grid, ticks, axes and titles as SVG elements."""
        across, up = self.across, self.up
        floor, middle = self.height - BOTTOM, (TOP + self.height - BOTTOM) / 2
        parts = []
        for value in ticks(across.low, across.high, 6, whole=self.whole):
            at = across(value)
            parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{floor}"/>')
            parts.append(f'<text class="tick" x="{at:.1f}" y="{floor + 18}">{value:g}</text>')
        for value in ticks(up.low, up.high, 6):
            at = up(value)
            parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text class="tick side" x="{LEFT - 7}" y="{at + 4.5:.1f}">{value:g}</text>')
        parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}"/>')
        centre = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text class="title" x="{centre}" y="{self.height - 10}">{text(self.x_title)}</text>')
        turned = f'transform="rotate(-90 16 {middle:.0f})"'
        parts.append(f'<text class="title" x="16" y="{middle:.0f}" {turned}>{text(self.y_title)}</text>')
        return "".join(parts)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> str:
        """Return a line through points as an SVG element; empty without points.

        Args:
            points: Pairs of values on the horizontal and the vertical axis.
            kind: CSS class of the line.
        """
        if not points:
            return ""
        across, up = self.across, self.up
        path = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in points)
        return f'<path class="line {kind}" d="M{path}"/>'

    def point(self, point: Point) -> str:
        """Return a point as an SVG element: a disc with description and mark."""
        x, y = self.across(point.x), self.up(point.y)
        data = "" if point.iteration is None else f' data-iteration="{point.iteration}"'
        data += f' data-target="{text(point.target)}"' if point.target else ""
        mark = (
            f'<text class="mark" x="{x:.1f}" y="{y + 4:.1f}">{text(point.mark)}</text>' if point.mark else ""
        )
        return (
            f'<g class="point {point.kind}"{data}><title>{text(point.title)}</title>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{point.radius:g}"/>{mark}</g>'
        )

    def whisker(self, x: float, low: float, high: float, kind: str) -> str:
        """Return a vertical line as an SVG element: an interval of values on the vertical axis.

        Args:
            x: Value on the horizontal axis.
            low: Lower end of the interval.
            high: Upper end of the interval.
            kind: CSS class of the line.
        """
        at, up = self.across(x), self.up
        return f'<path class="whisker {kind}" d="M{at:.1f} {up(low):.1f}V{up(high):.1f}"/>'


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return round numbers in an interval for the ticks of an axis.

    The numbers are multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: Lower end of the interval.
        high: Upper end of the interval, above `low`.
        most: Approximate maximum number of ticks; 3 or more, so that every interval has a tick.
        whole: `True` = return only integers; default `False`.

    Example:
        >>> ticks(0.0, 1.0, 5)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    step = max(1.0, step) if whole else step
    room = 1e-9 * rough
    first, last = math.ceil((low - room) / step), math.floor((high + room) / step)
    # Rounded, since 3 * 0.1 is not 0.3 in floating point.
    return [round(number * step, 12) for number in range(first, last + 1)]


def widened(low: float, high: float) -> tuple[float, float]:
    """Return the interval from `low` to `high`; if they are equal, a small interval around that value."""
    if high > low:
        return low, high
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room


def spread(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    """Return the interval extended at both ends by `share`, a fraction of its length, by default 0.05."""
    low, high = widened(low, high)
    room = share * (high - low)
    return low - room, high + room
