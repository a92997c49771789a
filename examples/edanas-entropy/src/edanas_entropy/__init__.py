"""An edanas plugin: a confidence criterion by the entropy of the class probabilities."""

import math
from collections.abc import Callable
from typing import Any

import torch
from edanas import hookimpl
from edanas.core.contracts import Bundle, ConfidenceCriterion
from edanas.core.errors import ConfigError

EDANAS_SPEC_VERSION = 1


class Entropy(ConfidenceCriterion):
    """BranchyNet's criterion, scaled to [0, 1]: 1 - H / ln K for the entropy H of K class probabilities.

    In BranchyNet (Teerapittayanon et al., 2016), an exit fires if its entropy is below a threshold. Here an
    exit fires if its confidence reaches a threshold: a threshold t corresponds to the entropy (1 - t) ln K.
    The confidence is 1 for networks with a single class.

    Args:
        temperature: Divisor of the logits before the softmax, above 0; by default 1. A larger temperature
            gives lower confidence.

    Raises:
        ConfigError: `temperature` is not above 0.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if temperature <= 0:
            raise ConfigError(f"criterion.temperature: found {temperature}; allowed: above 0")
        self.temperature = temperature

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of K classes -> confidence (B,)."""
        classes = logits.shape[1]
        if classes == 1:
            return torch.ones_like(logits[:, 0])
        # Infinities become the largest finite numbers. NaN stays, so that a network with NaN is noticed.
        bounded = torch.nan_to_num(logits.float() / self.temperature, nan=math.nan)
        probabilities = torch.softmax(bounded, dim=1)
        entropy = torch.special.entr(probabilities).sum(dim=1)
        return (1.0 - entropy / math.log(classes)).clamp(0.0, 1.0)


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """Register the criterion for the setting `--set criterion=tempered-entropy`."""
    return {"tempered-entropy": Entropy}


SETTINGS: dict[str, Any] = {
    "criterion": "tempered-entropy",
    "thresholds": [0.5, 0.7, 0.85, 0.95, "none"],
    "supernet": {"name": "ofa-mbv3", "widths": [0.35], "resolutions": [24], "stem_stride": 1},
}
"""The settings of the bundle; all other settings keep their defaults."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"search": {"initial": 40, "iterations": 6}, "training": {"epochs": 10}},
    "best": {"search": {"initial": 100, "iterations": 30}, "training": {"epochs": 60}},
}
"""The presets of the bundle: settings by the preset's name, which override `SETTINGS`."""


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle for `--plugin mbv3-entropy`."""
    doc = "OFA MobileNetV3 for small images, with exits by entropy instead of score margin."
    return {"mbv3-entropy": Bundle(doc, SETTINGS, PRESETS)}
