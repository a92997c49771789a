"""The accuracy of a finished network on a part of the data, which counts whole series."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.contracts.exit_network import Prediction
from edanas.core.types import ExitProfile, ImageSet, Metrics
from edanas.evaluation.class_figures import class_figures
from edanas.evaluation.scoring import score
from edanas.model.anatomy import Anatomy
from edanas.model.profiling import collect_answers
from edanas.model.series_windows import merged
from edanas.thresholds.profiles import exit_columns

Labels = npt.NDArray[np.int64]


class Judgement(NamedTuple):
    """Metrics of a network on R samples, where the windows of a series are one sample.

    Args:
        metrics: The metrics. Utilization, costs and the accuracy of each exit count windows, as a device
            runs them; all other accuracies count series.
        labels: Label (R,) of each sample.
        predictions: Predicted class (R,) of each sample; those of windows are merged as in `predict`.
        profile: The exit profile of all windows.
    """

    metrics: Metrics
    labels: Labels
    predictions: Labels
    profile: ExitProfile


def judge(network: ExitNetwork, samples: ImageSet, anatomy: Anatomy) -> Judgement:
    """Return the metrics of a network with its own thresholds.

    Args:
        network: The network.
        samples: The part of the data.
        anatomy: The costs of the network's stages and heads.

    Raises:
        CandidateError: The confidence of an exit is not a number.
    """
    profile, answers = collect_answers(network, samples)
    columns = exit_columns(profile, network.scheme)
    labels = samples.labels.numpy()
    metrics = score(profile, network.scheme, anatomy, labels)
    if samples.window_of is None:
        return Judgement(metrics, labels, answers[np.arange(len(answers)), columns], profile)
    predictions = _merged(columns, profile, answers, samples.window_of)
    last = _merged(np.full_like(columns, len(profile.points)), profile, answers, samples.window_of)
    labels = labels[np.unique(samples.window_of, return_index=True)[1]]
    metrics = replace(
        metrics,
        accuracy=float((predictions == labels).mean()),
        backbone_accuracy=float((last == labels).mean()),
        balanced_accuracy=class_figures(labels, predictions, len(samples.classes))["balanced_accuracy"],
    )
    return Judgement(metrics, labels, predictions, profile)


def _merged(columns: Labels, profile: ExitProfile, answers: Labels, window_of: Labels) -> Labels:
    """Return the class of each series, by rising number, from the answers of its windows at `columns`."""
    series, rows = np.unique(window_of, return_inverse=True)
    windows = np.arange(len(columns))
    values = answers[windows, columns], columns, profile.confidence[windows, columns]
    prediction = Prediction(*(torch.from_numpy(np.ascontiguousarray(each)) for each in values))
    label: Labels = merged(prediction, torch.from_numpy(rows.reshape(-1)), len(series)).label.numpy()
    return label
