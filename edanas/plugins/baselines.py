"""The bundle of hand-made networks, which are trained with their exits; no backbone is searched."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl

CHOICES: dict[str, Any] = {
    "criterion": "score-margin",
    "scheme": "joint",
    "objectives": ["accuracy", "executed-macs"],
    "evaluation": "shared",
    "thresholds": "continuous",
    "strategy": "nested",
    "search": {"initial": 2, "iterations": 0, "results": 4},
    "training": {"epochs": 30, "batch_size": 128, "learning_rate": 0.002, "augment": ["shift", "flip"]},
    "finetune": {"epochs": 0},
}
"""Settings of the bundle. A search space has one backbone, and its evaluation serves all thresholds."""

# Differentiable branching (Scardapane et al., 2020): gates learn with the exits, by a loss on Eq. 2 alone.
GATED: dict[str, Any] = {
    "classifier": "conv-pool-fc",
    "criterion": "learned-gate",
    "scheme": {"name": "joint-combined", "combine": "soft-conditional"},
}
"""Settings of the networks EEAlexNet, EEVGG-13 and EEResNet-18 of Table I, besides the network."""

PRESETS: dict[str, dict[str, Any]] = {
    # The hidden layer reads 16 cells of the features, since it would read all pixels in the source.
    "eecnn": {"supernet": "eecnn", "classifier": {"name": "mlp", "cells": 4}},
    "alexnet": {"supernet": "alexnet", "classifier": "conv-pool-fc"},
    "vgg13": {"supernet": "vgg13", "classifier": "conv-pool-fc"},
    "resnet18": {"supernet": "resnet18", "classifier": "conv-pool-fc"},
    "eealexnet": {"supernet": "alexnet", **GATED},
    "eevgg13": {"supernet": "vgg13", **GATED},
    "eeresnet18": {"supernet": "resnet18", **GATED},
    # T-RecX (Ghanathe and Wilton, 2023): one early exit on MLPerf Tiny's network, by the largest probability.
    "t-recx": {
        "supernet": {"name": "resnet8", "early_view": True},
        "classifier": "separable",
        "criterion": "max-probability",
        "scheme": {"name": "joint", "early": 0.5},
    },
}
"""Settings of each preset by name: one for each network, and one with learned gates."""


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle `baselines`."""
    doc = "Hand-made early-exit networks: those of the paper's Table I, and T-RecX on ResNet-8."
    return {"baselines": Bundle(doc, CHOICES, PRESETS)}
