"""Expression of genes: a gene is expressed if another choice there is another candidate.

A gene is unexpressed if the choice of its variable's parent excludes the variable, or if it shapes a stage
after the end of a cut network. Genes of heads are unexpressed if the exit is not placed.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.cut_backbones import STAGES, first_stages
from edanas.core.types import Variable

Genomes = npt.NDArray[np.int64]
"""One genome (D,), or several genomes (..., D), with D genes each."""


class Expression:
    """The conditions under which the genes of a search space are expressed.

    Args:
        variables: The D variables: first those of the backbone, parents before their children.
        backbone_dimensions: Number of the backbone's variables; the thresholds follow.
        with_heads: False if genes of heads are expressed whatever the thresholds are.

    Attributes:
        parents: Index of each variable's parent; `None` for a variable without a parent.
        calls: Table (D, largest number of choices), true at [variable, i] if the i-th choice of the parent
            expresses the variable.
        cuts: True if the first gene is the number of stages.
        ends: The choices of the number of stages; empty without that gene.
        first_stage: Number of the first stage that each variable shapes, (D,).

    Example:
        >>> depth = Variable("depth", (1, 2))
        >>> kernel = Variable("layer2.kernel", (3, 5), parent="depth", when=frozenset({2}))
        >>> Expression((depth, kernel), 2).of(np.array([[0, 1], [1, 1]])).tolist()
        [[True, False], [True, True]]
    """

    def __init__(
        self, variables: Sequence[Variable], backbone_dimensions: int, *, with_heads: bool = True
    ) -> None:
        index = {variable.name: i for i, variable in enumerate(variables)}
        self._choices = [variable.choices for variable in variables]
        self.parents = [None if v.parent is None else index[v.parent] for v in variables]
        self.calls = self._called(variables)
        self.cuts = bool(variables) and variables[0].name == STAGES
        self.ends = np.array(variables[0].choices if self.cuts else [], dtype=np.int64)
        self.first_stage = np.array(list(first_stages(variables).values()), dtype=np.int64)
        self._levels = self._levels_of_the_tree()
        self._heads: list[tuple[int, int, npt.NDArray[np.bool_]]] = []
        """For each gene of a head, its index, the index of its exit's threshold, and for each choice of the
        threshold true if it places the exit. Continuous thresholds place every exit."""
        for gene, variable in enumerate(variables[:backbone_dimensions] if with_heads else ()):
            threshold = index.get(f"exit{variable.exit}.threshold")
            if variable.exit is not None and threshold is not None:
                places = np.array([choice is not None for choice in self._choices[threshold]])
                self._heads.append((gene, threshold, places))

    def _called(self, variables: Sequence[Variable]) -> npt.NDArray[np.bool_]:
        calls = np.zeros((len(variables), max(map(len, self._choices), default=1)), dtype=np.bool_)
        for child, parent in enumerate(self.parents):
            if parent is not None:
                choices = self._choices[parent]
                calls[child, : len(choices)] = [choice in variables[child].when for choice in choices]
        return calls

    def _levels_of_the_tree(self) -> list[tuple[Genomes, Genomes]]:
        """Return the indices of variables and of their parents, for each level of the tree below roots."""
        depths = np.zeros(len(self.parents), dtype=np.int64)
        for child, parent in enumerate(self.parents):
            if parent is not None:
                depths[child] = depths[parent] + 1
        levels = []
        for depth in range(1, int(depths.max(initial=0)) + 1):
            children = np.flatnonzero(depths == depth)
            levels.append((children, np.array([self.parents[child] for child in children], dtype=np.int64)))
        return levels

    def of(self, genes: Genomes) -> npt.NDArray[np.bool_]:
        """Return a mask (..., D) of genomes, true where a gene is expressed."""
        result = self.present(genes)
        for gene, threshold, places in self._heads:
            result[..., gene] &= places[genes[..., threshold]] | ~result[..., threshold]
        return result

    def present(self, genes: Genomes) -> npt.NDArray[np.bool_]:
        """Return a mask (..., D), true where a variable is expressed or belongs to an exit's unused head."""
        result = np.ones(genes.shape, dtype=np.bool_)
        if self.cuts:
            result &= self.ends[genes[..., :1]] >= self.first_stage
        for children, parents in self._levels:
            result[..., children] &= result[..., parents] & self.calls[children, genes[..., parents]]
        return result

    def order(self) -> Genomes:
        """Return the genes (D,) in an order in which every gene follows those that decide its expression."""
        heads = np.zeros(len(self.parents), dtype=np.bool_)
        heads[[gene for gene, _, _ in self._heads]] = True
        return np.argsort(heads, kind="stable")

    def size(self) -> int:
        """Return the number of genomes that differ in an expressed gene."""
        if not self.cuts:
            return self._count(np.arange(len(self.parents)))
        others = np.arange(1, len(self.parents))
        return sum(self._count(others[self.first_stage[1:] <= end]) for end in self.ends)

    def _count(self, genes: Genomes) -> int:
        """Return the number of canonical choices of the genes (m,), which include their parents' genes."""
        below: list[list[int]] = [[1] * len(choices) for choices in self._choices]
        present = set(genes.tolist())
        deciders = {gene: (threshold, places) for gene, threshold, places in self._heads}
        total = 1
        for i in reversed([int(gene) for gene in self.order() if gene in present]):
            count, parent, calls = sum(below[i]), self.parents[i], self.calls[i]
            if parent is None and i in deciders:
                parent, calls = deciders[i]
            if parent is None or parent not in present:
                total *= count
                continue
            for position in range(len(below[parent])):
                below[parent][position] *= count if calls[position] else 1
        return total
