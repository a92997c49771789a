"""A tiny supernet to train; as a program, a training with a checkpoint at each step, to be killed."""

import sys
from dataclasses import replace
from pathlib import Path

from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.layers import layered_settings
from edanas.run.pretraining import Order, train_supernet
from edanas.training import sandwich

TINY = {
    "seed": 7,
    "device": "cpu",
    "threads": 1,
    "supernet": {
        "name": "ofa-mbv3",
        "widths": [0.1, 0.35],
        "resolutions": [8],
        "depths": [1, 2],
        "kernels": [3, 5],
        "expansions": [3],
        "stem_stride": 1,
        "final_expand": 0,
        "last_width": 0,
    },
    "split": {"train": 0.08, "calibration": 0.1, "validation": 0.1, "test": 0.72},
    "training": {"epochs": 2, "batch_size": 32, "ema": 0.9, "label_smoothing": 0.1},
}


def registry() -> Registry:
    return Registry(load_plugins(print))


def tiny_order(out: Path) -> Order:
    return Order(layered_settings(registry(), [("tiny", TINY)]), out)


def changed_epochs(settings: Settings, epochs: int) -> Settings:
    return replace(settings, training=replace(settings.training, epochs=epochs))


if __name__ == "__main__":
    sandwich.SandwichTraining.__init__.__defaults__ = (0.0,)  # a checkpoint at each step
    with computing(1):
        order = tiny_order(Path(sys.argv[1]))
        settings = changed_epochs(order.settings, int(sys.argv[2])) if len(sys.argv) > 2 else order.settings
        train_supernet(registry(), Order(settings, order.out, half=False), Silent())
