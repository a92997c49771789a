"""Charts as SVG: axes with round ticks, lines and points. The style sheet sets the colours.

Each point has its description as a `<title>`, which browsers show and screen readers read. The page's script
shows the description beside the chart, and moves from point to point with the arrow keys.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edanas.report.html.markup import text

WIDTH, HEIGHT = 600, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 58


@dataclass(frozen=True)
class Scale:
    """A linear map from a non-empty interval of values to the drawing."""

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
    """A point of a chart.

    Args:
        x: In the axis's unit.
        y: In the axis's unit.
        title: Its description, in lines.
        kind: Classes in the style sheet.
        mark: A character drawn on it.
        iteration: The iteration of its candidate, for the page's slider.
        target: The id of the element with the details.
        radius: Radius of its disc.
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
    """The axes of a chart, with ticks and titles.

    Args:
        x: Low and high end of the horizontal axis.
        y: Low and high end of the vertical axis.
        x_title: With its unit.
        y_title: With its unit.
        whole: Use only whole numbers as ticks of the horizontal axis.
        height: Height of the drawing in units; its width is `WIDTH`.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_title: str
    y_title: str
    whole: bool = False
    height: int = HEIGHT

    @property
    def across(self) -> Scale:
        """The horizontal scale."""
        return Scale(*widened(*self.x), LEFT, WIDTH - RIGHT)

    @property
    def up(self) -> Scale:
        """The vertical scale."""
        return Scale(*widened(*self.y), self.height - BOTTOM, TOP)

    def draw(self, name: str, label: str, marks: Iterable[str]) -> str:
        """Return the `<svg>` element.

        Args:
            name: Its id.
            label: Its description, in a sentence.
            marks: Elements to draw over the grid, in order.
        """
        attributes = f'role="group" tabindex="0" aria-describedby="{name}-description"'
        return (
            f'<svg id="{name}" class="chart" viewBox="0 0 {WIDTH} {self.height}" {attributes} '
            f'aria-label="{text(label)}">'
            f"{self._axes()}{''.join(marks)}</svg>"
        )

    def _axes(self) -> str:
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
        """Return a line through points in the axes' units; nothing for no points."""
        if not points:
            return ""
        across, up = self.across, self.up
        path = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in points)
        return f'<path class="line {kind}" d="M{path}"/>'

    def point(self, point: Point) -> str:
        """Return a disc with its description and its mark."""
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
        """Return a vertical interval."""
        at, up = self.across(x), self.up
        return f'<path class="whisker {kind}" d="M{at:.1f} {up(low):.1f}V{up(high):.1f}"/>'


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return at most about `most` round numbers in an interval: multiples of 1, 2 or 5 times a power of ten.

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
    # Rounded, since 3 x 0.1 is not 0.3.
    return [round(number * step, 12) for number in range(first, last + 1)]


def widened(low: float, high: float) -> tuple[float, float]:
    """Return the interval, or a small one around its only value."""
    if high > low:
        return low, high
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room


def spread(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    """Return the interval with some room at both ends."""
    low, high = widened(low, high)
    room = share * (high - low)
    return low - room, high + room
