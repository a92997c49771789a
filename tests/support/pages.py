"""Parsing of a report page."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from edanas.report.history import RunHistory
from edanas.report.html import render
from edanas.report.result import Result

VOID = {"meta", "br", "img", "link", "hr", "input"}

EVIL = "<script>alert(1)</script>\"'&{x}\u202eقطة"
"""A name with every character that could break out of its place in a page."""


class Reader(HTMLParser):
    """Checks that tags nest, and keeps every tag, attribute and text.

    Attributes:
        elements: Each tag with its attributes, in order.
        texts: What is read, scripts and styles aside.
        cells: The texts of tables' cells, row headings included.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def attributes(self) -> list[tuple[str, str]]:
        return [pair for _, attributes in self.elements for pair in attributes.items()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tbody":
            self.tables.append([])
        elif tag == "tr" and "tbody" in self.open:
            self.tables[-1].append([])
        elif tag in ("td", "th") and "tbody" in self.open:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if {"script", "style"} & set(self.open):
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open) and "tbody" in self.open:
            self.tables[-1][-1][-1] += data


def page_of(data: dict[str, Any], folder: Path | str = "run", history: RunHistory | None = None) -> str:
    return render(Result(folder, data), history)
