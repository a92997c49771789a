"""
Comparison of methods
=====================

Every method that the paper builds on or compares with has a name. Nine of them run here on scikit-learn's
handwritten digits, each with all other settings equal, and one call compares them; :doc:`/methods` lists all.
The runs are as small as possible, so that this page is built within minutes: it shows the procedure, not a
ranking. For a ranking, remove the settings that shrink the runs, and use several seeds for each method.
"""

import tempfile
from pathlib import Path

import tomli_w
from matplotlib import pyplot as plt

import edanas
from edanas.cli import main

folder = Path(tempfile.mkdtemp(prefix="edanas-methods-"))

# %%
# Common settings
# ---------------
# A small supernet, eight candidates, and one early-exit network as the result.

COMMON = {
    "plugin": "mbv3-sm",
    "data": "digits",
    "supernet": {
        "widths": [0.25],
        "resolutions": [8],
        "depths": [2],
        "kernels": [3],
        "expansions": [3, 4, 6],
        "stage_strides": [1, 2, 1, 2, 1],
        "final_expand": 96,
        "last_width": 128,
    },
    "surrogates": ["rbf"],
    "strategy": {"name": "surrogate-nsga2", "generations": 5},
    "thresholds": [0.1, 0.3, 0.6, "none"],
    "search": {"initial": 6, "iterations": 1, "per_iteration": 2, "results": 1},
    "training": {"epochs": 4, "batch_size": 128, "learning_rate": 0.02, "augment": []},
    "finetune": {"epochs": 0},
    "baseline": {"epochs": 0},
    "recalibration": 128,
    "examples": 0,
    "threads": 1,
}

# %%
# Most of the runs start from one trained supernet; ``training.epochs=0`` leaves its weights unchanged.

(folder / "common.toml").write_text(tomli_w.dumps(COMMON))
weights = folder / "digits.safetensors"
main(["train-supernet", "--config", str(folder / "common.toml"), "--out", str(weights)])
TRAINED = {"weights": str(weights), "training": {**COMMON["training"], "epochs": 0}}

# %%
# Methods
# -------
# Each method has a name and its settings. All others are the bundle's: joint training, score margin, early
# stop, thresholds set on calibration images, NSGA-II on surrogates. A training scheme, and a
# criterion that learns with the network, need their own training.

GATED = {
    "criterion": "learned-gate",
    "scheme": {"name": "joint-combined", "combine": "soft-conditional", "own": 0.5},
}
METHODS = {
    "default": TRAINED,
    "layerwise": {"scheme": "layerwise"},
    "mixed": {"scheme": "mixed"},
    "learned-gate": GATED,
    "entropy": {**TRAINED, "criterion": "entropy"},
    "patience": {**TRAINED, "criterion": "patience"},
    "aggregate": {**TRAINED, "inference": "aggregate"},
    "grid (paper)": {**TRAINED, "final_thresholds": "grid", "thresholds": [0.1, 0.2, "none"]},
    "two-level (HADAS)": {**TRAINED, "strategy": "two-level", "thresholds": "continuous"},
}

results = []
for number, settings in enumerate(METHODS.values()):
    results.append(edanas.search(out=folder / f"run-{number}", seed=0, settings={**COMMON, **settings}))

# %%
# Table
# -----
# ``edanas compare NAME=RUN ...`` prints the same. Accuracy is that of the test part, for the network that
# validation selects; executed MACs count every evaluated head, ADA_MACS is the paper's measure.
# Seconds are those of a whole run; most methods started from the trained supernet.

compared = edanas.compare(results, names=list(METHODS))
table = compared.to_dataframe().set_index("method")
table[["accuracy", "ada_macs", "executed_macs", "backbone_macs", "seconds"]].round(
    {"accuracy": 3, "ada_macs": 0, "executed_macs": 0, "seconds": 1}
)

# %%
# Plot
# ----
# A plot of a few methods is easier to read. ``plot`` draws the best accuracy within each cost; with
# several seeds it adds a band from the worst to the best.

selected = ["default", "entropy", "patience", "aggregate", "grid (paper)", "two-level (HADAS)"]
plotted = edanas.compare([results[list(METHODS).index(name)] for name in selected], names=selected)
plotted.plot(folder / "compared.png")
plt.figure(figsize=(7.4, 5.2), layout="constrained")
plt.imshow(plt.imread(folder / "compared.png"))
plt.axis("off")
plt.show()
