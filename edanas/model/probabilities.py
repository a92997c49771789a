"""Class probabilities of a finished network at the exit where each sample exits."""

from collections.abc import Iterable
from typing import Any

import numpy.typing as npt
import torch

from edanas.model.eenn import EENN
from edanas.model.inputs import InputForm, batches
from edanas.model.series_windows import cut_windows, mean_by_row, window_length


@torch.inference_mode()
def exit_probabilities(
    network: EENN,
    images: torch.Tensor | npt.NDArray[Any] | Iterable[torch.Tensor | npt.NDArray[Any]],
    *,
    batch_size: int = 256,
) -> torch.Tensor:
    """Return the probability of each class at the exit where each sample exits, (B, K) float64 on the CPU.

    For a series that is longer than those of the network's run, it is the mean over windows.
    All exits run for all samples, so that it takes longer than `EENN.predict`.

    Args:
        network: A network in eval mode.
        images: See `EENN.predict`.
        batch_size: Largest number of samples computed at once.

    Raises:
        DataError: An item of `images` is not an image or series, or not a batch of these.
        EdanasError: The network is in training mode.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> probabilities = exit_probabilities(toy_network(), torch.zeros(5, 1, 12, 12))
        >>> probabilities.shape, float(probabilities.sum().round())
        (torch.Size([5, 4]), 5.0)
    """
    network.predict([], batch_size=batch_size)  # checks the mode and the size
    parts = []
    for batch in batches(images, InputForm.of(network), batch_size):
        windows, rows = cut_windows(batch, window_length(network))
        parts.append(mean_by_row(_of_batch(network, windows), rows, len(batch)))
    return torch.cat(parts) if parts else torch.zeros(0, len(network.classes), dtype=torch.float64)


def _of_batch(network: EENN, batch: torch.Tensor) -> torch.Tensor:
    placed = network.scheme.placed
    columns = [*(network.answering.index(point) for point in placed), -1]
    answers, confidences = network.decide(network.answering_logits(batch))
    # The last exit has no threshold.
    thresholds = torch.tensor([network.scheme.thresholds[point] for point in placed], dtype=torch.float64)
    fires = torch.ones(len(batch), len(columns), dtype=torch.bool)
    for number, column in enumerate(columns[:-1]):
        fires[:, number] = confidences[column].cpu() >= thresholds[number]
    exits = fires.int().argmax(1)
    scores = torch.stack([answers[column].cpu().double() for column in columns], dim=1)
    return scores[torch.arange(len(batch)), exits].softmax(1)
