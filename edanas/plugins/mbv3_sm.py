"""The default bundle: MobileNetV3 supernet, score margin, the paper's surrogates and better ones."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl

CHOICES: dict[str, Any] = {
    "supernet": "ofa-mbv3",
    "classifier": "pool-linear",
    "criterion": "score-margin",
    "inference": "early-stop",
    # The paper's four, and what knows more: the best on held-out candidates is taken.
    "surrogates": ["exit-profiles", "rbf", "mlp", "cart", "gp", "xgboost"],
    "strategy": "surrogate-nsga2",
    "scheme": "joint",
    "objectives": ["accuracy", "ada-macs"],
}

# Digits on a CPU. Neither the stem nor the third stage shrinks the image: the ImageNet strides would
# leave 1x1 features, and spend most multiply-adds before the first useful exit.
# One thread: operators this small gain a quarter from a second one, and lose more where cores are shared.
QUICK: dict[str, Any] = {
    "threads": 1,
    "evaluation": "shared",
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.35],
        "resolutions": [16],
        "stem_stride": 1,
        "stage_strides": [2, 2, 1, 1, 2],
        "final_expand": 480,
        "last_width": 640,
    },
    "thresholds": [0.3, 0.6, 0.8, 0.95, "none"],
    # Few at random: each evaluation's exit profile teaches the surrogates about every threshold.
    "search": {"initial": 16, "iterations": 9, "per_iteration": 8, "results": 5},
    "training": {
        "epochs": 12,
        "batch_size": 32,
        "learning_rate": 0.004,
        "label_smoothing": 0.1,
        "gradient_clip": 0.0,
        "augment": ["shift", "rotate"],
    },
    "finetune": {"epochs": 4, "batch_size": 32, "learning_rate": 0.001, "augment": ["shift", "rotate"]},
    "recalibration": 384,
}

# Section V of the paper. What it leaves open is taken from its public code.
PAPER: dict[str, Any] = {
    "data": "cifar10",
    # The paper does not say how it splits. Of CIFAR-10's training part 45,000 train, and 4,750 judge the
    # candidates; 250 are left for calibration, which has no use here, since thresholds are searched.
    "split": {"train": 0.72, "calibration": 0.004, "validation": 0.076, "test": 0.2},
    "evaluation": "finetune",
    "supernet": {"name": "ofa-mbv3", "widths": [1.0], "resolutions": [32, 40, 48, 56, 64]},
    "weights": "ofa_mbv3_d234_e346_k357_w1.0",
    "classifier": "paper",
    "thresholds": [0.1, 0.2, "none"],
    "surrogates": ["rbf", "mlp", "cart", "gp"],
    "strategy": "nsga2-joint",
    "search": {"initial": 100, "iterations": 30, "per_iteration": 8, "results": 4},
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
    "finetune": {"epochs": 0},
    "final_thresholds": "grid",
}

# Small photographs, several widths and resolutions, hours instead of minutes.
# Every backbone brings all its thresholds: on exit profiles, that search needs the fewest evaluations.
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

# Small photographs of 32 pixels: backbones of 0.4M to 29M multiply-adds, whose features are nowhere smaller
# than 2x2. The stem and the first stages shrink at once, so that early exits are cheap; the third and
# fourth, which decide how good the best are, do not, and see more of what is read at 48 pixels. Widths
# share weights, so that one supernet serves every budget; its largest backbone, which every step trains, is
# little larger than what is asked for. A tenth is for the report.
CIFAR: dict[str, Any] = {
    "split": {"train": 0.8, "calibration": 0.05, "validation": 0.05, "test": 0.1},
    "evaluation": "shared",
    "objectives": ["accuracy", "executed-macs"],
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

# For a folder of images: resolution, strides, batch and schedule follow from what is in it, and are laid over
# these by `edanas.data.auto_preset`.
AUTO: dict[str, Any] = {
    **CIFAR,
    "split": {"train": 0.6, "calibration": 0.1, "validation": 0.1, "test": 0.2},
    "search": {"initial": 16, "iterations": 8, "per_iteration": 8, "results": 5},
}


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """The default bundle."""
    doc = "OFA MobileNetV3 with score-margin exits; RBF, MLP, CART, GP and exit-aware surrogates."
    presets = {"quick": QUICK, "paper": PAPER, "best": BEST, "cifar": CIFAR, "auto": AUTO}
    return {"mbv3-sm": Bundle(doc, CHOICES, presets)}
