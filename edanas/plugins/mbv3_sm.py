"""The default bundle: MobileNetV3 supernet, score margin, and six surrogate models."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl

CHOICES: dict[str, Any] = {
    "supernet": "ofa-mbv3",
    "classifier": "pool-linear",
    "criterion": "score-margin",
    "inference": "early-stop",
    # The paper's four surrogate models and two more; adaptive switching takes the best on held-out data.
    "surrogates": ["exit-profiles", "rbf", "mlp", "cart", "gp", "xgboost"],
    "strategy": "surrogate-nsga2",
    "scheme": "joint",
    "objectives": ["accuracy", "executed-macs"],
}

# For the digits on a CPU, at their own 8 pixels. The stem shrinks the image, so that first exits are cheap;
# the stages after it hardly do: with the strides for ImageNet, features would be 1x1 from the third stage on.
# One width, with 16 channels at the first exit: the widths 0.2 and 0.35 have 8 channels there for as many
# multiply-adds, and with seed 1 their early exits had at most 95.8% on the validation part, against 96.7%.
# One thread: a second thread speeds up small operators by a quarter, and slows them down on shared cores.
QUICK: dict[str, Any] = {
    "threads": 1,
    "executor": "auto",
    "evaluation": "shared",
    "split": {"train": 0.62, "calibration": 0.06, "validation": 0.12, "test": 0.2},
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.5],
        "resolutions": [8],
        "depths": [1, 2],
        "kernels": [3, 5],
        "expansions": [2, 3, 4],
        "stem_stride": 2,
        "stage_strides": [1, 2, 1, 1, 2],
        "final_expand": 0,
        "last_width": 0,
    },
    "thresholds": [0.3, 0.6, 0.8, 0.95, "none"],
    # A small initial archive suffices: an exit profile holds the results for every threshold.
    "search": {"initial": 16, "iterations": 5, "per_iteration": 8, "results": 5},
    "training": {
        "epochs": 60,
        "batch_size": 48,
        "learning_rate": 0.005,
        "label_smoothing": 0.1,
        "gradient_clip": 0.0,
        "augment": ["shift", "rotate"],
    },
    "finetune": {
        "epochs": 60,
        "batch_size": 64,
        "learning_rate": 0.003,
        "label_smoothing": 0.1,
        "augment": ["shift", "rotate"],
    },
    "recalibration": 384,
}

# The settings in Section V of the paper; further settings are from the paper's public code.
PAPER: dict[str, Any] = {
    "data": "cifar10",
    # The paper does not state its split. Of CIFAR-10's training part, 45,000 images train and 4,750 validate;
    # 250 are for calibration, which is unused here, since thresholds are searched.
    "split": {"train": 0.72, "calibration": 0.004, "validation": 0.076, "test": 0.2},
    "evaluation": "finetune",
    "supernet": {"name": "ofa-mbv3", "widths": [1.0], "resolutions": [32, 40, 48, 56, 64]},
    "weights": "ofa_mbv3_d234_e346_k357_w1.0",
    "classifier": "paper",
    "objectives": ["accuracy", "ada-macs"],
    "thresholds": [0.1, 0.2, "none"],
    "surrogates": ["rbf", "mlp", "cart", "gp"],
    "strategy": "nsga2-joint",
    "search": {"initial": 100, "iterations": 30, "per_iteration": 8, "results": 4, "cut": False},
    "training": {
        "epochs": 5,
        "batch_size": 128,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "schedule": "constant",
        "weight_decay": 5e-5,
        "gradient_clip": 0.0,
        "augment": ["shift", "flip"],
    },
    "finetune": {"epochs": 0, "backbones": True},
    "final_thresholds": "grid",
    "min_exit_share": 0.0,
    "baseline": {"epochs": 0},
}

# The numbers of the paper's public code where they differ from those of this package: its pool of surrogate
# models, their sizes and steps, and its end after ten iterations without gain.
PAPER_CODE: dict[str, Any] = {
    **PAPER,
    "surrogates": [
        "rbf",
        {"name": "cart", "trees": 5000, "least": 2},
        {"name": "mlp", "width": 300, "steps": 2000, "batch_size": 512, "learning_rate": 8e-4},
    ],
    "search": {**PAPER["search"], "patience": 10},
}

# Small photographs, several widths and resolutions, hours instead of minutes.
# Thresholds are continuous: a search over backbones with exit profiles needs the fewest evaluations.
BEST: dict[str, Any] = {
    **QUICK,
    "threads": 0,
    "thresholds": "continuous",
    "strategy": "nested",
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.35, 0.5, 0.75],
        "resolutions": [24, 32],
        "stem_stride": 1,
        "stage_strides": [2, 2, 1, 1, 2],
    },
    "search": {**QUICK["search"], "iterations": 40},
    "training": {**QUICK["training"], "epochs": 60, "batch_size": 64},
    "finetune": {**QUICK["finetune"], "epochs": 20, "batch_size": 64},
    "recalibration": 2000,
}

# Small photographs of 32 pixels: backbones of 0.4M to 29M multiply-adds, with features of 2x2 or more. The
# stem and the first stages shrink the image, so that early exits are cheap. The third and fourth stage, which
# decide the accuracy of the best backbones, do not. Widths share weights, so that one supernet serves every
# budget. Its largest backbone, which every step trains, is little larger than the largest useful backbone.
CIFAR: dict[str, Any] = {
    "split": {"train": 0.8, "calibration": 0.05, "validation": 0.05, "test": 0.1},
    "evaluation": "shared",
    "thresholds": "continuous",
    "strategy": "nested",
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.35, 0.5, 0.75, 1.0],
        "resolutions": [32, 48],
        "depths": [1, 2, 3],
        "kernels": [3, 5],
        "expansions": [2, 3, 4],
        "stem_stride": 2,
        "stage_strides": [2, 2, 1, 1, 2],
        "final_expand": 480,
        "last_width": 0,
    },
    "search": {"initial": 16, "iterations": 12, "per_iteration": 8, "results": 6},
    "training": {
        "epochs": 60,
        "batch_size": 128,
        "learning_rate": 0.003,
        "weight_decay": 0.02,
        "label_smoothing": 0.05,
        "ema": 0.999,
        "precision": "auto",
        "augment": ["shift", "flip", "erase"],
    },
    "finetune": {
        "epochs": 3,
        "batch_size": 128,
        "learning_rate": 0.0015,
        "label_smoothing": 0.05,
        "ema": 0.99,
        "distillation": 0.5,
        "augment": ["shift", "flip"],
    },
    "recalibration": 2000,
}

# For a folder of images. `edanas.data.auto_preset` replaces the resolution, strides, batch size and schedule
# by values that follow from the images.
AUTO: dict[str, Any] = {
    **CIFAR,
    "split": {"train": 0.6, "calibration": 0.1, "validation": 0.1, "test": 0.2},
    "search": {"initial": 16, "iterations": 8, "per_iteration": 8, "results": 5},
}

# For microcontrollers: networks without hard swish and squeeze-and-excitation, judged as 8-bit integers,
# within limits of RAM and flash.
MICROCONTROLLER: dict[str, Any] = {
    **AUTO,
    "supernet": {**AUTO["supernet"], "minimalistic": True},
    "evaluation": {"name": "shared", "quantized": True},
    "max_ram": 64_000,
    "max_flash": 256_000,
}


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle `mbv3-sm`."""
    doc = "OFA MobileNetV3 with score-margin exits; RBF, MLP, CART, GP and exit-aware surrogates."
    presets = {
        "quick": QUICK,
        "paper": PAPER,
        "paper-code": PAPER_CODE,
        "best": BEST,
        "cifar": CIFAR,
        "auto": AUTO,
        "microcontroller": MICROCONTROLLER,
    }
    return {"mbv3-sm": Bundle(doc, CHOICES, presets)}
