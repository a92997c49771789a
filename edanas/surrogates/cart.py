"""Regression trees on random feature subsets, grown all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import Array, Indices, Standardiser, at_least, training_set

Singles = npt.NDArray[np.float32]

CHUNK = 64
"""Trees grown together: enough to keep numpy busy."""

BLOCK = 4096
"""Nodes whose splits are valued together: few enough to stay in the cache."""


class CART(SurrogateModel):
    """The average of unpruned regression trees, each on a random subset of the genes; no bootstrap.

    A subset's size is uniform in 1..D. Each node takes the split that reduces the squared error most; near
    ties are broken by a draw. The trees of a chunk grow level by level together: a sparse product gives every
    node's counts and sums on the left of every possible split. Time grows as n log n.

    Args:
        seed: Decides the subsets and the ties.
        trees: How many trees are averaged; in a cross-validation half as many a fold.
        cuts: Most cut points considered for one gene; more distinct values than that are cut at quantiles.
        least: Fewest samples that a node is split for. Single samples at the ends of so many trees change no
            average's order, but are most of the nodes.
    """

    def __init__(self, seed: int = 0, trees: int = 200, cuts: int = 32, least: int = 6) -> None:
        at_least("cart", "trees", trees, 1)
        at_least("cart", "cuts", cuts, 1)
        at_least("cart", "least", least, 2)
        self.seed = seed
        self.trees = trees
        self.cuts = cuts
        self.least = least

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        rng = np.random.default_rng(self.seed)
        self._outputs = Standardiser.of(y)
        splits = _Splits.of(X, self.cuts)
        allowed = _random_subsets(rng, self.trees, X.shape[1])
        # A factor close to one breaks near ties at random, tree by tree; zero forbids a split.
        noise = rng.random((self.trees, len(splits.genes)), dtype=np.float32)
        priority = allowed[:, splits.genes] * (1 + np.float32(1e-3) * noise)
        z = self._outputs(y).astype(np.float32)
        self._forests = [
            _grow(splits, z, priority[start : start + CHUNK], self.least)
            for start in range(0, self.trees, CHUNK)
        ]
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        X = np.asarray(genomes, dtype=np.float64)
        total = sum((forest.total(X) for forest in self._forests), np.zeros(len(X)))
        return self._outputs.back(total / self.trees)

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[Indices]) -> Array:
        """See `SurrogateModel.cross_validate`: with half the trees, whose tau is about 0.01 lower."""
        half = CART(self.seed, (self.trees + 1) // 2, self.cuts, self.least)
        return SurrogateModel.cross_validate(half, genomes, values, folds)


@dataclass(frozen=True)
class _Splits:
    """Every question a node can ask: is gene `genes[k]` <= `thresholds[k]`?

    Args:
        genes: (K,).
        thresholds: (K,), each halfway between two values that occur.
        left: (n, K) 0 or 1: the training samples' answers.
    """

    genes: Indices
    thresholds: Array
    left: Singles

    @classmethod
    def of(cls, X: Array, cuts: int) -> "_Splits":
        genes, thresholds = [], []
        for gene, column in enumerate(X.T):
            found = np.unique(column)
            middle = found[:-1] + (found[1:] - found[:-1]) / 2
            if len(middle) > cuts:
                middle = np.unique(np.quantile(middle, np.linspace(0, 1, cuts), method="nearest"))
            genes.append(np.full(len(middle), gene))
            thresholds.append(middle)
        at, limits = np.concatenate(genes), np.concatenate(thresholds)
        return cls(at, limits, (X[:, at] <= limits).astype(np.float32))


@dataclass(frozen=True)
class _Forest:
    """Trees in flat arrays; the first `roots` nodes are the roots, a right child follows its left one.

    Args:
        gene: (nodes,) what a node asks for; -1 = a leaf.
        threshold: (nodes,) at most this goes left.
        child: (nodes,) the left child; a leaf's own index.
        value: (nodes,) mean of the training values that came by.
    """

    roots: int
    gene: Indices
    threshold: Array
    child: Indices
    value: Array

    def total(self, X: Array) -> Array:
        """(m, D) genes -> (m,) sum over the trees."""
        at = np.repeat(np.arange(self.roots)[:, None], len(X), axis=1)
        row = np.broadcast_to(np.arange(len(X)), at.shape)
        moving = np.nonzero(self.gene[at] >= 0)
        while len(moving[0]):
            here = at[moving]
            at[moving] = self.child[here] + (X[row[moving], self.gene[here]] > self.threshold[here])
            inner = self.gene[at[moving]] >= 0
            moving = (moving[0][inner], moving[1][inner])
        return np.asarray(self.value[at].sum(axis=0))


def _random_subsets(rng: np.random.Generator, trees: int, genes: int) -> npt.NDArray[np.bool_]:
    """(trees, genes): which genes each tree may use; sizes uniform in 1..genes."""
    sizes = rng.integers(1, genes + 1, size=(trees, 1)) if genes else np.zeros((trees, 1))
    ranks = rng.random((trees, genes)).argsort(axis=1).argsort(axis=1)
    return np.asarray(ranks < sizes)


def _grow(splits: _Splits, z: Singles, priority: Singles, least: int) -> _Forest:
    """Grow one tree a row of `priority` (trees, K), level by level, until no leaf is to be split.

    A level is: `samples` sorted by node, `start` (nodes + 1,) where each node's begin, each node's `tree`.
    """
    trees, n = len(priority), len(z)
    tree: Indices = np.arange(trees)
    samples, start = np.tile(np.arange(n), trees), np.arange(trees + 1) * n
    genes, thresholds, children, values, made = [], [], [], [], trees
    while len(tree):
        size = np.diff(start)
        node = np.repeat(np.arange(len(tree)), size)
        mean = np.add.reduceat(z[samples].astype(np.float64), start[:-1]) / size
        centred = z[samples] - mean[node].astype(np.float32)
        best, gain = _best_splits(splits, centred, samples, start, priority, tree, least)
        split = gain > 1e-9
        rank = np.cumsum(split) - 1
        genes.append(np.where(split, splits.genes[best], -1) if len(splits.genes) else np.full(len(tree), -1))
        thresholds.append(splits.thresholds[best] if len(splits.genes) else np.zeros(len(tree)))
        children.append(made + 2 * rank)
        values.append(mean)
        made += 2 * int(split.sum())
        moving = split[node]
        node, samples = node[moving], samples[moving]
        side = 2 * rank[node] + (splits.left[samples, best[node]] == 0)
        samples = samples[np.argsort(side, kind="stable")]
        start = np.concatenate([[0], np.cumsum(np.bincount(side, minlength=2 * int(split.sum())))])
        tree = np.repeat(tree[split], 2)
    return _Forest(trees, *map(np.concatenate, (genes, thresholds, children, values)))


def _best_splits(
    splits: _Splits,
    centred: Singles,
    samples: Indices,
    start: Indices,
    priority: Singles,
    tree: Indices,
    least: int,
) -> tuple[Indices, Array]:
    """Each node's best split and its score; 0 where there are too few samples or nothing can be split."""
    from scipy.sparse import csr_matrix

    best, gain = np.zeros(len(tree), dtype=np.int64), np.zeros(len(tree))
    if not len(splits.genes):
        return best, gain
    size = np.diff(start)
    at = np.flatnonzero(size >= least)
    keep = np.repeat(size >= least, size)
    centred, samples = centred[keep], samples[keep]
    bounds = np.concatenate([[0], np.cumsum(size[at])])
    for first in range(0, len(at), BLOCK):
        block, ends = at[first : first + BLOCK], bounds[first : first + BLOCK + 1]
        own = slice(ends[0], ends[-1])
        shape = len(block), len(splits.left)
        score = _scores(csr_matrix((centred[own], samples[own], ends - ends[0]), shape), splits.left)
        score *= priority[tree[block]]
        best[block] = score.argmax(axis=1)
        gain[block] = score[np.arange(len(block)), best[block]]
    return best, gain


def _scores(members: Any, left: Singles) -> Singles:
    """(nodes, K): by how much each split reduces each node's mean squared error.

    With values centred in their node, a split with sum s and count a on the left of c samples gains
    s^2 / a + s^2 / (c - a) = c s^2 / (a (c - a)).

    Args:
        members: (nodes, n) sparse matrix of the centred values in each node; its data are overwritten.
        left: (n, K) see `_Splits`.
    """
    size = np.diff(members.indptr)[:, None].astype(np.float32)
    score = members @ left
    members.data = np.ones_like(members.data)
    count = members @ left
    score *= score
    count *= size - count
    score *= count > 0.5  # the sum over an empty side is 0 but for rounding, which must not look like a gain
    score /= np.maximum(count, np.float32(0.5), out=count)
    return np.asarray(score)
