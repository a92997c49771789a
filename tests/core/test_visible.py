"""Text from outside: nothing in it controls a terminal, a spreadsheet or a page."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from edanas.core.visible import csv_cell, visible
from edanas.report.terminal import PlainConsole

anything = st.text(st.characters(codec=None, categories=None), max_size=20) | st.text(
    "a=+-@\t\r\n\x1b\x00\x7f\x9b\u202e\u2028\udcff'\"", max_size=8
)


@given(anything)
def test_no_control_character_is_left(text: str) -> None:
    plain = visible(text)
    assert not set(plain) & set("\n\r\t\x1b\x00\x7f\x9b\u202e\u2066\u2028\udcff")
    plain.encode()
    assert visible(text, lines=True).count("\n") == text.count("\n")
    assert visible("Katze قطة 猫 👩‍🔬") == "Katze قطة 猫 👩‍🔬"


@given(anything)
def test_no_cell_is_a_formula(text: str) -> None:
    cell = csv_cell(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    file = io.StringIO()
    csv.writer(file).writerow([cell, -0.5])
    assert next(csv.reader(io.StringIO(file.getvalue()))) == [cell, "-0.5"]


@given(anything)
def test_the_console_prints_escapes(text: str) -> None:
    file = io.StringIO()
    PlainConsole(file=file, force_terminal=True, width=60).print(text, markup=False, highlight=False)
    assert "\x1b" not in file.getvalue()
    assert "\x00" not in file.getvalue()
