"""Small helpers for text that goes into a page."""

from collections.abc import Iterable, Sequence
from html import escape

ISOLATED = "\u2068{}\u2069"
"""Unicode's isolates: text of any direction inside an attribute, where no element can stand."""


def text(value: object) -> str:
    """Any value as text of a page, or of an attribute in double quotes."""
    return escape(str(value), quote=True)


def named(value: object) -> str:
    """A name that somebody else gave: it keeps its own direction, and leaves that of what is around it."""
    return f"<bdi>{text(value)}</bdi>"


def isolated(value: object) -> str:
    """As `named`, for attributes."""
    return text(ISOLATED.format(value))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table that scrolls within itself on a narrow screen, for fingers and keys alike.

    Args:
        caption: What it shows, as text; for those who hear the page.
        head: The columns' headings, as text.
        rows: Cells as markup; the first of each row is its heading.
        kind: A class of the style sheet.
    """
    columns = "".join(f'<th scope="col">{text(each)}</th>' for each in head)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="{text(caption)}" tabindex="0">'
        f'<table class="{kind}"><thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )
