"""Fitting of the inference rule and the confidence criterion after the training of a network."""

import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.types import ImageSet
from edanas.model.profiling import eval_mode
from edanas.training.precision import FP32, compute_precision


def fit(network: ExitNetwork, data: ImageSet, batch_size: int = 256) -> None:
    """Fit the inference rule to the logits of the exits, then the criterion to the answers of the rule.

    A rule or criterion that cannot be fitted does not change.

    Args:
        network: Network whose rule and criterion are fitted in place. If one of them depends on earlier
            exits, it is fitted for the placed exits only.
        data: Labelled samples on which the network was not trained.
        batch_size: Number of samples that the network computes at once.
    """
    rule, criterion = network.inference, network.criterion
    if not len(data) or not (rule.fits or criterion.fits):
        return
    points = (*network.answering, network.last_point)
    with eval_mode(network), torch.no_grad(), compute_precision(FP32, network.device):
        batches = [
            network.answering_logits(data.images[at : at + batch_size])
            for at in range(0, len(data), batch_size)
        ]
        logits = [torch.cat(each) for each in zip(*batches, strict=True)]
        labels = data.labels.to(logits[0].device)
        rule.fit(rule.corrected_for_training(logits, points), labels, points)
        criterion.fit(network.decide(logits)[0], labels, points)
