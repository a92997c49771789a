"""The bundle for sound: dense networks for small spectrograms."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl
from edanas.plugins.resnet_sm import AUTO as DENSE_AUTO
from edanas.plugins.resnet_sm import CHOICES

_AUGMENT = ["shift", "spectrum"]
"""Shifts in time and pitch, and blank bands (SpecAugment)."""

AUTO: dict[str, Any] = {
    **DENSE_AUTO,
    "supernet": {
        "name": "elastic-resnet",
        "widths": [0.2, 0.4, 0.7, 1.0],
        "resolutions": [16, 32],
        "depths": [1, 2],
    },
    "training": {**DENSE_AUTO["training"], "precision": "fp32", "augment": _AUGMENT},
    "finetune": {**DENSE_AUTO["finetune"], "augment": _AUGMENT},
}

# Minutes: narrower networks, and a short training and search.
QUICK: dict[str, Any] = {
    **AUTO,
    "supernet": {"name": "elastic-resnet", "widths": [0.2, 0.4], "resolutions": [16, 32], "depths": [1]},
    "search": {"initial": 12, "iterations": 4, "per_iteration": 6, "results": 4},
    "training": {**AUTO["training"], "epochs": 15, "batch_size": 64},
    "finetune": {**AUTO["finetune"], "epochs": 6, "batch_size": 64},
}

# Hours: deeper networks, and a longer training and search.
BEST: dict[str, Any] = {
    **AUTO,
    "supernet": {"name": "elastic-resnet", "widths": [0.2, 0.4, 0.7, 1.0], "resolutions": [16, 24, 32]},
    "search": {"initial": 24, "iterations": 24, "per_iteration": 8, "results": 8},
    "training": {**AUTO["training"], "epochs": 120, "batch_size": 64},
    "finetune": {**AUTO["finetune"], "epochs": 20, "batch_size": 64},
}

# For microcontrollers: candidates judged as 8-bit integers, within limits of RAM and flash.
MICROCONTROLLER: dict[str, Any] = {
    **AUTO,
    "evaluation": {"name": "shared", "quantized": True},
    "max_ram": 64_000,
    "max_flash": 256_000,
}


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle `sound-sm`."""
    doc = "Dense networks for spectrograms of sound, with score-margin exits."
    presets = {"quick": QUICK, "auto": AUTO, "best": BEST, "microcontroller": MICROCONTROLLER}
    return {"sound-sm": Bundle(doc, CHOICES, presets)}
