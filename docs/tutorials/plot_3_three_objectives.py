"""
Three objectives and a constraint
=================================

Besides accuracy and multiply-adds, the size of a network matters, since it has to fit into memory. This
search optimises three objectives under constraints, and plots its front.
"""

import tempfile
from collections import Counter

from matplotlib import pyplot as plt

import edanas
from edanas.core.errors import EdanasError

# %%
# Objectives and constraints
# --------------------------
# ``objectives`` lists three figures: accuracy, average executed multiply-adds of an image, and number of
# parameters. ``constraints`` bounds each result: the costliest
# image may take 600k multiply-adds, and kernels are of 3 or 5 pixels. Both depend only on a candidate's
# structure, so candidates that break them are not evaluated. ``accuracy >= 55%`` is known only
# after the evaluation: feasible candidates come first in every comparison.
#
# The sizes are tiny, so that this page is built in seconds; more accurate networks take longer.

result = edanas.search(
    data="digits",
    plugin="mbv3-sm",
    out=tempfile.mkdtemp(prefix="edanas-tutorial-"),
    seed=0,
    settings={
        "objectives": ["accuracy", "executed-macs", "params"],
        "constraints": ["worst-case-macs <= 600k", "kernel in 3, 5", "accuracy >= 55%"],
        "supernet": {
            "widths": [0.15, 0.25],
            "resolutions": [8],
            "depths": [1, 2],
            "kernels": [3, 5, 7],
            "expansions": [3, 4, 6],
            "stage_strides": [1, 2, 1, 2, 1],
            "final_expand": 96,
            "last_width": 128,
        },
        "surrogates": ["rbf"],
        "search": {"initial": 12, "iterations": 2, "per_iteration": 6, "results": 2},
        "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "augment": []},
        "finetune": {"epochs": 1, "augment": []},
        "recalibration": 64,
        "threads": 1,
    },
)
columns = ["exits", "validation_accuracy", "executed_macs", "params", "violation"]
result.to_dataframe().filter(columns).round(3)

# %%
# Plots of all pairs
# ------------------
# With three objectives a front is a surface, and each plot is a projection: a member of the Pareto set
# that looks dominated there is better in the third objective. ``result.plot(kind="pairs")`` draws
# it; the run folder has it as ``pairs.svg``.


def show(kind: str) -> None:
    """Draw a plot of the result and show it on this page."""
    path = result.folder / f"{kind}.png"
    width, height = result.plot(path, kind).get_size_inches()
    plt.figure(figsize=(width, height), layout="constrained")
    plt.imshow(plt.imread(path))
    plt.axis("off")
    plt.show()


show("pairs")

# %%
# Parallel coordinates
# --------------------
# Each line is a member of the Pareto set, each axis an objective, and higher is better on all of them. Lines
# that cross between two axes show a conflict of the two objectives.

show("parallel")

# %%
# Constraints during the search
# -----------------------------
# Each iteration logs the share of feasible candidates. It grows, since feasible candidates are preferred as
# parents. All kernels are allowed ones.

for step in result.data["iterations"]:
    print(f"iteration {step['iteration']}: {step['feasible']:.0%} of the candidates keep all constraints")

kernels = [v for row in result.pareto for name, v in row["backbone"].items() if name.endswith("kernel")]
print("kernels of the Pareto set:", dict(Counter(kernels)))

# %%
# Choose one
# ----------
# ``best`` takes a limit on each of them, and chooses by validation accuracy.

row = result.best(max_params=1.5 * min(row["params"] for row in result.front))
print(f"{row['params']} parameters, {row['executed_macs'] / 1e6:.2f}M executed MACs on average")

try:
    result.best(max_params=100)
except EdanasError as error:
    print(error)
