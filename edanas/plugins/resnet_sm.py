"""The bundle for small images: a supernet of dense 3x3 convolutions, trained in large steps."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl

CHOICES: dict[str, Any] = {
    "supernet": "elastic-resnet",
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

# For the digits on a CPU, at their own 8 pixels. There is no width of 0.125: networks with it in nearly all
# stages had at most 97.2% on the validation part, and took the place of better networks among the results.
# Results are trained about as long as a network with fresh weights needs, since a step takes milliseconds.
QUICK: dict[str, Any] = {
    "threads": 1,
    "executor": "auto",
    "split": {"train": 0.62, "calibration": 0.06, "validation": 0.12, "test": 0.2},
    "supernet": {
        "name": "elastic-resnet",
        "widths": [0.25, 0.5, 0.75, 1.0],
        "resolutions": [8],
        "depths": [1, 2],
        "channels": [24, 48, 64, 64, 64],
    },
    "search": {"initial": 16, "iterations": 9, "per_iteration": 8, "results": 9},
    "training": {
        "epochs": 80,
        "batch_size": 64,
        "learning_rate": 0.004,
        "weight_decay": 0.02,
        "gradient_clip": 0.0,
        "augment": ["shift", "rotate"],
    },
    "finetune": {
        "epochs": 60,
        "batch_size": 64,
        "learning_rate": 0.003,
        "gradient_clip": 0.0,
        "distillation": 0.5,
        "augment": ["shift", "rotate"],
    },
    "recalibration": 384,
}


# Small photographs of 32 pixels, hours instead of minutes: backbones of 1M to 31M multiply-adds, and less
# where they are cut. The stem halves the image, so that the first exits are cheap. Max-pooling and GELU make
# networks more accurate at equal multiply-adds; strided convolutions and ReLU suit 8-bit devices better.
# Steps with a single backbone gave more accurate networks in two thirds of the time of the sandwich rule.
# A whitened stem and maxima before linear layers are from a recipe for few epochs.
CIFAR: dict[str, Any] = {
    "classifier": {"name": "pool-linear", "pooling": "max"},
    "scheme": {"name": "joint", "early": 0.5},
    "split": {"train": 0.8, "calibration": 0.05, "validation": 0.05, "test": 0.1},
    "supernet": {
        "name": "elastic-resnet",
        "widths": [0.25, 0.5, 0.75, 1.0],
        "resolutions": [32],
        "depths": [1, 2],
        "channels": [48, 64, 128, 160, 192],
        "stem_stride": 2,
        "stage_strides": [2, 1, 2, 1, 1],
        "downsampling": "pooled",
        "activation": "gelu",
        "stem": "whitened",
        "pooling": "max",
    },
    "search": {"initial": 16, "iterations": 12, "per_iteration": 8, "results": 6},
    "training": {
        "epochs": 150,
        "batch_size": 256,
        "backbones": "single",
        "learning_rate": 0.006,
        "weight_decay": 0.05,
        "label_smoothing": 0.05,
        "ema": 0.999,
        "distillation": 0.7,
        "precision": "auto",
        "augment": ["shift", "flip"],
    },
    "finetune": {
        "epochs": 12,
        "batch_size": 256,
        "learning_rate": 0.003,
        "weight_decay": 0.05,
        "label_smoothing": 0.05,
        "ema": 0.99,
        "distillation": 0.7,
        "precision": "auto",
        "augment": ["shift", "flip"],
    },
    "recalibration": 2000,
}

# For a folder of images. `edanas.data.auto_preset` replaces resolutions, batch size and schedule by values
# that follow from the images.
AUTO: dict[str, Any] = {
    "scheme": {"name": "joint", "early": 0.5},
    "supernet": {"name": "elastic-resnet", "widths": [0.2, 0.4, 0.7, 1.0], "depths": [1, 2, 3]},
    "split": {"train": 0.6, "calibration": 0.1, "validation": 0.1, "test": 0.2},
    "search": {"initial": 16, "iterations": 8, "per_iteration": 8, "results": 5},
    "training": CIFAR["training"],
    "finetune": {**CIFAR["finetune"], "learning_rate": 0.002},
    "recalibration": 2000,
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
    """Register the bundle `resnet-sm`."""
    doc = "Dense 3x3 convolutions for small images, with score-margin exits."
    presets = {"quick": QUICK, "best": CIFAR, "cifar": CIFAR, "auto": AUTO}
    return {"resnet-sm": Bundle(doc, CHOICES, {**presets, "microcontroller": MICROCONTROLLER})}
