"""
Keyword spotting
================

A folder of recordings becomes a network that spots words in the stream of a microphone. The words here are
made tones, written as WAV files, so that the page needs no download. The search ends within seconds; leave
out ``settings`` for a useful one.
"""

import tempfile
from pathlib import Path

import numpy as np
import soundfile
from matplotlib import pyplot as plt

import edanas
from edanas.data.spectrogram import FrontEnd

# %%
# Recordings
# ----------
# One folder for each word, as for images. WAV, FLAC and OGG are read by ``soundfile``
# (``pip install 'edanas[sound]'``).

rng = np.random.default_rng(0)
rate, folder = 8000, Path(tempfile.mkdtemp(prefix="edanas-words-"))
words = {"up": (400, 1600), "down": (1600, 400), "flat": (900, 900)}


def speak(word):
    low, high = np.array(words[word]) * rng.uniform(0.8, 1.25)
    phase = 2 * np.pi * np.cumsum(np.linspace(low, high, rng.integers(3200, 4800))) / rate
    return 0.5 * np.sin(phase) + 0.05 * rng.normal(size=len(phase))


for word in words:
    (folder / word).mkdir()
    for number in range(30):
        soundfile.write(folder / word / f"{number}.wav", speak(word), rate)

# %%
# Front end
# ---------
# A recording becomes a log-mel spectrogram of 32 filters and 32 frames, with the lowest tones below. Its
# multiply-adds are reported on a line of their own.

front_end = FrontEnd("log-mel", rate, length=4800)
figure, axes = plt.subplots(1, 3, figsize=(6, 2), layout="constrained")
for axis, word in zip(axes, words, strict=True):
    axis.imshow(front_end.picture(speak(word)))
    axis.set_title(word)
    axis.axis("off")
plt.show()
print(f"{front_end.macs:,} multiply-adds")

# %%
# Search
# ------

result = edanas.search(
    data=str(folder),
    plugin="sound-sm",
    preset="quick",
    out=tempfile.mkdtemp(prefix="edanas-tutorial-"),
    seed=0,
    settings={
        "surrogates": ["rbf"],
        "supernet": {"widths": [0.5, 1.0], "resolutions": [16], "channels": [8, 12, 16, 24, 32]},
        "search": {"initial": 3, "iterations": 1, "per_iteration": 2, "results": 1},
        "training": {"epochs": 30, "batch_size": 16, "learning_rate": 0.005},
        "finetune": {"epochs": 20, "batch_size": 16, "learning_rate": 0.003},
        "baseline.epochs": 0,
    },
)
print(result)
result.to_dataframe().filter(["kind", "exits", "test_accuracy", "executed_macs"]).round(3)

# %%
# The stream of a microphone
# --------------------------
# Chunks may have any size. Windows of 0.6 seconds begin every 0.3 seconds.

network = edanas.load(result.folder / result.best()["model"])
microphone = np.concatenate([speak("up"), speak("down"), speak("flat")]).astype(np.float32)
chunks = np.array_split(microphone, 40)
for answer in edanas.stream(network, chunks, window=4800, hop=2400):
    print(f"{answer.name:>12}  {answer.class_name:5} {answer.confidence:.2f}")
