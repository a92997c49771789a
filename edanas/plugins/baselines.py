"""The bundle of hand-made networks, which are trained with their exits; no backbone is searched."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl

CHOICES: dict[str, Any] = {
    "criterion": "score-margin",
    "scheme": "joint",
    "objectives": ["accuracy", "ada-macs"],
    "evaluation": "shared",
    "thresholds": "continuous",
    "strategy": "nested",
    "search": {"initial": 2, "iterations": 0, "results": 4},
    "training": {"epochs": 30, "batch_size": 128, "learning_rate": 0.002, "augment": ["shift", "flip"]},
    "finetune": {"epochs": 0},
}
"""Settings of the bundle. A search space has one backbone, and its evaluation serves all thresholds."""

PRESETS: dict[str, dict[str, Any]] = {
    "eecnn": {"supernet": "eecnn", "classifier": "mlp"},
    "alexnet": {"supernet": "alexnet", "classifier": "conv-pool-fc"},
    "vgg13": {"supernet": "vgg13", "classifier": "conv-pool-fc"},
    "resnet18": {"supernet": "resnet18", "classifier": "conv-pool-fc"},
}
"""Settings of each preset by name: one preset for each network."""


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle `baselines`."""
    doc = "The hand-made early-exit networks of the paper's Table I, with and without exits."
    return {"baselines": Bundle(doc, CHOICES, PRESETS)}
