"""Contents of a built page: its text by section, its definitions, and the files that it loads."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"img", "br", "hr", "meta", "link", "input", "path", "line", "circle", "polyline", "use", "rect"}


def plain(text: str) -> str:
    """Return text without code markup and with single spaces, for comparisons."""
    return " ".join(text.replace("`", "").split())


@dataclass
class Page(HTMLParser):
    """One page.

    Args:
        html: The source.
        sections: Text by section id, nested sections included.
        inside: Id of the enclosing section, by section id.
        terms: Terms with their definitions, in order.
        where: Id of the innermost section of each term.
        ids: All ids, the targets of links.
        loaded: Addresses that a browser fetches to show the page.
    """

    html: str
    sections: dict[str, str] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)
    terms: list[tuple[str, str]] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, str]] = []
        self.feed(self.html)
        self.sections = {name: plain(text) for name, text in self.sections.items()}
        self.terms = [(plain(term), plain(text)) for term, text in self.terms]

    @classmethod
    def read(cls, path: Path) -> "Page":
        return cls(path.read_text(encoding="utf-8"))

    def definition(self, name: str, section: str | None = None) -> str | None:
        """Return the definition of the first term with the word `name`, in a section or anywhere."""
        word = re.compile(rf"(?:^|[\s,]){re.escape(name)}(?:$|[\s,])")
        places = zip(self.terms, self.where, strict=True)
        return next(
            (text for (term, text), at in places if word.search(term) and section in (None, at)), None
        )

    def section(self, title: str, around: str) -> str | None:
        """Return the id of the section with this title directly inside another one."""
        inner = [name for name, outer in self.inside.items() if outer == around]
        return next((name for name in inner if self.sections[name].startswith(f"{title}¶")), None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        name = attributes.get("id") or ""
        self.ids.add(name)
        if tag in ("script", "img", "iframe", "source"):
            self.loaded.append(attributes.get("src") or "")
        elif tag == "link" and attributes.get("rel") != "canonical":
            self.loaded.append(attributes.get("href") or "")
        if tag not in VOID:
            self._open.append((tag, name))
        around = [opened for kind, opened in self._open[:-1] if kind == "section"]
        if tag == "section":
            self.sections[name] = ""
            self.inside[name] = around[-1] if around else ""
        elif tag == "dt":
            self.terms.append(("", ""))
            self.where.append(around[-1] if around else "")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._open]
        if "script" in tags or "style" in tags:
            return
        for tag, name in self._open:
            if tag == "section":
                self.sections[name] += data
        if self.terms and "dt" in tags:
            self.terms[-1] = (self.terms[-1][0] + data, "")
        elif self.terms and "dd" in tags:
            self.terms[-1] = (self.terms[-1][0], self.terms[-1][1] + data)
