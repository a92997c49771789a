import torch

from edanas import hookimpl
from edanas.core.contracts import ConfidenceCriterion


class Agreement(ConfidenceCriterion):
    """How likely two draws from the class probabilities agree."""

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        bounded = torch.nan_to_num(logits / self.temperature)
        return torch.softmax(bounded, dim=1).square().sum(dim=1).clamp(max=1.0)


@hookimpl
def edanas_confidence_criteria():
    return {"agreement": Agreement}
