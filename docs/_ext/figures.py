"""Figures of the site: SVG inside the page, in the theme's colours, for light and dark."""

import base64
import io
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits

EASY, HARD = 0, 158
"""Indices into scikit-learn's digits: a clear 0, and an 8 that resembles a 9 or a 4."""

STAGES = (250, 420, 590)
"""Left edges of the stages that `idea` draws."""


def idea(_: Path) -> str:
    """Draw an easy image that exits at the first exit, and a hard one at the last."""
    images = load_digits().images
    parts = [
        _caption(16, 24, "Easy image"),
        _picture(16, 34, images[EASY]),
        _caption(16, 204, "Hard image"),
        _picture(16, 214, images[HARD]),
    ]
    for top, last in ((69, 1), (249, 3)):
        for number, left in enumerate(STAGES, start=1):
            ran = number <= last
            parts.append(_box(left, top - 30, 110, 60, f"stage {number}", faint=not ran))
            before = 116 if number == 1 else left - 60
            parts.append(_arrow(before, top, left, top, faint=not ran))
    parts += [
        _exit(STAGES[0] + 55, 99, "exit 1", "confident: stop here", good=True),
        _exit(STAGES[0] + 55, 279, "exit 1", "not confident"),
        _exit(STAGES[1] + 55, 279, "exit 2", "not confident"),
        _exit(STAGES[2] + 55, 279, "last exit", "prediction", good=True),
        _text(STAGES[1] + 140, 69 - 44, "never computed", "foreground-secondary", 14, "middle"),
    ]
    return _figure(
        730,
        350,
        parts,
        "An easy image runs through one stage, and exits at the first exit with a high confidence. A hard "
        "image runs through three stages to the last exit.",
    )


def macs(_: Path) -> str:
    """Draw the parts that count for a sample at the last exit: by Eq. 5, and by execution."""
    parts = []
    for top, name, head in ((50, "ADA_MACS", False), (150, "executed MACs", True)):
        parts += [
            _caption(16, top + 5, name),
            _box(200, top - 25, 130, 50, "stage 1: 10M"),
            _box(390, top - 25, 190, 50, "stage 2: 30M"),
            _box(640, top - 25, 130, 50, "last exit: 1M"),
            _arrow(330, top, 390, top),
            _arrow(580, top, 640, top),
            _box(300, top + 34, 130, 34, "head 1: 1M", faint=not head),
        ]
    parts.append(_note(200, 232, "A sample that exits at the last exit: 41M by Eq. 5; 42M are computed."))
    return _figure(
        860, 246, parts, "Equation 5 leaves out the first head, which ran and was not confident enough."
    )


def loop(_: Path) -> str:
    """Draw the search loop."""
    boxes = (
        (20, 40, "strategy", "which candidates next?"),
        (320, 40, "evaluation", "backbone, exits, exit profile"),
        (620, 40, "archive", "candidates and metrics"),
        (320, 160, "surrogates", "learn from the archive"),
        (620, 160, "results", "fine-tuned, tested once"),
    )
    parts = [_box(left, top, 220, 64, name, caption) for left, top, name, caption in boxes]
    parts += [
        _arrow(240, 72, 320, 72),
        _arrow(540, 72, 620, 72),
        _arrow(640, 104, 530, 160),
        _arrow(330, 160, 220, 104),
        _arrow(740, 104, 740, 160),
    ]
    return _figure(
        860,
        240,
        parts,
        "The strategy proposes candidates, which are evaluated and archived; surrogates learn from the "
        "archive and guide the strategy; the best of the archive become the results.",
    )


FIGURES = {"idea": idea, "macs": macs, "loop": loop}


def _figure(width: int, height: int, parts: list[str], description: str) -> str:
    """Return a figure as raw HTML; screen readers read the description."""
    head = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
    )
    tip = '<path d="M0 0 8 4 0 8z" fill="var(--color-foreground-secondary)"/></marker></defs>'
    label = escape(description, quote=True)
    drawn = "\n".join(parts)
    return (
        "```{raw} html\n"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}" '
        f'style="width:100%;height:auto;font-family:var(--font-stack)">\n{head}{tip}\n{drawn}\n</svg>\n```'
    )


def _text(x: float, y: float, text: str, colour: str, size: int = 15, anchor: str = "start") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="var(--color-{colour})">{escape(text)}</text>'
    )


def _caption(x: float, y: float, text: str) -> str:
    return _text(x, y, text, "foreground-primary")


def _note(x: float, y: float, text: str) -> str:
    return _text(x, y, text, "foreground-secondary", 14)


def _box(
    x: float, y: float, width: float, height: float, name: str, caption: str = "", *, faint: bool = False
) -> str:
    middle = x + width / 2
    line = y + height / 2 + (-4 if caption else 5)
    parts = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" '
        'fill="var(--color-background-secondary)" stroke="var(--color-foreground-border)"/>',
        _text(middle, line, name, "foreground-primary", 15, "middle"),
    ]
    if caption:
        parts.append(_text(middle, line + 20, caption, "foreground-secondary", 13, "middle"))
    return f"<g{_faint(faint)}>{''.join(parts)}</g>"


def _arrow(x: float, y: float, to_x: float, to_y: float, *, faint: bool = False) -> str:
    return (
        f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="var(--color-foreground-secondary)" '
        f'stroke-width="2" marker-end="url(#tip)"{_faint(faint)}/>'
    )


def _exit(x: float, bottom: float, name: str, caption: str, *, good: bool = False) -> str:
    colour = "brand-primary" if good else "foreground-secondary"
    return (
        _arrow(x, bottom, x, bottom + 26)
        + _text(x, bottom + 44, name, colour, 15, "middle")
        + _text(x, bottom + 62, caption, colour, 13, "middle")
    )


def _picture(x: float, y: float, pixels: npt.NDArray[np.float64]) -> str:
    """Return an image of grey levels (H, W) from 0 to 16, dark on light."""
    content = io.BytesIO()
    Image.fromarray((255 - pixels * 15.9375).astype(np.uint8)).save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f'<image x="{x}" y="{y}" width="80" height="80" href="data:image/png;base64,{data}" '
        'style="image-rendering:pixelated"/>'
    )


def _faint(faint: bool) -> str:  # noqa: FBT001 - the name is clear
    return ' opacity="0.35"' if faint else ""
