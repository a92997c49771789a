"""
From images to a set of networks
================================

One call reads labelled images, searches, trains the results, tests them once on held-out images, and writes
everything to a folder. The images here are scikit-learn's handwritten digits, and the search is small enough
to end within seconds; leave out ``settings`` for a useful one.
"""

import tempfile

import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

import edanas
from edanas.core.errors import EdanasError

# %%
# Search
# ------
# ``plugin`` names a bundle: settings for everything, here those of the default bundle. ``settings`` override
# them; the settings reference explains each one. The digits are 8 pixels wide, so the strides keep some
# pixels for the later stages.

folder = tempfile.mkdtemp(prefix="edanas-tutorial-")
result = edanas.search(
    data="digits",
    plugin="mbv3-sm",
    out=folder,
    seed=0,
    settings={
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
        "search": {"initial": 8, "iterations": 1, "per_iteration": 4, "results": 3},
        "training": {"epochs": 2, "batch_size": 64, "learning_rate": 0.02, "augment": []},
        "finetune": {"epochs": 1, "batch_size": 64, "augment": []},
        "recalibration": 128,
        "threads": 1,
    },
)
print(result)

# %%
# Results
# -------
# There is one early-exit network for each number of exits, up to ``search.results``, and single-exit networks
# of the same search for comparison. MACs are multiply-adds for one image on average; executed MACs
# count every head that ran. The reference of ``result.json`` describes every column.

columns = ["kind", "exits", "test_accuracy", "executed_macs", "backbone_macs", "backbone_test_accuracy"]
result.to_dataframe().filter(columns).round(3)

# %%
# The plot shows accuracy against cost. ``result.plot()`` draws it; the run folder has it as ``pareto.png``
# and ``pareto.svg``.

plt.figure(figsize=(8, 7), layout="constrained")
plt.imshow(plt.imread(result.folder / "pareto.png"))
plt.axis("off")
plt.show()

# %%
# Choose one
# ----------
# ``best`` chooses by validation accuracy, so the test accuracy stays unbiased. If no network meets the
# limits, the error names the nearest one.

row = result.best()
print(f"{row['exits']} early exits, test accuracy {row['test_accuracy']:.1%}")
print("thresholds:", row["thresholds"])
print("utilization of exit points and last exit:", [round(share, 2) for share in row["utilization"]])

try:
    result.best(min_accuracy=1.0, max_macs=1.0)
except EdanasError as error:
    print(error)

# %%
# Use it
# ------
# ``load`` builds the network from two files, JSON and safetensors, and runs no code from them. The network
# takes images of any size, bytes or floats from 0 to 1. Each image exits at the first confident exit.

network = edanas.load(result.folder / row["model"])
images = torch.tensor(load_digits().images[:8] / 16.0, dtype=torch.float32)[:, None]
prediction = network(images)

print("label     ", [network.classes[int(label)] for label in prediction.label])
print("exit      ", prediction.exit.tolist())
print("confidence", [round(float(confidence), 2) for confidence in prediction.confidence])

# %%
# The titles give label and exit of each digit; exit 5 is the last one. After this short training, the first
# heads are seldom confident.

figure, axes = plt.subplots(1, 8, figsize=(10, 1.8))
for axis, image, label, exit_ in zip(axes, images, prediction.label, prediction.exit, strict=True):
    axis.imshow(image[0], cmap="gray_r")
    axis.set_title(f"{network.classes[int(label)]}, exit {int(exit_) + 1}", fontsize=9)
    axis.axis("off")
plt.show()

# %%
# Run folder
# ----------
# All results are on disk. The same call with the same ``out`` reads a finished run, and resumes an
# interrupted one.

print(*sorted(path.name for path in result.folder.iterdir()), sep="\n")
