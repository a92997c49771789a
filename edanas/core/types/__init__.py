"""Value classes that all packages exchange: frozen, and hashable if they serve as keys."""

from edanas.core.types.candidates import (
    CONTINUOUS,
    Backbone,
    Candidate,
    Choice,
    SelectionScheme,
    Thresholds,
    Variable,
)
from edanas.core.types.evaluations import Evaluation, ExitProfile, Metrics, Outcome
from edanas.core.types.samples import LABELS, DataParts, ImageSet, LoadedData, Survey, Task, described_labels
from edanas.core.types.segments import ExitPoint, SegmentCost, SegmentFigures

__all__ = [
    "CONTINUOUS",
    "Choice",
    "Thresholds",
    "Variable",
    "Backbone",
    "SelectionScheme",
    "Candidate",
    "ExitPoint",
    "SegmentCost",
    "SegmentFigures",
    "ExitProfile",
    "Outcome",
    "Metrics",
    "Evaluation",
    "Task",
    "LABELS",
    "ImageSet",
    "described_labels",
    "LoadedData",
    "Survey",
    "DataParts",
]
