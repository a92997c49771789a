"""Settings of the shortest searches that an estimator can make, and series for it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import edanas

SHORTEST: Mapping[str, Any] = {
    "threads": 1,
    "supernet.widths": [0.5],
    "supernet.depths": [1],
    "supernet.kernels": [3],
    "supernet.expansions": [1],
    "supernet.channels": [8, 8, 8, 8, 8],
    "surrogates": ["rbf"],
    "strategy": "random",
    "thresholds": [0.5, "none"],
    "search.initial": 2,
    "search.iterations": 0,
    "search.results": 1,
    "training.epochs": 1,
    "finetune.epochs": 1,
    "baseline.epochs": 0,
}


def classifier(epochs: int = 1, **options: Any) -> "edanas.EarlyExitClassifier":
    """Return an estimator for series that trains its supernet for a few epochs."""
    settings = {**SHORTEST, "training.epochs": epochs, **options.pop("settings", {})}
    return edanas.EarlyExitClassifier("signal-sm", preset="quick", settings=settings, **options)


def waves(labels: tuple[Any, ...], count: int = 40, length: int = 24) -> tuple[Any, Any]:
    """Return noisy waves (N, L), whose frequency is the class, and their labels; `count` for each class."""
    random = np.random.default_rng(0)
    numbers = np.repeat(np.arange(len(labels)), count)
    phases = random.uniform(0, 6, (len(numbers), 1))
    series = np.sin(phases + np.arange(length) * (0.3 + 0.9 * numbers[:, None]))
    return series + 0.1 * random.standard_normal(series.shape), np.array(labels)[numbers]
