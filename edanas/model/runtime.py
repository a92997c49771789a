"""Classifying a batch: segment by segment, where each sample leaves at its own exit.

A segment is what runs between two placed exits, with the exit's head. After it, the host waits for the device
once, to learn who stays; a batch of one asks a single comparison, and keeps no state at all.
"""

import itertools
from collections.abc import Sequence
from typing import Protocol

import torch

from edanas.core.contracts import Prediction, Segment
from edanas.core.contracts.exit_network import Memory


class Compaction(Protocol):
    """Decides how a batch is carried; it changes what is computed, never what comes out."""

    def chunk(self, segment: int, count: int) -> int:
        """In how large pieces `count` samples go through the segment of this number, from 0."""

    def pays(self, segment: int, carried: int, staying: int) -> bool:
        """Whether, behind this segment, to move those who stay together rather than carry all on."""


class Fixed:
    """Always compacts, or never; batches go through in one piece."""

    def __init__(self, *, compact: bool) -> None:
        self.compact = compact

    def chunk(self, segment: int, count: int) -> int:
        """See `Compaction.chunk`."""
        return count

    def pays(self, segment: int, carried: int, staying: int) -> bool:
        """See `Compaction.pays`."""
        return self.compact


ALWAYS, NEVER = Fixed(compact=True), Fixed(compact=False)


def classify(segments: Sequence[Segment], images: torch.Tensor, rule: Compaction) -> Prediction:
    """Let each of B >= 1 images leave at the first exit that is sure enough.

    Args:
        segments: The network's, the last exit's last.
        images: What the first segment takes.
        rule: How the batch is carried.
    """
    if len(images) == 1:
        return _classify_one(segments, images)
    state = _BatchState(len(images), images.device)
    features = images
    memory: Memory = ()
    for number, segment in enumerate(segments):
        pieces, logits = _run_in_pieces(segment, features, rule.chunk(number, len(features)))
        answer, sure, memory = segment.decide(logits, memory)
        state.record(segment.exit, answer, sure)
        if segment.threshold is None:
            break
        staying = state.staying(sure, segment.threshold)
        if not len(staying):
            break
        carried = len(features)
        if len(staying) < carried and rule.pays(number, carried, len(staying)):
            features = _concatenate(_select_from_pieces(pieces, staying))
            memory = tuple(each.index_select(0, staying) for each in memory)
            state.carry_only(staying)
        else:
            features = _concatenate(pieces)
    return state.prediction()


def _classify_one(segments: Sequence[Segment], features: torch.Tensor) -> Prediction:
    memory: Memory = ()
    for segment in segments:
        features, logits = segment.run(features)
        answer, sure, memory = segment.decide(logits, memory)
        if segment.threshold is None or bool(sure >= segment.threshold):
            break
    left_at = torch.full((1,), segment.exit, dtype=torch.int64, device=answer.device)
    return Prediction(answer.argmax(dim=1), left_at, sure.to(torch.float32))


def _run_in_pieces(
    segment: Segment, features: torch.Tensor, chunk: int
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The features in pieces of at most `chunk` samples, and all logits."""
    if chunk >= len(features):
        features, logits = segment.run(features)
        return [features], logits
    pieces, answers = zip(*(segment.run(piece) for piece in torch.split(features, chunk)), strict=True)
    return list(pieces), torch.cat(answers)


def select_rows(features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Some samples of (B, ...); unlike torch's `index_select`, channels that are last in memory stay last."""
    if features.dim() != 4 or not features.is_contiguous(memory_format=torch.channels_last):
        return features.index_select(0, rows)
    pixels = features.permute(0, 2, 3, 1)  # so that a sample lies in one piece
    found = pixels.flatten(1).index_select(0, rows)
    return found.view(len(rows), *pixels.shape[1:]).permute(0, 3, 1, 2)


def _select_from_pieces(pieces: Sequence[torch.Tensor], rows: torch.Tensor) -> list[torch.Tensor]:
    """Of features in pieces those of the rows, ascending; what leaves is not moved once more to be left."""
    if len(pieces) == 1 or rows.device.type != "cpu":  # elsewhere, to look at rows is to wait for the device
        return [select_rows(_concatenate(pieces), rows)]
    ends = list(itertools.accumulate(map(len, pieces)))
    borders = torch.searchsorted(rows, torch.tensor(ends, device=rows.device)).tolist()
    begins = zip(pieces, [0, *ends], itertools.pairwise([0, *borders]), strict=False)
    return [select_rows(piece, rows[low:high] - begin) for piece, begin, (low, high) in begins]


def _concatenate(pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces))


class _BatchState:
    """Who is where: rows of the features that are carried, and what is known of each sample.

    Nobody who leaves is picked out, for that would be one more wait for the device: everybody undecided is
    written down at every exit, and a later exit overwrites those who stayed.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.count, self.device = count, device
        self.samples: torch.Tensor | None = None  # of each row; None: row i is sample i
        self.undecided: torch.Tensor | None = None  # by row; None: all of them
        self.label = self.exit = self.confidence = torch.empty(0)

    def record(self, exit_: int, answer: torch.Tensor, sure: torch.Tensor) -> None:
        """Write down what is answered here for all rows that are undecided."""
        label, sure = answer.argmax(dim=1), sure.to(torch.float32)
        left_at = torch.full_like(label, exit_)
        if not len(self.label):
            self.label, self.exit, self.confidence = label, left_at, sure
            return
        for known, new in ((self.label, label), (self.exit, left_at), (self.confidence, sure)):
            before = known if self.samples is None else known.index_select(0, self.samples)
            value = new if self.undecided is None else torch.where(self.undecided, new, before)
            if self.samples is None:
                known.copy_(value)
            else:
                known.index_copy_(0, self.samples, value)

    def staying(self, sure: torch.Tensor, threshold: float) -> torch.Tensor:
        """The rows that go on, ascending: the one wait for the device. A confidence of NaN goes on."""
        undecided = ~(sure >= threshold)
        self.undecided = undecided if self.undecided is None else undecided & self.undecided
        return self.undecided.nonzero().squeeze(1)

    def carry_only(self, rows: torch.Tensor) -> None:
        """From now on only these rows are carried, all of them undecided."""
        self.samples = rows if self.samples is None else self.samples.index_select(0, rows)
        self.undecided = None

    def prediction(self) -> Prediction:
        """What is written down."""
        return Prediction(self.label, self.exit, self.confidence)


def empty_prediction(device: torch.device) -> Prediction:
    """The prediction on no image."""
    label = torch.zeros(0, dtype=torch.int64, device=device)
    return Prediction(label, label.clone(), torch.zeros(0, device=device))


def join_predictions(found: Sequence[Prediction]) -> Prediction:
    """One prediction on the CPU of several batches', in order."""
    if not found:
        return empty_prediction(torch.device("cpu"))
    return Prediction(*(torch.cat(each).cpu() for each in zip(*found, strict=True)))
