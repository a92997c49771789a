"""The split of the data into four disjoint parts, stratified by class and reproducible by a seed."""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.errors import ConfigError, DataError
from edanas.core.mapped import pieces
from edanas.core.settings import SplitSettings
from edanas.core.types import DataParts, ImageSet, LoadedData
from edanas.data.duplicates import first_copies
from edanas.data.group_split import Indices, draw_groups

PARTS = ("train", "calibration", "validation", "test")
"""Names of the parts, in the order in which they are drawn."""


STD_FLOOR = 1e-3
"""Smallest standard deviation that `split` returns, so that constant channels can be normalised."""


def split(data: LoadedData, settings: SplitSettings, seed: int) -> DataParts:
    """Divide `data` into train, calibration, validation and test part.

    The samples that `data.parts` assigns to `validation` or `test` form this part. All other samples, the
    pool, are divided among the other parts, whose shares are rescaled to sum to 1. In each class, a part gets
    its share rounded down or up, and at least one sample. Pool samples with equal pixels are in one part, and
    count as one sample of the class of the first. The samples of a part are shuffled, so that the first
    samples of a part are a random sample. All pool samples of a group are in one part; parts then follow
    their shares as far as the sizes of the groups allow.

    Args:
        data: The samples, and the part that each sample belongs to, if the data source defines it.
        settings: The shares of the four parts.
        seed: A whole number of 0 or more. The same seed and data give the same split.

    Returns:
        The four parts, with mean and standard deviation of each channel of the training images in [0, 1], or
        of the training series.

    Raises:
        ConfigError: A share is negative, or 0 for a part that is drawn, or the shares do not sum to 1.
        DataError: The data is inconsistent, or a class has fewer different pool samples than there are parts
            to draw.

    Example:
        >>> labels = torch.arange(20) % 2
        >>> images = torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1)
        >>> samples = ImageSet(images, labels, ("a", "b"))
        >>> parts = split(LoadedData(samples, np.full(20, ""), ()), SplitSettings(0.6, 0.1, 0.1, 0.2), seed=0)
        >>> len(parts.train), len(parts.calibration), len(parts.validation), len(parts.test)
        (12, 2, 2, 4)
    """
    return parts_of(data, split_indices(data, settings, seed))


def parts_of(data: LoadedData, indices: Mapping[str, Indices]) -> DataParts:
    """Return the parts of a data set with the samples at `indices`; see `split_indices`."""
    train, calibration, validation, test = (data.samples.subset(indices[part]) for part in PARTS)
    mean, std = _statistics(train.images)
    return DataParts(train, calibration, validation, test, mean, std, data.front_end)


def digest_of(*sets: ImageSet) -> str:
    """Return a digest of the images and labels of sets of samples: 16 hexadecimal digits of BLAKE2b.

    Example:
        >>> samples = ImageSet(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
        >>> len(digest_of(samples)), digest_of(samples) == digest_of(samples, samples)
        (16, False)
    """
    digest = hashlib.blake2b(digest_size=8)
    for samples in sets:
        for tensor in (samples.images, samples.labels):
            digest.update(repr(tuple(tensor.shape)).encode())
            for piece in pieces(tensor):
                digest.update(piece.contiguous().numpy().data)
    return digest.hexdigest()


def split_indices(data: LoadedData, settings: SplitSettings, seed: int) -> dict[str, Indices]:
    """Return the indices of the samples of each part; see `split`.

    Raises:
        ConfigError: See `split`.
        DataError: See `split`; or there are fewer groups than parts to draw.
    """
    _check_data(data)
    named_parts = set(np.unique(data.parts).tolist()) - {"", "train"}
    drawn = [part for part in PARTS if part not in named_parts]
    shares = _shares(settings, drawn)
    rng = np.random.default_rng(seed)
    pool = np.isin(data.parts, ["", "train"])
    by_part = dict(zip(drawn, shares, strict=True))
    if data.groups:
        owner = _first_in_pool(data.samples.images, pool)
        indices = draw_groups(data.groups, owner, data.samples.labels.numpy(), pool, by_part, rng)
    else:
        indices = _draw(data.samples, pool, by_part, rng)
    for part in sorted(named_parts):
        indices[part] = rng.permutation(np.flatnonzero(data.parts == part))
    return {part: indices[part] for part in PARTS}


def _check_data(data: LoadedData) -> None:
    images, labels, classes = data.samples.images, data.samples.labels, data.samples.classes
    pictures = images.dtype == torch.uint8 and images.ndim == 4 and images.shape[1] in (1, 3)
    series = images.dtype == torch.float32 and images.ndim == 4 and images.shape[2] == 1
    if not pictures and not series:
        raise DataError(
            f"samples are {images.dtype} of shape {tuple(images.shape)}; expected images of uint8 "
            "(N, 1 or 3, H, W), or series of float32 (N, C, 1, L)"
        )
    if not len(images) == len(labels) == len(data.parts):
        raise DataError(
            f"the data has {len(images)} samples, {len(labels)} labels and {len(data.parts)} part names; "
            "the three numbers must be equal"
        )
    if data.groups and len(data.groups) != len(labels):
        raise DataError(
            f"the data has {len(labels)} samples and {len(data.groups)} groups; expected one for each"
        )
    if len(classes) < 2:
        raise DataError(f"the data has {len(classes)} class; at least 2 are needed: {', '.join(classes)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise DataError(
            f"labels run from {int(labels.min())} to {int(labels.max())}; expected 0 to {len(classes) - 1}"
        )
    unknown = sorted(set(np.unique(data.parts).tolist()) - {"", "train", "validation", "test"})
    if unknown:
        raise DataError(
            f"the data names a part '{unknown[0]}'; allowed: train, validation, test, or an empty name"
        )


