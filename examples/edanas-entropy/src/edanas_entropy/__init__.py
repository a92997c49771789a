"""An edanas plugin: how sure an exit is, by the entropy of its class probabilities at some temperature."""

import math
from collections.abc import Callable
from typing import Any

import torch
from edanas import hookimpl
from edanas.core.contracts import Bundle, ConfidenceCriterion
from edanas.core.errors import ConfigError

EDANAS_SPEC_VERSION = 1


class Entropy(ConfidenceCriterion):
    """1 - H / ln K: BranchyNet's criterion, scaled to [0, 1]; 1 for one class.

    BranchyNet (Teerapittayanon et al., 2016) leaves at an exit whose entropy H is below a threshold. Here
    larger means surer, so a threshold t stands for the entropy (1 - t) ln K.

    Args:
        temperature: What logits are divided by first; above 0, larger = less sure.

    Raises:
        ConfigError: The temperature is not above 0.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if temperature <= 0:
            raise ConfigError(f"criterion.temperature: {temperature}: expected a number > 0")
        self.temperature = temperature

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) -> confidence (B,)."""
        classes = logits.shape[1]
        if classes == 1:
            return torch.ones_like(logits[:, 0])
        # Infinities count as the largest finite numbers; NaN stays, so that a broken network shows.
        bounded = torch.nan_to_num(logits.float() / self.temperature, nan=math.nan)
        probabilities = torch.softmax(bounded, dim=1)
        entropy = torch.special.entr(probabilities).sum(dim=1)
        return (1.0 - entropy / math.log(classes)).clamp(0.0, 1.0)


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """The criterion's name, for `--set criterion=tempered-entropy`."""
    return {"tempered-entropy": Entropy}


# The bundle's choices. What it leaves out keeps edanas's defaults.
SETTINGS: dict[str, Any] = {
    "criterion": "tempered-entropy",
    "thresholds": [0.5, 0.7, 0.85, 0.95, "none"],
    "supernet": {"name": "ofa-mbv3", "widths": [0.35], "resolutions": [24], "stem_stride": 1},
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"search": {"initial": 40, "iterations": 6}, "training": {"epochs": 10}},
    "best": {"search": {"initial": 100, "iterations": 30}, "training": {"epochs": 60}},
}


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """The bundle's name, for `--plugin mbv3-entropy`."""
    doc = "OFA MobileNetV3 for small images, with exits by entropy instead of score margin."
    return {"mbv3-entropy": Bundle(doc, SETTINGS, PRESETS)}
