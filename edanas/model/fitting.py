"""Fitting of inference rule and confidence criterion after the training of a network."""

import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.types import ImageSet
from edanas.model.profiling import eval_mode


def fit(network: ExitNetwork, data: ImageSet, batch_size: int = 256) -> None:
    """Fit the inference rule on logits, then the criterion on the rule's answers, as far as they learn.

    Args:
        network: Its rule and criterion are changed in place; with a memory, for the placed exits.
        data: Samples that the network was not trained on.
        batch_size: Samples in a step.
    """
    rule, criterion = network.inference, network.criterion
    if not len(data) or not (rule.fits or criterion.fits):
        return
    points = (*network.answering, network.exit_points)
    with eval_mode(network), torch.no_grad():
        batches = [
            network.answering_logits(data.images[at : at + batch_size])
            for at in range(0, len(data), batch_size)
        ]
        logits = [torch.cat(each) for each in zip(*batches, strict=True)]
        labels = data.labels.to(logits[0].device)
        rule.fit(logits, labels, points)
        criterion.fit(network.decide(logits)[0], labels, points)
