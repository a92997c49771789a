"""Helpers for text and tables of a page."""

from collections.abc import Iterable, Sequence
from html import escape

ISOLATED = "\u2068{}\u2069"
"""Unicode isolates around text of any direction, for attributes, which cannot hold elements."""


def text(value: object) -> str:
    """Return any value as text of a page, or of an attribute in double quotes.

    Example:
        >>> text('<b> & "c"')
        '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return escape(str(value), quote=True)


def named(value: object) -> str:
    """Return a name from outside with its own text direction, apart from the text around it."""
    return f"<bdi>{text(value)}</bdi>"


def isolated(value: object) -> str:
    """Return the same as `named`, for attributes."""
    return text(ISOLATED.format(value))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table that scrolls on a narrow screen, by touch and by keyboard.

    Args:
        caption: Its content, as text for screen readers.
        head: Headings of the columns, as text.
        rows: Cells as markup; the first cell of each row is its heading.
        kind: Class in the style sheet.
    """
    columns = "".join(f'<th scope="col">{text(heading)}</th>' for heading in head)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="{text(caption)}" tabindex="0">'
        f'<table class="{kind}"><thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )
