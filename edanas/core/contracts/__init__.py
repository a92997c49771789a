"""Contracts: one small base class for each kind of extension, with the types of its arguments.

Symbols in shapes: B samples of a batch, C channels, H x W pixels, K classes, N exit points, M = N + 1 stages.
An implementation may raise any `EdanasError`. Any other exception is reported as a fault of the plugin that
registers the implementation.
"""

from edanas.core.contracts.deciding import (
    ConfidenceCriterion,
    ExitReader,
    Formula,
    InferenceRule,
    SequenceCriterion,
)
from edanas.core.contracts.exit_network import ExitNetwork, ExitPart, LabelledPrediction, Prediction, Segment
from edanas.core.contracts.exporting import Exporter, Runner
from edanas.core.contracts.goals import Constraint, Meter, Objective, Specimen
from edanas.core.contracts.lifecycle import Bundle, IterationSummary, Logger
from edanas.core.contracts.networks import (
    ElasticHead,
    ExitClassifier,
    Supernet,
    SupernetProvider,
)
from edanas.core.contracts.running import DataSource, Evaluator, Executor
from edanas.core.contracts.search import ExitInsight, SearchProblem, SearchStrategy, SurrogateModel
from edanas.core.contracts.staged_backbone import StagedBackbone
from edanas.core.contracts.thresholds import Answers, Calibration, Rescaling, ThresholdChoice, ThresholdSetter
from edanas.core.contracts.training import ExitBatch, Phase, TrainingScheme
from edanas.core.notes import SurrogateNote

__all__ = [
    "StagedBackbone",
    "Supernet",
    "SupernetProvider",
    "ExitClassifier",
    "ElasticHead",
    "ExitReader",
    "Formula",
    "ConfidenceCriterion",
    "SequenceCriterion",
    "InferenceRule",
    "ExitNetwork",
    "LabelledPrediction",
    "Prediction",
    "Segment",
    "ExitPart",
    "TrainingScheme",
    "Answers",
    "Calibration",
    "Rescaling",
    "ThresholdChoice",
    "ThresholdSetter",
    "Phase",
    "ExitBatch",
    "SurrogateModel",
    "ExitInsight",
    "Objective",
    "Meter",
    "Specimen",
    "Constraint",
    "SearchProblem",
    "SearchStrategy",
    "SurrogateNote",
    "DataSource",
    "Executor",
    "Evaluator",
    "Exporter",
    "Runner",
    "Logger",
    "Bundle",
    "IterationSummary",
]
