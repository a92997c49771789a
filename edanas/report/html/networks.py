"""The part of the page for each early-exit network: drawing, table by exit, example images."""

import base64
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.report.html.anatomy import drawing, exits_of
from edanas.report.html.markup import isolated, named, table, text
from edanas.report.words import NONE, Row, backbone_words, in_words, mega, percent, relative_cost

PICTURES = 600_000
"""Bytes of example images in one page at most; the rest stay in their files."""

GROUPS = (
    ("early", "First to leave"),
    ("late", "Last to leave"),
    ("wrong", "Surest mistakes"),
)

_TYPES = ("image/png", "image/jpeg")


class Pictures:
    """The example images of a run's folder, as far as they are there and the page has room.

    Args:
        folder: The run's folder.
        room: Bytes that all of them may take.
    """

    def __init__(self, folder: Path, room: int = PICTURES) -> None:
        self.folder, self.room = folder, room

    def inline(self, name: str) -> str | None:
        """An image as a `data:` address, or `None`."""
        kind = mimetypes.guess_type(name)[0]
        path = (self.folder / name).resolve()
        if kind not in _TYPES or not path.is_relative_to(self.folder.resolve()):
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if len(content) > self.room:
            return None
        self.room -= len(content)
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def network(row: Row, classes: Sequence[str], pictures: Pictures) -> str:
    """One early-exit network.

    Args:
        row: Of `front`.
        classes: Names by label.
        pictures: Where its example images are.
    """
    heading = f"{in_words(row['exits'])}: {percent(row['test_accuracy'])}% at {mega(row['executed_macs'])}M"
    backbone = f"Backbone: {backbone_words(row['backbone'])}." if row.get("backbone") else ""
    saved = (
        f"{percent(relative_cost(row), 0)}% of the backbone's {mega(row['backbone_macs'])}M, "
        f"which alone reaches {percent(row['backbone_test_accuracy'])}%."
    )
    return (
        f'<article id="net-{text(row["id"])}" tabindex="-1"><h3>{text(heading)}</h3>'
        f'<p class="note">{text(saved)} {text(backbone)}</p>'
        f'<div class="wide" role="region" aria-label="The network as a drawing" tabindex="0">'
        f"{drawing(row)}</div>{_by_exit(row)}{_examples(row, classes, pictures)}</article>"
    )


def _by_exit(row: Row) -> str:
    exits = exits_of(row)
    rows = [
        [
            f'<span class="key {each.kind}"></span>{text(each.name)}',
            NONE if each.threshold is None else f"{each.threshold:.3f}",
            _meter(each.share, each.kind),
            NONE if each.accuracy is None else percent(each.accuracy),
            NONE if each.macs is None else mega(each.macs),
        ]
        for each in exits
    ]
    head = ("exit", "threshold", "images that leave, %", "of these right, %", "MACs to get there, M")
    return table(f"Accuracy and share by exit, {in_words(row['exits'])}", head, rows, "exits")


def _meter(share: float, kind: str) -> str:
    filled = f'<span class="{kind}" style="width:{100 * share:.2f}%"></span>'
    return f'{percent(share)}<span class="meter" aria-hidden="true">{filled}</span>'


def _examples(row: Row, classes: Sequence[str], pictures: Pictures) -> str:
    groups = []
    for kind, heading in GROUPS:
        found = [each for each in row.get("examples") or () if each.get("kind") == kind]
        figures = "".join(filter(None, (_figure(each, row, classes, pictures) for each in found)))
        if figures:
            groups.append(f'<div><h4>{heading}</h4><div class="shown">{figures}</div></div>')
    return f'<div class="examples">{"".join(groups)}</div>' if groups else ""


def _figure(example: Mapping[str, Any], row: Row, classes: Sequence[str], pictures: Pictures) -> str | None:
    address = pictures.inline(str(example.get("file")))
    if address is None:
        return None
    label, predicted = _class(classes, example["label"]), _class(classes, example["predicted"])
    last = int(example["exit"]) >= len(row["thresholds"])
    where = "last exit" if last else f"exit {int(example['exit']) + 1}"
    sure = f"{float(example['confidence']):.2f}"
    taken = label != predicted
    told = f"{isolated(label)}{f', taken for {isolated(predicted)}' if taken else ''}; leaves at {where}"
    caption = f"{named(label)}{f' taken for {named(predicted)}' if taken else ''}<br>{where} at {sure}"
    return f'<figure><img src="{address}" alt="{told}"><figcaption>{caption}</figcaption></figure>'


def _class(classes: Sequence[str], label: Any) -> str:
    number = int(label)
    return str(classes[number]) if 0 <= number < len(classes) else f"class {number}"
