"""The split rule: four disjoint parts, stratified by class, from a seed."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.errors import ConfigError, DataError
from edanas.core.settings import SplitSettings
from edanas.core.types import DataParts, ImageSet, LoadedData

PARTS = ("train", "calibration", "validation", "test")
STD_FLOOR = 1e-3
"""Smallest standard deviation to divide pixels in [0, 1] by: a channel that never changes stays finite."""

Indices = npt.NDArray[np.int64]


def split(data: LoadedData, settings: SplitSettings, seed: int) -> DataParts:
    """Divide `data` into train, calibration, validation and test.

    A validation or test part that the source names is taken whole. The rest, the pool, is divided among the
    other parts by their shares, renormalised: in each class, a part gets its share rounded down or up, and at
    least one sample. A part's samples are in shuffled order, so that a prefix of it is a sample of it.

    Args:
        data: What a data source gave.
        settings: The shares.
        seed: Not negative. Same seed and data, same split.

    Raises:
        ConfigError: A share is negative, or 0 where it is needed, or they do not sum to 1.
        DataError: The data is inconsistent, or a class has too few samples to stand in every part.
    """
    _check_data(data)
    named = set(np.unique(data.parts).tolist()) - {"", "train"}
    drawn = [part for part in PARTS if part not in named]
    shares = _shares(settings, drawn)
    rng = np.random.default_rng(seed)
    pool = np.isin(data.parts, ["", "train"])
    chosen = _draw(data.samples, pool, dict(zip(drawn, shares, strict=True)), rng)
    for part in sorted(named):
        chosen[part] = rng.permutation(np.flatnonzero(data.parts == part))
    sets = {part: data.samples.subset(chosen[part]) for part in PARTS}
    mean, std = _statistics(sets["train"].images)
    return DataParts(**sets, mean=mean, std=std)


def _check_data(data: LoadedData) -> None:
    images, labels, classes = data.samples.images, data.samples.labels, data.samples.classes
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"images are {images.dtype} of shape {tuple(images.shape)}; expected uint8 (N, 1 or 3, H, W)"
        )
    if not len(images) == len(labels) == len(data.parts):
        raise DataError(
            f"{len(images)} images, {len(labels)} labels and {len(data.parts)} part names: not equal"
        )
    if len(classes) < 2:
        raise DataError(f"the data has {len(classes)} class; at least 2 are needed: {', '.join(classes)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise DataError(
            f"labels run from {int(labels.min())} to {int(labels.max())}; expected 0 to {len(classes) - 1}"
        )
    strange = sorted(set(np.unique(data.parts).tolist()) - {"", "train", "validation", "test"})
    if strange:
        raise DataError(f"the data names a part '{strange[0]}'; allowed: train, validation, test, or none")


def _shares(settings: SplitSettings, drawn: Sequence[str]) -> npt.NDArray[np.float64]:
    """The drawn parts' shares, renormalised to sum to 1."""
    shares = {part: float(getattr(settings, part)) for part in PARTS}
    for part, share in shares.items():
        if not 0.0 <= share <= 1.0 or (part in drawn and share == 0.0):
            raise ConfigError(f"split.{part}: found {share:g}; allowed: more than 0, less than 1")
    total = sum(shares.values())
    if abs(total - 1.0) > 1e-6:
        raise ConfigError(f"split: the shares sum to {total:g} ({_listed(shares)}); they must sum to 1")
    wanted = np.array([shares[part] for part in drawn])
    normalised: npt.NDArray[np.float64] = wanted / wanted.sum()
    return normalised


def _draw(
    samples: ImageSet, pool: npt.NDArray[np.bool_], shares: Mapping[str, float], rng: np.random.Generator
) -> dict[str, Indices]:
    """Indices for each part in `shares`, disjoint, together the whole pool."""
    labels = samples.labels.numpy()
    owed = np.zeros(len(shares))
    taken: dict[str, list[Indices]] = {part: [] for part in shares}
    for label, name in enumerate(samples.classes):
        members = rng.permutation(np.flatnonzero(pool & (labels == label)))
        if len(members) < len(shares):
            raise DataError(
                f"class '{name}' has {len(members)} samples to divide; "
                f"at least {len(shares)} are needed: one each for {', '.join(shares)}"
            )
        counts = _apportion(len(members), np.array(list(shares.values())), owed)
        for part, piece in zip(shares, np.split(members, np.cumsum(counts)[:-1]), strict=True):
            taken[part].append(piece)
    return {part: rng.permutation(np.concatenate(pieces)) for part, pieces in taken.items()}


def _apportion(
    count: int, shares: npt.NDArray[np.float64], owed: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Whole numbers, each at least 1, that sum to `count`: the quotas rounded down or up.

    Args:
        count: Samples of a class, no fewer than there are shares.
        shares: What each part should get; they sum to 1.
        owed: What earlier classes' rounding left each part short of; it decides who is rounded up, so that
            the parts as wholes stay near their shares too. Brought up to date in place.
    """
    quotas = count * shares
    counts = np.maximum(np.floor(quotas + 1e-9).astype(np.int64), 1)
    while counts.sum() > count:
        counts[np.argmax(counts)] -= 1
    owed += quotas - counts
    fractional = quotas - counts > 1e-9
    up = np.argsort(np.where(fractional, -owed, np.inf), kind="stable")[: count - int(counts.sum())]
    counts[up] += 1
    owed[up] -= 1
    return counts


def _statistics(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation by channel, of pixels in [0, 1]; summed in whole numbers, so exactly."""
    means, stds = [], []
    for channel in images.unbind(dim=1):
        counts = torch.bincount(channel.reshape(-1), minlength=256).tolist()
        total = sum(counts)
        first = sum(level * count for level, count in enumerate(counts))
        second = sum(level * level * count for level, count in enumerate(counts))
        means.append(first / total / 255)
        stds.append(max(math.sqrt(total * second - first * first) / total / 255, STD_FLOOR))
    return tuple(means), tuple(stds)


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {share:g}" for part, share in shares.items())
