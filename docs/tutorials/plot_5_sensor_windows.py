"""
Windows of a sensor
===================

A wrist sensor measures three axes, and a network classifies windows of its signal. The signals here are made,
so that the page needs no download, and the search ends within seconds; leave out ``settings`` for a useful
one.
"""

import tempfile

import numpy as np
from matplotlib import pyplot as plt

import edanas

# %%
# Signals
# -------
# Each activity has its own rhythm, at a random phase and strength. A series is an array (C, L) of 3 axes and
# up to 64 values. Series may end early; a list holds series of unequal length.

rng = np.random.default_rng(0)
activities = {"rest": 0.0, "walk": 2.0, "run": 5.0}


def window(rhythm, length):
    time = np.arange(length) / 32
    waves = np.sin(2 * np.pi * rhythm * time + rng.uniform(0, 6, (3, 1))) * rng.uniform(0.5, 1.5, (3, 1))
    return (waves + 0.3 * rng.normal(size=(3, length))).astype(np.float32)


names = [name for name in activities for _ in range(60)]
series = [window(activities[name], rng.integers(40, 65)) for name in names]

figure, axes = plt.subplots(1, 3, figsize=(8, 2), layout="constrained", sharey=True)
for axis, at in zip(axes, (0, 60, 120), strict=True):
    axis.plot(series[at].T)
    axis.set_title(names[at])
plt.show()

# %%
# Search
# ------
# The bundle ``signal-sm`` has the supernet ``elastic-1d``. Lengths, masks and parts follow from the series.

result = edanas.search(
    data=(series, names),
    plugin="signal-sm",
    preset="quick",
    out=tempfile.mkdtemp(prefix="edanas-tutorial-"),
    seed=0,
    settings={
        "surrogates": ["rbf"],
        "search": {"initial": 4, "iterations": 1, "per_iteration": 2, "results": 2},
        "training.epochs": 6,
        "finetune.epochs": 4,
        "baseline.epochs": 0,
    },
)
print(result)
result.to_dataframe().filter(["kind", "exits", "test_accuracy", "executed_macs"]).round(3)

# %%
# Prediction
# ----------
# More padding never changes an answer.

network = edanas.load(result.folder / result.best()["model"])
short = window(activities["run"], 50)
padded = np.concatenate([short, np.full((3, 30), np.nan, dtype=np.float32)], axis=1)
first, again = network.predict(short), network.predict(padded)
print(network.classes[int(first.label[0])], float(first.confidence[0]) == float(again.confidence[0]))

# %%
# Streams
# -------
# A signal arrives in chunks; each window is classified as soon as it is complete.

signal = np.concatenate([window(activities[name], 128) for name in ("rest", "run")], axis=1)
chunks = np.array_split(signal, 20, axis=1)
for answer in edanas.stream(network, chunks, window=64, hop=32):
    print(f"{answer.name:>8}  {answer.class_name}")
