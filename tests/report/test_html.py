import re
import tomllib
from html import unescape
from html.parser import HTMLParser
from typing import Any

from edanas.report import plots
from edanas.report.html import render
from edanas.report.result import Result

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Reader(HTMLParser):
    """Checks that tags nest, and keeps every tag, attribute and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.cells: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "td" in self.open:
            self.cells[-1] += data


def page_of(data: dict[str, Any]) -> str:
    result = Result("run", data)
    return render(result, plots.inline_svg(plots.draw(data)))


def test_the_page_is_well_formed_and_needs_nothing_else(data: dict[str, Any]) -> None:
    page = page_of(data)
    reader = Reader(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    loaded = [
        value
        for name, value in reader.attributes
        if name in ("src", "href", "xlink:href", "action", "srcset")
    ]
    assert all(value.startswith(("#", "models/")) for value in loaded)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    assert "prefers-color-scheme: dark" in style
    assert any(value == "width=device-width, initial-scale=1" for _, value in reader.attributes)


def test_both_fronts_stand_in_the_tables(data: dict[str, Any]) -> None:
    cells = Reader(page_of(data)).cells
    assert len(cells) == 13 * 6
    by_row = [cells[13 * i : 13 * (i + 1)] for i in range(6)]
    assert by_row[1] == [
        "2",
        "97.2",
        "95.2 to 98.2",
        "97.0",
        "1.43",
        "1.50",
        "50",
        "98.5",
        "3.00",
        "182,004",
        ".50 .50   –   –",
        "25 25  –  – 50",
        "file",
    ]
    assert by_row[4][:3] == ["0", "95.0", "–"]
    assert by_row[4][-1] == "–"


def test_conclusions_are_drawn_from_validation_and_compare_at_equal_cost(data: dict[str, Any]) -> None:
    text = "".join(Reader(page_of(data)).texts)
    best = (
        "97.0% test accuracy at 2.00M executed MACs with 3 early exits: 50% of what its backbone costs, "
        "which reaches 98.5%. At no higher cost the best single-exit network of the search reaches 95.0% "
        "(1.20M)."
    )
    assert best in text
    data["static_front"] = data["static_front"][1:]
    assert "No single-exit network of the search is as cheap." in "".join(Reader(page_of(data)).texts)


def test_bars_are_as_wide_as_the_share_that_leaves(data: dict[str, Any]) -> None:
    page = page_of(data)
    bars = re.findall(r"<div class=bar>(.*?)</div>", page)
    widths = [[float(width) for width in re.findall(r"width:([0-9.]+)%", bar)] for bar in bars]
    assert widths[0] == [50.0, 50.0]
    assert widths[3] == [12.5] * 4 + [50.0]
    assert "exit 1: 50.0%, 99.0% right" in page
    assert "last exit: 50.0%, 93.0% right" in page


def test_the_settings_can_be_copied(data: dict[str, Any]) -> None:
    page = page_of(data)
    block = unescape(page[page.index("<pre>") + 5 : page.index("</pre>")])
    assert tomllib.loads(block) == data["settings"]


def test_settings_of_another_program_are_shown_too(data: dict[str, Any]) -> None:
    data["settings"]["thresholds"] = [0.1, None]
    assert "null" in "".join(Reader(page_of(data)).texts)


def test_remarks_and_times_are_told(data: dict[str, Any]) -> None:
    text = "".join(Reader(page_of(data)).texts)
    for part in (
        "3 of 9 images were resized from 64x64 to 32x32.",
        "supernet: 61 s",
        "seed 3",
        "40 candidates, 1 of them failed",
        "search ended: time limit",
        "1.5 minutes in all",
        "2 classes: cat, dog",
        "/pictures",
    ):
        assert part in text


def test_names_from_outside_cannot_become_markup(data: dict[str, Any]) -> None:
    evil = "<script>alert(1)</script>\"'&{x}"
    data["classes"] = [evil, "dog"]
    data["remarks"] = [evil]
    data["stopped"] = evil
    data["seconds"] = {evil: 1.0}
    data["settings"] = {"plugin": evil, "data": {"name": "folder", "path": evil}, evil: evil}
    data["front"][0]["model"] = f'models/{evil}" onclick="x'
    data["front"][1]["model"] = "javascript:alert(1)"
    data["front"][0]["id"] = evil
    reader = Reader(page_of(data))
    assert "script" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert not [value for name, value in reader.attributes if name == "href" and ":" in value]
    assert "".join(reader.texts).count("<script>alert(1)</script>") >= 6


def test_a_run_that_found_nothing_has_a_page_too(data: dict[str, Any]) -> None:
    bare = {"front": [], "static_front": [], "settings": {}, "seed": 0}
    text = "".join(Reader(page_of(bare)).texts)
    assert "The search found no early-exit network." in text


def test_the_page_is_the_same_every_time(data: dict[str, Any]) -> None:
    assert page_of(data) == page_of(data)
