"""
From images to a set of networks
================================

One call reads labelled images, searches, trains what comes back, measures it once on images that nothing has
seen before, and writes everything to a folder. Here the images are scikit-learn's handwritten digits, and the
search is kept so small that it ends within seconds; leave ``settings`` out for one that is worth its name.
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
# ``plugin`` names a bundle: a set of choices for everything, here the default one. ``settings`` are laid over
# it; each is explained in the settings reference. The digits are 8 pixels wide, so the strides are chosen to
# keep some of them for the later stages.

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
            "stage_strides": [1, 2, 1, 2, 1],
            "final_expand": 96,
            "last_width": 128,
        },
        "surrogates": ["rbf"],
        "search": {"initial": 8, "iterations": 1, "per_iteration": 4, "results": 3},
        "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "augment": []},
        "finetune": {"epochs": 1, "augment": []},
        "recalibration": 128,
        "threads": 1,
    },
)
print(result)

# %%
# What came back
# --------------
# One early-exit network for each number of exits, as far as ``search.results`` goes, and single-exit networks
# of the same search to hold them against. MACs are multiply-adds for one image on average; executed MACs
# count every head that ran. What every column means is in the reference of ``result.json``.

columns = ["kind", "exits", "test_accuracy", "executed_macs", "backbone_macs", "backbone_test_accuracy"]
result.to_dataframe().filter(columns).round(3)

# %%
# The same as a picture: further up is more accurate, further left is cheaper. ``result.plot()`` draws it; the
# run's folder has it as ``pareto.png`` and ``pareto.svg`` already.

plt.figure(figsize=(8, 7), layout="constrained")
plt.imshow(plt.imread(result.folder / "pareto.png"))
plt.axis("off")
plt.show()

# %%
# Choose one
# ----------
# ``best`` judges by validation accuracy, so that the test accuracy it reports was not used to choose. Asked
# for something that no network can do, it says which comes nearest.

row = result.best()
print(f"{row['exits']} early exits, test accuracy {row['test_accuracy']:.1%}")
print("thresholds:", row["thresholds"])
print("leave at each exit point, and at the last exit:", [round(share, 2) for share in row["utilization"]])

try:
    result.best(min_accuracy=1.0, max_macs=1.0)
except EdanasError as error:
    print(error)

# %%
# Use it
# ------
# ``load`` builds the network from two files, JSON and safetensors; no code in them is run. The network takes
# images of any size as they are, bytes or floats from 0 to 1, and stops for each one where it is sure enough.

network = edanas.load(result.folder / row["model"])
images = torch.tensor(load_digits().images[:8] / 16.0, dtype=torch.float32)[:, None]
prediction = network(images)

print("label     ", [network.classes[int(label)] for label in prediction.label])
print("exit      ", prediction.exit.tolist())
print("confidence", [round(float(confidence), 2) for confidence in prediction.confidence])

# %%
# Each digit with the exit it left at. (Exit 5 would be the last one.) After so little training the first
# heads are seldom sure.

figure, axes = plt.subplots(1, 8, figsize=(10, 1.8))
for axis, image, label, exit_ in zip(axes, images, prediction.label, prediction.exit, strict=True):
    axis.imshow(image[0], cmap="gray_r")
    axis.set_title(f"{network.classes[int(label)]}, exit {int(exit_) + 1}", fontsize=9)
    axis.axis("off")
plt.show()

# %%
# The run's folder
# ----------------
# Everything is on disk. The same call with the same ``out`` reads a finished run back, and goes on with one
# that was cut.

print(*sorted(path.name for path in result.folder.iterdir()), sep="\n")
