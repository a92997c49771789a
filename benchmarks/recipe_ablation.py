"""Compare recipes of a supernet for small photographs: each differs from the preset `cifar` in one choice.

Each variant is trained for a fifth of three hours, on the same images, and judged on the validation part; the
report part is never used. `ablation.py` trains and judges. The same command resumes, and prints the table.
A variant that equals another one under a preset is left out.

    python benchmarks/recipe_ablation.py FOLDER --out OUT --plugin resnet-sm
    python benchmarks/recipe_ablation.py FOLDER --out OUT --minutes 10 --variants preset "rate x2" --seeds 0 1
"""

from typing import Any

from ablation import ablate

VARIANTS: dict[str, dict[str, Any]] = {
    "preset": {},
    "batch x0.5": {"training.batch_size": "times 0.5", "training.learning_rate": "times 0.7"},
    "batch x2": {"training.batch_size": "times 2", "training.learning_rate": "times 1.4"},
    "rate x0.5": {"training.learning_rate": "times 0.5"},
    "rate x2": {"training.learning_rate": "times 2"},
    "SGD with momentum": {
        "training.optimizer": "sgd",
        "training.learning_rate": 0.1,
        "training.weight_decay": 5e-4,
    },
    "one backbone a step": {"training.backbones": "single"},
    "sandwich of three": {"training.backbones": "sandwich", "training.random_backbones": 1},
    "sandwich of four": {"training.backbones": "sandwich", "training.random_backbones": 2},
    "exits weigh 0.25": {"scheme.early": 0.25},
    "exits weigh 1": {"scheme.early": 1.0},
    "exits' weights learned": {"scheme.weights": "learned"},
    "gradients rescaled": {"scheme.rescale": True},
    "backbone first, then exits": {"scheme.name": "mixed", "scheme.early": 0.5},
    "samples weighted by their exits": {"scheme": "l2w-den"},
    "no label smoothing": {"training.label_smoothing": 0.0},
    "label smoothing 0.2": {"training.label_smoothing": 0.2},
    "no mirroring": {"training.augment": ["shift"]},
    "alternating mirroring": {"training.augment": ["shift", "alternating-flip"]},
    "mirroring and erasing": {"training.augment": ["shift", "flip", "erase"]},
    "mixup": {"training.augment": ["shift", "flip", "mixup"]},
    "progressive resizing": {"training.initial_side": 0.5},
    "progressive shrinking": {"training.shrinking": True, "training.backbones": "sandwich"},
}

if __name__ == "__main__":
    ablate(__doc__, VARIANTS, plugin="resnet-sm", minutes=36.0)
