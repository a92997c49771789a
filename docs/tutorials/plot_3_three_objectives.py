"""
Three objectives and a constraint
=================================

Accuracy and multiply-adds are not all that counts: a network has to fit into memory, too. Here a search
weighs three objectives, keeps to bounds on further figures, and is looked at from all sides.
"""

import tempfile
from collections import Counter

from matplotlib import pyplot as plt

import edanas
from edanas.core.errors import EdanasError

# %%
# Say what is wanted
# ------------------
# ``objectives`` names what is weighed: how often the networks are right, what they compute for an image on
# average, and how many parameters they have. ``constraints`` says what each result must keep: the costliest
# image may take 600k multiply-adds, and kernels are of 3 or 5 pixels. Both follow from a candidate's
# structure, so candidates that break them are not even evaluated. ``accuracy >= 55%`` is known only
# afterwards: those that keep it come first wherever candidates are compared.
#
# The sizes are tiny, so that this page is made in seconds; networks that are right more often take longer.

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
# All pairs
# ---------
# With three objectives a front is a surface. Each plot shows it from one side: a member of the Pareto set
# that looks dominated there is better in the objective that is not shown. ``result.plot(kind="pairs")`` draws
# it; the run's folder has it as ``pairs.svg`` already.


def show(kind: str) -> None:
    """Draw a plot of the result, and show it here."""
    path = result.folder / f"{kind}.png"
    width, height = result.plot(path, kind).get_size_inches()
    plt.figure(figsize=(width, height), layout="constrained")
    plt.imshow(plt.imread(path))
    plt.axis("off")
    plt.show()


show("pairs")

# %%
# All at once
# -----------
# Each line is a member of the Pareto set, each axis an objective, and up is better on all of them. Where
# lines cross between two axes, these two objectives are at odds.

show("parallel")

# %%
# How the constraints worked
# --------------------------
# The share of feasible candidates is logged in each iteration: it grows, since infeasible ones are no parents
# where there are others. All kernels are allowed ones.

for step in result.data["iterations"]:
    print(f"iteration {step['iteration']}: {step['feasible']:.0%} of the candidates keep all constraints")

kernels = [v for row in result.pareto for name, v in row["backbone"].items() if name.endswith("kernel")]
print("kernels of the Pareto set:", dict(Counter(kernels)))

# %%
# Choose one
# ----------
# ``best`` takes limits on each of them, by validation accuracy as always.

row = result.best(max_params=1.5 * min(row["params"] for row in result.front))
print(f"{row['params']} parameters, {row['executed_macs'] / 1e6:.2f}M executed MACs on average")

try:
    result.best(max_params=100)
except EdanasError as error:
    print(error)
