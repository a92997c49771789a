"""The bundle for sensor signals: a supernet of depthwise convolutions along series."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl

CHOICES: dict[str, Any] = {
    "supernet": "elastic-1d",
    "classifier": "pool-linear",
    "criterion": "score-margin",
    "inference": "early-stop",
    "evaluation": "shared",
    "surrogates": ["exit-profiles", "rbf", "mlp", "cart", "gp", "xgboost"],
    "strategy": "nested",
    "thresholds": "continuous",
    "scheme": "joint",
    "objectives": ["accuracy", "executed-macs"],
}

# For any series: `edanas.data.series_preset` replaces lengths, masks, parts, batch size and schedule by
# values that follow from the data. One thread: operators are small, and a second thread hardly helps.
AUTO: dict[str, Any] = {
    "threads": 1,
    "executor": "auto",
    "split": {"train": 0.6, "calibration": 0.1, "validation": 0.1, "test": 0.2},
    "supernet": {"name": "elastic-1d"},
    "search": {"initial": 16, "iterations": 8, "per_iteration": 8, "results": 6},
    "training": {
        "epochs": 100,
        "batch_size": 32,
        "learning_rate": 0.004,
        "weight_decay": 0.02,
        "label_smoothing": 0.05,
        "gradient_clip": 0.0,
        "augment": ["shift", "scale", "jitter", "warp"],
    },
    "finetune": {
        "epochs": 50,
        "batch_size": 32,
        "learning_rate": 0.003,
        "label_smoothing": 0.05,
        "gradient_clip": 0.0,
        "distillation": 0.5,
        "augment": ["shift", "scale", "jitter", "warp"],
    },
    "recalibration": 1000,
}

# Minutes: fewer widths and depths, and a short search.
QUICK: dict[str, Any] = {
    **AUTO,
    "supernet": {
        "name": "elastic-1d",
        "widths": [0.5, 1.0],
        "depths": [1],
        "kernels": [5, 9],
        "expansions": [1, 2],
    },
    "search": {"initial": 12, "iterations": 4, "per_iteration": 6, "results": 4},
    "training": {**AUTO["training"], "epochs": 30},
    "finetune": {**AUTO["finetune"], "epochs": 20},
}

# Hours: larger networks, longer kernels and a longer search.
BEST: dict[str, Any] = {
    **AUTO,
    "supernet": {
        "name": "elastic-1d",
        "widths": [0.25, 0.5, 1.0, 1.5],
        "depths": [1, 2, 3],
        "kernels": [3, 5, 9, 15, 25],
        "expansions": [1, 2, 3, 4],
    },
    "search": {"initial": 24, "iterations": 24, "per_iteration": 8, "results": 8},
    "training": {**AUTO["training"], "epochs": 300, "ema": 0.999},
    "finetune": {**AUTO["finetune"], "epochs": 150, "ema": 0.99},
}

# For microcontrollers: no squeeze-and-excitation, and limits of RAM and flash. Candidates are judged in
# floats, since integers of networks for series of unequal length exist in C only.
MICROCONTROLLER: dict[str, Any] = {
    **AUTO,
    "supernet": {"name": "elastic-1d", "squeeze": [False] * 5},
    "max_ram": 64_000,
    "max_flash": 256_000,
}


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle `signal-sm`."""
    doc = "Depthwise convolutions along series (sensor signals), with score-margin exits."
    presets = {"quick": QUICK, "auto": AUTO, "best": BEST, "microcontroller": MICROCONTROLLER}
    return {"signal-sm": Bundle(doc, CHOICES, presets)}
