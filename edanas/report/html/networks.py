"""Part of the page that shows one early-exit network: drawing, table of its exits, example images."""

import base64
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.result_row import ResultRow
from edanas.report.formatting import NONE, backbone_text, exits_text, mega, percent
from edanas.report.html.markup import isolated, named, table, text
from edanas.report.html.network_drawing import drawing, exits_of
from edanas.report.memory import memory_text
from edanas.report.rivals import comparison_text

PICTURES = 600_000
"""Maximum size of all example images in one page, in bytes."""

GROUPS = (
    ("early", "Most confident at the first exit"),
    ("late", "Correct at the latest exit in use"),
    ("wrong", "Most confident errors"),
)
"""Kind of example images and heading, for each group; see `edanas.evaluation.examples.choose`."""

_TYPES = ("image/png", "image/jpeg")


class Pictures:
    """Example images of a run, up to a total size.

    Args:
        folder: The run folder.
        room: Maximum size of all images together, in bytes; default `PICTURES`.
    """

    def __init__(self, folder: Path, room: int = PICTURES) -> None:
        self.folder, self.room = folder, room

    def inline(self, name: str) -> str | None:
        """Return an image as a `data:` URL, and subtract its size from `room`.

        Args:
            name: Path of the image, relative to the run folder.

        Returns:
            The URL, or `None` if the file is missing, is not a PNG or JPEG, lies outside the run folder, or
            is larger than `room`.
        """
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


def network(row: ResultRow, singles: Sequence[ResultRow], classes: Sequence[str], pictures: Pictures) -> str:
    """Return the `<article>` element of one early-exit network.

    Args:
        row: The network.
        singles: The single-exit networks of the run.
        classes: Names of the classes, in order; empty = not known.
        pictures: The example images of the run.
    """
    heading = f"{exits_text(row.exits)}: {percent(row.test_accuracy)}% at {mega(row.executed_macs)}M"
    backbone = f"Backbone: {backbone_text(row.backbone)}." if row.backbone else ""
    known = row.alone_test_accuracy
    alone = "" if known is None else f", and trained alone in the same way {percent(known)}%"
    cost = (
        f"{percent(row.relative_cost, 0)}% of the backbone's {mega(row.backbone_macs)}M; "
        f"the backbone without early exits reaches {percent(row.backbone_test_accuracy)}%{alone}. "
        f"{comparison_text(row, singles)} {disagreement_text(row)} "
        f"{failure_prediction_text(row)}"
    )
    bytes_text = memory_text(row)
    memory = f'<p class="note">On a microcontroller in int8: {text(bytes_text)}.</p>' if bytes_text else ""
    return (
        f'<article id="net-{text(row.id)}" tabindex="-1"><h3>{text(heading)}</h3>'
        f'<p class="note">{text(cost)} {text(backbone)}</p>{memory}'
        f'<div class="wide" role="region" aria-label="The network as a drawing" tabindex="0">'
        f"{drawing(row)}</div>{_by_exit(row)}{_examples(row, classes, pictures)}</article>"
    )


def disagreement_text(row: ResultRow) -> str:
    """Return sentences on the disagreement of a network's exits; empty if it is not known."""
    if not row.disagreement:
        return ""
    figures = [row.disagreement.get(key) for key in ("correct", "wrong")]
    right, wrong = (NONE if figure is None else f"{figure:.2f}" for figure in figures)
    return (
        "Disagreement of the exits, with mean 0 and deviation 1 on training samples: "
        f"{right} on samples that the last exit classifies correctly, {wrong} on the other samples. An early "
        f"exit is correct and the last exit wrong on {percent(row.disagreement.get('overthinking'))}% of the "
        "samples."
    )


def failure_prediction_text(row: ResultRow) -> str:
    """Return a sentence on a network's confidences as reasons to stop; empty if it is not known."""
    if row.failure_prediction is None:
        return ""
    return (
        f"Failure prediction (EEFP): {row.failure_prediction:.2f}; 1 = confidences separate the samples for "
        "which an early exit is right, or all later exits are wrong, from the other samples; 0.5 = "
        "not at all."
    )


def _by_exit(row: ResultRow) -> str:
    """Return the table of a network's exits."""
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
    head = (
        "exit",
        "threshold",
        "samples that exit here, %",
        "accuracy on them, %",
        "MACs up to this exit, M",
    )
    return table(f"Accuracy and utilization by exit, {exits_text(row.exits)}", head, rows, "exits")


def _meter(share: float, kind: str) -> str:
    """Return a fraction in percent, with a bar of proportional length."""
    filled = f'<span class="{kind}" style="width:{100 * share:.2f}%"></span>'
    return f'{percent(share)}<span class="meter" aria-hidden="true">{filled}</span>'


def _examples(row: ResultRow, classes: Sequence[str], pictures: Pictures) -> str:
    """Return the example images of a network in groups; empty if there are none."""
    groups = []
    for kind, heading in GROUPS:
        examples = [example for example in row.examples if example.get("kind") == kind]
        figures = "".join(filter(None, (_figure(each, row, classes, pictures) for each in examples)))
        if figures:
            groups.append(f'<div><h4>{heading}</h4><div class="shown">{figures}</div></div>')
    return f'<div class="examples">{"".join(groups)}</div>' if groups else ""


def _figure(
    example: Mapping[str, Any], row: ResultRow, classes: Sequence[str], pictures: Pictures
) -> str | None:
    """Return an example image with its caption; `None` if the image cannot be shown."""
    address = pictures.inline(str(example.get("file")))
    if address is None:
        return None
    label, predicted = _class(classes, example["label"]), _class(classes, example["predicted"])
    # Older files have `exit`, the same number from 0.
    number = int(example["exit_number"]) if "exit_number" in example else int(example["exit"]) + 1
    exit_name = "last exit" if number > len(row.thresholds) else f"exit {number}"
    error = label != predicted
    alternative = (
        f"{isolated(label)}{f', classified as {isolated(predicted)}' if error else ''}; exits at {exit_name}"
    )
    caption = (
        f"{named(label)}{f' classified as {named(predicted)}' if error else ''}<br>"
        f"{exit_name} at {float(example['confidence']):.2f}"
    )
    return f'<figure><img src="{address}" alt="{alternative}"><figcaption>{caption}</figcaption></figure>'


def _class(classes: Sequence[str], label: Any) -> str:
    """Return the name of a class by its number."""
    number = int(label)
    return str(classes[number]) if 0 <= number < len(classes) else f"class {number}"
