"""The surrogate model `cart`: regression trees on random feature subsets, grown in parallel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import Array, Indices, Standardiser, at_least, training_set

Singles = npt.NDArray[np.float32]

CHUNK = 64
"""Number of trees that grow at the same time, so that numpy works on large arrays."""

BLOCK = 4096
"""Number of nodes whose splits are scored at the same time; their data fit into the processor's cache."""


class CART(SurrogateModel):
    """The average of unpruned regression trees, each on a random subset of the genes; no bootstrap.

    The size of a subset is uniform between 1 and the number of genes. Each node takes the split that reduces
    the squared error most; near ties are broken at random. Many trees grow at the same time, level by level:
    a sparse matrix product gives the number and the sum of the samples on the left of every possible split of
    every node. With n samples, the time grows as n log n.

    Args:
        seed: Determines the random subsets and the choice in near ties.
        trees: Number of averaged trees, 1 or more. A cross-validation uses half of this number in each fold.
        cuts: Largest number of cut points of one gene, 1 or more. A gene with more distinct values is cut at
            quantiles.
        least: Smallest number of samples in a node that is split further, 2 or more. Smaller nodes would
            hardly change the ranking of the averages, but would be most of the nodes.

    Example:
        >>> genomes = np.arange(40.0)[:, None]
        >>> model = CART(trees=20).fit(genomes, (genomes[:, 0] >= 20).astype(float))
        >>> model.predict(np.array([[3.0], [33.0]])).round(1)
        array([0., 1.])
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
        # Factor on each split's score in each tree: 0 for a forbidden split, else about 1 to break near ties.
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
        """See `SurrogateModel.cross_validate`.

        Half of the trees are used, which lowers Kendall's tau by about 0.01.
        """
        half = CART(self.seed, (self.trees + 1) // 2, self.cuts, self.least)
        return SurrogateModel.cross_validate(half, genomes, values, folds)


@dataclass(frozen=True)
class _Splits:
    """The K possible splits of a node: in split k, samples with gene `genes[k]` <= `thresholds[k]` go left.

    Args:
        genes: Index of the gene of each split, (K,).
        thresholds: Cut point of each split, (K,), halfway between two values of the gene in the samples.
        left: Matrix (n, K) with 1 if the training sample goes left in the split, otherwise 0.
    """

    genes: Indices
    thresholds: Array
    left: Singles

    @classmethod
    def of(cls, X: Array, cuts: int) -> "_Splits":
        genes, thresholds = [], []
        for gene, column in enumerate(X.T):
            values = np.unique(column)
            middle = values[:-1] + (values[1:] - values[:-1]) / 2
            if len(middle) > cuts:
                middle = np.unique(np.quantile(middle, np.linspace(0, 1, cuts), method="nearest"))
            genes.append(np.full(len(middle), gene))
            thresholds.append(middle)
        at, limits = np.concatenate(genes), np.concatenate(thresholds)
        return cls(at, limits, (X[:, at] <= limits).astype(np.float32))


@dataclass(frozen=True)
class _Forest:
    """Regression trees in flat arrays with one entry for each node.

    The first `roots` nodes are the roots. The right child of a node directly follows the left child.

    Args:
        roots: Number of trees.
        gene: Index of the gene by which the node is split; -1 for a leaf.
        threshold: Cut point of the split; samples with a value of at most the cut point go left.
        child: Index of the left child; without meaning for a leaf.
        value: Mean of the training values in the node.
    """

    roots: int
    gene: Indices
    threshold: Array
    child: Indices
    value: Array

    def total(self, X: Array) -> Array:
        """Return the sum of the predictions of all trees for m genomes: (m, D) -> (m,)."""
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
    """Return a boolean for each tree and gene, (trees, genes): true if the tree may use the gene.

    The number of genes of a tree is uniform in 1..genes.
    """
    sizes = rng.integers(1, genes + 1, size=(trees, 1)) if genes else np.zeros((trees, 1))
    ranks = rng.random((trees, genes)).argsort(axis=1).argsort(axis=1)
    return np.asarray(ranks < sizes)


def _grow(splits: _Splits, z: Singles, priority: Singles, least: int) -> _Forest:
    """Return trees that are grown level by level until no leaf can be split, one for each row of `priority`.

    Args:
        splits: The K possible splits.
        z: Standardised training values, (n,).
        priority: Factor on the score of each split in each tree, (trees, K); 0 forbids a split.
        least: Smallest number of samples in a node that is split.
    """
    # `samples` holds the samples of the nodes of a level, sorted by node. `tree` holds the tree of each node.
    # `start`, (nodes + 1,), holds the position of each node's first sample in `samples`.
    trees, n = len(priority), len(z)
    tree: Indices = np.arange(trees)
    samples, start = np.tile(np.arange(n), trees), np.arange(trees + 1) * n
    genes, thresholds, children, values, node_count = [], [], [], [], trees
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
        children.append(node_count + 2 * rank)
        values.append(mean)
        node_count += 2 * int(split.sum())
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
    """Return the best split of each node and its score; the score is 0 if the node cannot be split.

    A node cannot be split if it has fewer than `least` samples, or if no split is possible.

    Args:
        splits: The K possible splits.
        centred: Training values of `samples`, minus the mean of the node.
        samples: Samples of all nodes, sorted by node.
        start: Position of each node's first sample in `samples`, (nodes + 1,).
        priority: Factor on the score of each split in each tree, (trees, K).
        tree: Tree of each node, (nodes,).
        least: Smallest number of samples in a node that is split.
    """
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
    """Return the reduction of each node's mean squared error by each split, (nodes, K).

    The values in a node have mean 0. Suppose that a split of c samples puts a samples with the sum s on the
    left. It reduces the squared error by `s^2 / a + s^2 / (c - a) = c s^2 / (a (c - a))`.

    Args:
        members: Sparse matrix (nodes, n) of the samples' values, minus the mean of the node. Its data are
            overwritten.
        left: Matrix (n, K) with 1 for samples on the left; see `_Splits`.
    """
    size = np.diff(members.indptr)[:, None].astype(np.float32)
    score = members @ left
    members.data = np.ones_like(members.data)
    count = members @ left
    score *= score
    count *= size - count
    score *= count > 0.5  # if one side is empty, rounding can make the score slightly larger than 0
    score /= np.maximum(count, np.float32(0.5), out=count)
    return np.asarray(score)
