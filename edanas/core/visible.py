"""Text from outside that people read: control characters as escapes, and cells of CSV files as plain text."""

import unicodedata
from typing import Any

_ESCAPED = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of Unicode that are escaped: controls, lone surrogates, line and paragraph separators."""

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Invisible characters that change the direction of the text around them, and the byte order mark."""

_FORMULA = tuple("=+-@＝＋－＠")
"""First characters of a cell that spreadsheets compute instead of showing."""


def visible(text: object, *, lines: bool = False, isolated: bool = False) -> str:
    r"""Return a text in which control characters are escapes such as `\x1b`, so that they control nothing.

    Args:
        text: The text, or an object that is converted to text. Its lone surrogates, e.g. of a file name that
            is not valid UTF-8, are escaped, too.
        lines: True to leave line breaks as they are; default False.
        isolated: True if the caller isolates the text by its direction, as HTML can, so that characters which
            change the direction stay as they are; default False.

    Example:
        >>> print(visible("cat\x1b[2J\n"))
        cat\x1b[2J\n
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    left = ("\n" if lines else "") + ("".join(_DIRECTIONS) if isolated else "")
    return "".join(each if each in left else _shown(each) for each in plain)


def csv_cell(value: Any) -> Any:
    r"""Return a cell for a CSV file: text that a spreadsheet would take for a formula begins with `'`.

    Control characters of text are escaped. Values that are not text stay as they are.

    Example:
        >>> csv_cell("=1+1"), csv_cell("cat"), csv_cell(-0.5)
        ("'=1+1", 'cat', -0.5)
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _shown(character: str) -> str:
    if unicodedata.category(character) in _ESCAPED or character in _DIRECTIONS:
        return character.encode("unicode_escape").decode()
    return character
