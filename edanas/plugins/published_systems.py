"""Bundles of published systems, each with the settings of its source."""

from typing import Any

from edanas.core.contracts import Bundle
from edanas.core.hookspecs import hookimpl

_FIXED: dict[str, Any] = {
    "objectives": ["accuracy", "executed-macs"],
    "evaluation": "shared",
    "thresholds": "continuous",
    "strategy": "nested",
    "search": {"initial": 2, "iterations": 0, "results": 4},
    "finetune": {"epochs": 0},
}
"""Settings for one network: it is trained once, and thresholds are chosen afterwards."""

SHALLOW_DEEP: dict[str, Any] = {
    **_FIXED,
    "supernet": {"name": "shallow-deep", "of": "resnet56"},
    "classifier": "mixed-pool",
    "criterion": "max-probability",
    "inference": "most-confident",
    "training": {
        "epochs": 100,
        "batch_size": 128,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 1e-4,
        "augment": ["shift", "flip"],
    },
}
"""Settings of Shallow-Deep networks; the source divides the learning rate by 10 three times."""

SHALLOW_DEEP_PRESETS: dict[str, dict[str, Any]] = {
    "sdn": {"scheme": "shallow-deep"},
    "ic-only": {"scheme": "internal-classifiers"},
}
"""The two trainings of Shallow-Deep networks."""

# NSGANetV2's public code evaluates 100 candidates, and then 30 batches of 8; each is fine-tuned for 5 epochs.
MSUNAS: dict[str, Any] = {
    "supernet": "ofa-mbv3",
    "classifier": "pool-linear",
    "evaluation": "finetune",
    "thresholds": [1.0, "none"],
    "surrogates": ["rbf", "mlp", "cart", "gp"],
    "strategy": {"name": "nsga2-backbone", "extremes": True},
    "objectives": ["accuracy", "executed-macs"],
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
    "finetune": {"epochs": 0},
    "baseline": {"epochs": 0},
}
"""Settings of MSuNAS. The initial archive holds the smallest and the largest backbone."""

CNAS: dict[str, Any] = {
    **MSUNAS,
    "constraints": [
        {"name": "tiny-ml", "max_macs": 20e6, "max_params": 3e6, "max_activations": 1e6},
        {"name": "choices", "of": "kernel", "allowed": [3, 5, 7]},
    ],
}
"""Settings of CNAS: MSuNAS with technological constraints (`tiny-ml`) and functional ones (`choices`)."""

HADAS: dict[str, Any] = {
    "supernet": "ofa-mbv3",
    "classifier": "pool-linear",
    "evaluation": "shared",
    "thresholds": "continuous",
    "strategy": "two-level",
    "scheme": "distill",
    "objectives": ["accuracy", "executed-macs"],
    "search": {"initial": 20, "iterations": 15, "per_iteration": 20, "results": 4},
    "training": {"epochs": 60, "batch_size": 64, "learning_rate": 0.003, "augment": ["shift", "flip"]},
    "finetune": {"epochs": 20, "batch_size": 64, "learning_rate": 0.001, "augment": ["shift", "flip"]},
}
"""Settings of HADAS; the objective `energy-table` adds the energy of a device and its clock frequencies."""


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundles of published systems."""
    return {
        "shallow-deep": Bundle(
            "Shallow-Deep Networks (Kaya et al., 2019): ResNet-56 with six internal classifiers.",
            SHALLOW_DEEP,
            SHALLOW_DEEP_PRESETS,
        ),
        "msunas": Bundle("MSuNAS (Lu et al., 2020): single-exit networks of OFA MobileNetV3.", MSUNAS),
        "hadas": Bundle("HADAS (Bouzidi et al., 2022): backbones outside, exits inside.", HADAS),
        "cnas": Bundle("CNAS (Gambella et al., 2022): MSuNAS with constraints.", CNAS),
    }
