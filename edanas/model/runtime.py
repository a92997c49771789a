"""Classification of a batch, segment by segment; each sample exits at the first confident exit.

A segment consists of the stages between two placed exits and the head behind them. After each segment the CPU
waits for the device once, to read which samples have not exited. The samples that stay are undecided; the
rows of the feature tensor that run through the next segment are the carried rows. Compaction selects the
undecided rows, so that the next segment runs on them alone. A batch of one image needs no state of this kind.
"""

import itertools
from collections.abc import Sequence
from typing import Protocol

import torch

from edanas.core.contracts import Prediction, Segment
from edanas.core.contracts.exit_network import Memory


class Compaction(Protocol):
    """A strategy for moving the samples of a batch; it changes speed and rounding, not the predictions."""

    def chunk(self, segment: int, count: int) -> int:
        """Return the number of samples that run through a segment at once.

        Args:
            segment: Index of the segment, from 0.
            count: Number of samples that run through the segment in total.
        """

    def pays(self, segment: int, carried: int, staying: int) -> bool:
        """Return true if the samples that stay should be moved together behind a segment.

        Args:
            segment: Index of the segment, from 0.
            carried: Number of samples that ran through the segment.
            staying: Number of samples among them that stay, 1 or more.
        """


class Fixed:
    """A strategy that compacts always or never, and runs batches in one piece.

    Args:
        compact: True to compact after every segment, false to compact never.
    """

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
    """Classify one image or more; each exits at the first exit whose confidence reaches its threshold.

    Args:
        segments: Segments of the network, in the order in which they run.
        images: (B, C, H, W) batch, the input of the first segment.
        rule: Strategy that decides when samples are moved together.
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
    """Classify a batch of one image; see `classify`."""
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
    """Run a segment on at most `chunk` samples at once.

    Returns:
        The features behind the segment as a list of pieces, and the logits of all samples in one tensor.
    """
    if chunk >= len(features):
        features, logits = segment.run(features)
        return [features], logits
    pieces, answers = zip(*(segment.run(piece) for piece in torch.split(features, chunk)), strict=True)
    return list(pieces), torch.cat(answers)


def select_rows(features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the samples of `features` (B, ...) with the indices `rows`.

    Features with channels last in memory keep that layout, which `index_select` would lose.
    """
    if features.dim() != 4 or not features.is_contiguous(memory_format=torch.channels_last):
        return features.index_select(0, rows)
    pixels = features.permute(0, 2, 3, 1)  # each sample is now one block of memory
    selected = pixels.flatten(1).index_select(0, rows)
    return selected.view(len(rows), *pixels.shape[1:]).permute(0, 3, 1, 2)


def _select_from_pieces(pieces: Sequence[torch.Tensor], rows: torch.Tensor) -> list[torch.Tensor]:
    """Return the samples with the indices `rows`, ascending, as a list of pieces.

    Only the selected samples are copied.

    Args:
        pieces: Features of all samples as a list of pieces.
        rows: (n,) indices into the samples of all pieces.
    """
    if len(pieces) == 1 or rows.device.type != "cpu":  # reading rows would wait for another device
        return [select_rows(_concatenate(pieces), rows)]
    ends = list(itertools.accumulate(map(len, pieces)))
    borders = torch.searchsorted(rows, torch.tensor(ends, device=rows.device)).tolist()
    begins = zip(pieces, [0, *ends], itertools.pairwise([0, *borders]), strict=False)
    return [select_rows(piece, rows[low:high] - begin) for piece, begin, (low, high) in begins]


def _concatenate(pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the pieces as one tensor; a single piece is not copied."""
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces))


class _BatchState:
    """The state of each sample of a batch: its row in the carried features, and its latest prediction.

    At every exit the predictions of all undecided samples are recorded, and a later exit overwrites them.
    Recording only the samples that exit would make the CPU wait for the device once more.

    Args:
        count: Number of samples in the batch.
        device: Device of the batch.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.count, self.device = count, device
        self.samples: torch.Tensor | None = None
        """Index of the sample in each carried row; `None` if row i is sample i."""
        self.undecided: torch.Tensor | None = None
        """Bool for each carried row, true if the sample has not exited; `None` if all are true."""
        self.label = self.exit = self.confidence = torch.empty(0)

    def record(self, exit_: int, answer: torch.Tensor, confidence: torch.Tensor) -> None:
        """Record the prediction at an exit for all undecided rows.

        Args:
            exit_: Index of the exit point, or N for the last exit.
            answer: (rows, K) output of the inference rule for the carried rows.
            confidence: (rows,) confidence of the answers.
        """
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
        """Return the indices of the carried rows that stay, ascending; this waits for the device.

        A sample with a confidence of NaN stays.
        """
        undecided = ~(confidence >= threshold)
        self.undecided = undecided if self.undecided is None else undecided & self.undecided
        return self.undecided.nonzero().squeeze(1)

    def carry_only(self, rows: torch.Tensor) -> None:
        """Drop all carried rows except `rows`, which are the undecided rows."""
        self.samples = rows if self.samples is None else self.samples.index_select(0, rows)
        self.undecided = None

    def prediction(self) -> Prediction:
        """Return the recorded prediction."""
        return Prediction(self.label, self.exit, self.confidence)


def empty_prediction(device: torch.device) -> Prediction:
    """Return a prediction for zero images."""
    label = torch.zeros(0, dtype=torch.int64, device=device)
    return Prediction(label, label.clone(), torch.zeros(0, device=device))


def join_predictions(predictions: Sequence[Prediction]) -> Prediction:
    """Return the predictions of several batches as one prediction on the CPU, in the same order."""
    if not predictions:
        return empty_prediction(torch.device("cpu"))
    return Prediction(*(torch.cat(each).cpu() for each in zip(*predictions, strict=True)))
