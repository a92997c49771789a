"""Classification of a batch, segment by segment; each sample exits at its own exit.

A segment is the stages between two placed exits, with the head behind them. After it, the host waits for the
device once, to read which samples stay. A batch of one needs a single comparison and no further state.
"""

import itertools
from collections.abc import Sequence
from typing import Protocol

import torch

from edanas.core.contracts import Prediction, Segment
from edanas.core.contracts.exit_network import Memory


class Compaction(Protocol):
    """Strategy for the samples of a batch; it changes speed and rounding, not the results."""

    def chunk(self, segment: int, count: int) -> int:
        """Return the size of the pieces in which `count` samples run through segment `segment`, from 0."""

    def pays(self, segment: int, carried: int, staying: int) -> bool:
        """Return whether to move the `staying` of `carried` samples together behind this segment."""


class Fixed:
    """Compaction always or never; batches run in one piece."""

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
    """Classify B >= 1 images; each exits at the first exit whose confidence reaches its threshold.

    Args:
        segments: Segments of the network, the last exit's last.
        images: Input of the first segment.
        rule: The compaction of the batch.
    """
    if len(images) == 1:
        return _classify_one(segments, images)
    state = _BatchState(len(images), images.device)
    features = images
    memory: Memory = ()
    for number, segment in enumerate(segments):
        pieces, logits = _run_in_pieces(segment, features, rule.chunk(number, len(features)))
        answer, confidence, memory = segment.decide(logits, memory)
        state.record(segment.exit, answer, confidence)
        if segment.threshold is None:
            break
        staying = state.staying(confidence, segment.threshold)
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
        answer, confidence, memory = segment.decide(logits, memory)
        if segment.threshold is None or bool(confidence >= segment.threshold):
            break
    exit_ = torch.full((1,), segment.exit, dtype=torch.int64, device=answer.device)
    return Prediction(answer.argmax(dim=1), exit_, confidence.to(torch.float32))


def _run_in_pieces(
    segment: Segment, features: torch.Tensor, chunk: int
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the features in pieces of at most `chunk` samples, and all logits."""
    if chunk >= len(features):
        features, logits = segment.run(features)
        return [features], logits
    pieces, answers = zip(*(segment.run(piece) for piece in torch.split(features, chunk)), strict=True)
    return list(pieces), torch.cat(answers)


def select_rows(features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return some samples of (B, ...), channels last in memory if they were; `index_select` loses that."""
    if features.dim() != 4 or not features.is_contiguous(memory_format=torch.channels_last):
        return features.index_select(0, rows)
    pixels = features.permute(0, 2, 3, 1)  # so that a sample lies in one piece
    selected = pixels.flatten(1).index_select(0, rows)
    return selected.view(len(rows), *pixels.shape[1:]).permute(0, 3, 1, 2)


def _select_from_pieces(pieces: Sequence[torch.Tensor], rows: torch.Tensor) -> list[torch.Tensor]:
    """Return the given rows, ascending, of features in pieces, without moving the other rows."""
    if len(pieces) == 1 or rows.device.type != "cpu":  # reading rows would wait for another device
        return [select_rows(_concatenate(pieces), rows)]
    ends = list(itertools.accumulate(map(len, pieces)))
    borders = torch.searchsorted(rows, torch.tensor(ends, device=rows.device)).tolist()
    begins = zip(pieces, [0, *ends], itertools.pairwise([0, *borders]), strict=False)
    return [select_rows(piece, rows[low:high] - begin) for piece, begin, (low, high) in begins]


def _concatenate(pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces))


class _BatchState:
    """The state of each sample: its row in the carried features, and its latest prediction.

    Samples that exit are not selected, because that would be one more wait for the device. Instead every
    undecided sample is recorded at every exit, and a later exit overwrites it.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.count, self.device = count, device
        self.samples: torch.Tensor | None = None  # sample of each row; None: row i is sample i
        self.undecided: torch.Tensor | None = None  # by row; None: all
        self.label = self.exit = self.confidence = torch.empty(0)

    def record(self, exit_: int, answer: torch.Tensor, confidence: torch.Tensor) -> None:
        """Record the prediction of this exit for all undecided rows."""
        label, confidence = answer.argmax(dim=1), confidence.to(torch.float32)
        exits = torch.full_like(label, exit_)
        if not len(self.label):
            self.label, self.exit, self.confidence = label, exits, confidence
            return
        for recorded, new in ((self.label, label), (self.exit, exits), (self.confidence, confidence)):
            before = recorded if self.samples is None else recorded.index_select(0, self.samples)
            value = new if self.undecided is None else torch.where(self.undecided, new, before)
            if self.samples is None:
                recorded.copy_(value)
            else:
                recorded.index_copy_(0, self.samples, value)

    def staying(self, confidence: torch.Tensor, threshold: float) -> torch.Tensor:
        """Return the rows that stay, ascending; this waits for the device. A confidence of NaN stays."""
        undecided = ~(confidence >= threshold)
        self.undecided = undecided if self.undecided is None else undecided & self.undecided
        return self.undecided.nonzero().squeeze(1)

    def carry_only(self, rows: torch.Tensor) -> None:
        """Carry only these rows from now on, all of them undecided."""
        self.samples = rows if self.samples is None else self.samples.index_select(0, rows)
        self.undecided = None

    def prediction(self) -> Prediction:
        """Return the recorded prediction."""
        return Prediction(self.label, self.exit, self.confidence)


def empty_prediction(device: torch.device) -> Prediction:
    """Return the prediction for no images."""
    label = torch.zeros(0, dtype=torch.int64, device=device)
    return Prediction(label, label.clone(), torch.zeros(0, device=device))


def join_predictions(predictions: Sequence[Prediction]) -> Prediction:
    """Join the predictions of several batches, in order, on the CPU."""
    if not predictions:
        return empty_prediction(torch.device("cpu"))
    return Prediction(*(torch.cat(each).cpu() for each in zip(*predictions, strict=True)))
