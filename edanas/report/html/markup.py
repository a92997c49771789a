"""Escaping of text, and tables, for the HTML page."""

from collections.abc import Iterable, Sequence
from html import escape

from edanas.core.visible import visible

ISOLATED = "\u2068{}\u2069"
"""Template with Unicode isolates around a text, so that its direction does not affect the text around it."""


def text(value: object) -> str:
    """Escape a value for the text of a page, or for an attribute in double quotes.

    Example:
        >>> text('<b> & "c"')
        '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return escape(visible(value, lines=True, isolated=True), quote=True)


def named(value: object) -> str:
    """Return a name from a user or a data set in a `<bdi>` element.

    Inside the element, a name that is written from right to left does not change the text around it.
    """
    return f"<bdi>{text(value)}</bdi>"


def isolated(value: object) -> str:
    """Return a name from a user or a data set for an attribute, where `<bdi>` elements are not allowed."""
    return ISOLATED.format(text(value))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return an HTML table. On a narrow screen it scrolls, by touch and by keyboard.

    Args:
        caption: Description of the table for screen readers, as plain text.
        head: Headings of the columns, as plain text.
        rows: Cells of each row, as HTML. The first cell is the heading of the row.
        kind: Class of the table in the style sheet; default none.
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