def _shares(settings: SplitSettings, drawn: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the shares of the parts named in `drawn`, rescaled to sum to 1."""
    shares = {part: float(getattr(settings, part)) for part in PARTS}
    for part, share in shares.items():
        if not 0.0 <= share <= 1.0 or (part in drawn and share == 0.0):
            raise ConfigError(f"split.{part}: found {share:g}; allowed: more than 0, less than 1")
    total = sum(shares.values())
    if abs(total - 1.0) > 1e-6:
        raise ConfigError(f"split: the shares sum to {total:g} ({_share_list(shares)}); they must sum to 1")
    drawn_shares = np.array([shares[part] for part in drawn])
    normalised: npt.NDArray[np.float64] = drawn_shares / drawn_shares.sum()
    return normalised


def _draw(
    samples: ImageSet, pool: npt.NDArray[np.bool_], shares: Mapping[str, float], rng: np.random.Generator
) -> dict[str, Indices]:
    """Divide the indices of the pool among the parts in `shares`; return part -> indices."""
    labels, owner = samples.labels.numpy(), _first_in_pool(samples.images, pool)
    copies = np.flatnonzero(pool & (owner != np.arange(len(owner))))
    shortfall = np.zeros(len(shares))
    pieces_of: dict[str, list[Indices]] = {part: [] for part in shares}
    for label, name in enumerate(samples.classes):
        members = rng.permutation(np.flatnonzero(pool & (labels == label)))
        copied = np.isin(members, copies).sum()
        members = members[owner[members] == members]
        if len(members) < len(shares):
            besides = f", besides {copied} copies of samples" if copied else ""
            number = f"{len(members)} sample{'' if len(members) == 1 else 's'}"
            raise DataError(
                f"class '{name}' has {number} to divide{besides}; "
                f"at least {len(shares)} are needed: one each for {', '.join(shares)}"
            )
        counts = _apportion(len(members), np.array(list(shares.values())), shortfall)
        for part, piece in zip(shares, np.split(members, np.cumsum(counts)[:-1]), strict=True):
            pieces_of[part].append(piece)
    drawn = {part: np.concatenate(pieces) for part, pieces in pieces_of.items()}
    return {
        part: rng.permutation(np.concatenate([members, copies[np.isin(owner[copies], members)]]))
        for part, members in drawn.items()
    }


def _first_in_pool(images: torch.Tensor, pool: npt.NDArray[np.bool_]) -> Indices:
    """Return for each sample of the pool the index of the first sample of the pool with equal pixels.

    Samples outside the pool have their own index.
    """
    members = np.flatnonzero(pool)
    _, first, group = np.unique(first_copies(images)[members], return_index=True, return_inverse=True)
    owner = np.arange(len(pool))
    owner[members] = members[first[group]]
    return owner


def _apportion(
    count: int, shares: npt.NDArray[np.float64], shortfall: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Divide the samples of one class among the parts; return the number of samples for each part.

    The numbers are `count * shares`, rounded down or up to at least 1, and sum to `count`.

    Args:
        count: Number of samples of the class, at least the number of parts.
        shares: The share of each part; they sum to 1.
        shortfall: Number of samples that each part lacks after the rounding for earlier classes, updated in
            place. The parts that lack most are rounded up, so that the sizes of the parts follow the shares.
    """
    quotas = count * shares
    counts = np.maximum(np.floor(quotas + 1e-9).astype(np.int64), 1)
    while counts.sum() > count:
        counts[np.argmax(counts)] -= 1
    shortfall += quotas - counts
    fractional = quotas - counts > 1e-9
    up = np.argsort(np.where(fractional, -shortfall, np.inf), kind="stable")[: count - int(counts.sum())]
    counts[up] += 1
    shortfall[up] -= 1
    return counts


def _statistics(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, for pixels in [0, 1]; sums are exact integers.

    The statistics of series leave padding out.
    """
    if images.is_floating_point():
        return _statistics_of_series(images)
    means, stds = [], []
    levels = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for piece in pieces(images):
        for channel in range(images.shape[1]):
            levels[channel] += torch.bincount(piece[:, channel].reshape(-1), minlength=256)
    for counts in levels.tolist():
        total = sum(counts)
        first = sum(level * count for level, count in enumerate(counts))
        second = sum(level * level * count for level, count in enumerate(counts))
        means.append(first / total / 255)
        stds.append(max(math.sqrt(total * second - first * first) / total / 255, STD_FLOOR))
    return tuple(means), tuple(stds)


def _statistics_of_series(series: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    means, stds = [], []
    for channel in series.unbind(dim=1):
        values = channel[~channel.isnan()].double().numpy()
        means.append(float(values.mean()))
        floor = max(float(np.abs(values).max()) * STD_FLOOR, float(np.finfo(np.float32).tiny))
        stds.append(max(float(values.std()), floor))
    return tuple(means), tuple(stds)


def _share_list(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {share:g}" for part, share in shares.items())
