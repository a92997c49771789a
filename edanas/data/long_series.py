"""Windows of series that are longer than networks read, before a run."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.data.class_labels import ClassLabels
from edanas.data.sample_set import Samples, SampleSet, UnequalSamples

LONGEST = 16_000
"""Largest length of series; longer series are cut into windows."""


@dataclass(frozen=True)
class _Lengths:
    """Windows (row, first value) of all series, and the number of series that were cut."""

    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    cut: int


def cut_long(samples: SampleSet, longest: int = LONGEST) -> SampleSet:
    """Return series whose longest have at most `longest` values: longer series are cut into windows.

    Windows follow each other without gaps, and the last one ends with the series. Each window is a sample of
    its own. The windows of a series are a group, so that a split keeps them in one part.

    Args:
        samples: Series (C, L_i) or (L_i,).
        longest: Length of a window.

    Example:
        >>> series = SampleSet.of(UnequalSamples.of([np.zeros((1, 5)), np.zeros((1, 2))]), ["a", "b"])
        >>> short = cut_long(series, longest=3)
        >>> [short.samples[row].shape for row in range(len(short))], short.groups
        ([(1, 3), (1, 3), (1, 2)], ('series 1', 'series 1', 'series 2'))
    """
    shape = samples.samples.shape
    if shape is not None and (not shape or shape[-1] <= longest):
        return samples
    windows = _windows(samples.samples, longest)
    if not windows.cut:
        return samples
    rows, number = windows.rows.tolist(), len(samples)
    values = [
        samples.samples[row][..., start : start + longest]
        for row, start in zip(rows, windows.starts.tolist(), strict=True)
    ]
    groups = samples.groups or tuple(f"series {row + 1}" for row in range(number))
    verb = "is" if windows.cut == 1 else "are"
    sentence = (
        f"{windows.cut:,} of {number:,} series {verb} longer than {longest:,} and {verb} cut into windows of "
        f"{longest:,}, {len(rows):,} in total with the others; the windows of a series are in one part. "
        "The search compares answers of windows; the accuracies of finished networks count series, whose "
        "windows' answers are merged as by `predict`."
    )
    return replace(
        samples,
        samples=UnequalSamples.of(values),
        labels=_labels_at(samples.labels, windows.rows),
        parts=samples.parts[windows.rows],
        groups=tuple(groups[row] for row in rows),
        names=tuple(samples.names[row] for row in rows) if samples.names else (),
        remarks=(*samples.remarks, sentence),
        window_of=windows.rows,
    )


def _windows(samples: Samples, longest: int) -> _Lengths:
    rows, starts, cut = [], [], 0
    for row in range(len(samples)):
        length = _valid_length(samples[row])
        begins = [*range(0, max(1, length - longest + 1), longest)]
        if length > longest and begins[-1] + longest < length:
            begins.append(length - longest)
        cut += length > longest
        rows += [row] * len(begins)
        starts += begins
    return _Lengths(np.array(rows), np.array(starts), cut)


def _valid_length(series: npt.NDArray[Any]) -> int:
    """Return the length of a series without the NaN at its end in all channels."""
    if series.dtype.kind != "f" or not series.ndim:
        return int(series.shape[-1]) if series.ndim else 0
    is_valid = ~np.isnan(series.reshape(-1, series.shape[-1])).all(0)
    return int(is_valid.nonzero()[0].max(initial=-1)) + 1


def _labels_at(labels: ClassLabels, rows: npt.NDArray[np.int64]) -> ClassLabels:
    return replace(labels, codes=labels.codes[rows])
