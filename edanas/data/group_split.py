"""Split of samples in groups: all samples of a group, e.g. a speaker, are in one part."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError

Indices = npt.NDArray[np.int64]


def draw_groups(
    groups: Sequence[str],
    owner: Indices,
    labels: Indices,
    pool: npt.NDArray[np.bool_],
    shares: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, Indices]:
    """Divide the pool among the parts, so that no group and no copy of a sample is in two of them.

    Groups that share a copy of a sample count as one. The largest groups are assigned first, each to the part
    that lacks most of the samples of the group's classes, relative to the part's share.

    Args:
        groups: Group of each of S samples.
        owner: Index (S,) of the first copy of each sample in the pool.
        labels: Class (S,) of each sample.
        pool: True (S,) for samples that are divided.
        shares: Part -> share; the shares sum to 1.
        rng: Decides between groups of equal size.

    Returns:
        Part -> indices of its samples, shuffled.

    Raises:
        DataError: There are fewer groups than parts, or the train part lacks a class.

    Example:
        >>> groups, owner = ["a", "a", "b", "c"], np.arange(4)
        >>> labels, pool = np.array([0, 1, 0, 1]), np.ones(4, dtype=bool)
        >>> shares, rng = {"train": 0.6, "test": 0.4}, np.random.default_rng(0)
        >>> parts = draw_groups(groups, owner, labels, pool, shares, rng)
        >>> sorted(parts["train"].tolist())[:2]
        [0, 1]
    """
    members = np.flatnonzero(pool)
    unit = _units([groups[int(at)] for at in members], owner[members])
    count = int(unit.max()) + 1 if len(unit) else 0
    if count < len(shares):
        raise DataError(
            f"groups: found {count} to divide (groups that share a sample count as one); at least "
            f"{len(shares)} are needed: one each for {', '.join(shares)}"
        )
    sizes = np.zeros((count, int(labels.max()) + 1))
    np.add.at(sizes, (unit, labels[members]), 1)
    targets = np.array(list(shares.values()))[:, None] * sizes.sum(0)
    filled = np.zeros_like(targets)
    part_of_unit = np.zeros(count, dtype=np.int64)
    order = rng.permutation(count)
    for each in order[np.argsort(-sizes[order].sum(1), kind="stable")]:
        lacking = (targets - filled) / np.maximum(targets, 1e-9)
        part = int(np.argmax(lacking @ sizes[each]))
        part_of_unit[each] = part
        filled[part] += sizes[each]
    drawn = {
        part: rng.permutation(members[part_of_unit[unit] == number]) for number, part in enumerate(shares)
    }
    _check_classes(drawn, labels, members)
    return drawn


def group_sentences(groups: Sequence[str], indices: Mapping[str, Indices]) -> tuple[str, ...]:
    """Return a sentence on the groups of each part, and one on groups that are in two parts at once.

    Args:
        groups: Group of each sample; empty = no groups, and no sentence.
        indices: Part -> indices of its samples.

    Example:
        >>> group_sentences(["a", "b"], {"train": np.array([0]), "test": np.array([1])})
        ('The data has 2 groups, each in one part: train 1, test 1.',)
    """
    if not groups:
        return ()
    by_part = {part: {groups[int(at)] for at in each} for part, each in indices.items()}
    counts = ", ".join(f"{part} {len(each)}" for part, each in by_part.items())
    everywhere = [group for each in by_part.values() for group in each]
    shared = sorted({group for group in everywhere if everywhere.count(group) > 1})
    total = f"The data has {len(set(everywhere)):,} groups"
    if not shared:
        return (f"{total}, each in one part: {counts}.",)
    named = ", ".join(map(repr, shared[:5])) + (", ..." if len(shared) > 5 else "")
    return (
        f"{total}: {counts}.",
        f"{len(shared)} of them are in two parts at once, since the data names its parts: {named}. "
        "Accuracies on these parts are too high for new groups.",
    )


def _units(groups: Sequence[str], owner: Indices) -> Indices:
    """Return the number of the unit of each sample: samples with a common group or copy are in one unit."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, by_group = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)
    _, by_copy = np.unique(owner, return_inverse=True)
    size = len(owner)
    edges = coo_array(
        (np.ones(size), (by_group, int(by_group.max(initial=0)) + 1 + by_copy)),
        shape=(2 * size + 2, 2 * size + 2),
    )
    _, component = connected_components(edges, directed=False)
    _, unit = np.unique(component[by_group], return_inverse=True)
    return np.asarray(unit, dtype=np.int64)


def _check_classes(drawn: Mapping[str, Indices], labels: Indices, members: Indices) -> None:
    """Check that training has every class.

    Raises:
        DataError: It lacks one.
    """
    missing = (
        set(labels[members].tolist()) - set(labels[drawn["train"]].tolist()) if "train" in drawn else set()
    )
    if missing:
        raise DataError(
            f"groups: class number {min(missing)} is in too few groups for the train part; allowed: groups "
            "that hold several classes, or more groups of each class"
        )
