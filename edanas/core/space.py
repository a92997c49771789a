"""The search space: candidates as canonical integer genomes, and the moves between them.

A genome has one integer for each variable: the position of its choice. A variable may depend on another, e.g.
the kernel of a layer that only some depths have. If its parent's choice excludes it, it is *unexpressed*, and
its gene is 0 in the canonical form. Two canonical genomes are equal if and only if their candidates are.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import CandidateError, ConfigError, unknown
from edanas.core.types import (
    CONTINUOUS,
    Backbone,
    Candidate,
    Choice,
    SelectionScheme,
    Thresholds,
    Variable,
)
from edanas.core.variables import check_thresholds, check_variables, list_of, text_of

Genomes = npt.NDArray[np.int64]


class SearchSpace:
    """All candidates: the backbone's variables, then one threshold variable for each exit point.

    Args:
        variables: The backbone's dimensions, as `SupernetProvider.variables` gives them: a parent before its
            children, choices in the order of rising cost.
        thresholds: The choices at each exit point; `None` = no exit. If they are `CONTINUOUS`, genomes are
            backbones alone, and their candidates have every exit, with threshold 1. Results for lower
            thresholds follow from the exit profile by arithmetic.
        exit_points: N; the appended variables are `exit1.threshold` to `exitN.threshold`.

    Raises:
        PluginError: A variable has no choices, repeats a choice or a name, or depends on an unknown one.
        ConfigError: `thresholds` is empty, repeats a value, or has one outside [0, 1].

    Example:
        >>> space = SearchSpace((Variable("width", (0.5, 1.0)),), (0.3, None), exit_points=2)
        >>> space.size(), space.decode(np.array([1, 0, 1])).scheme.thresholds
        (8, (0.3, None))
    """

    def __init__(self, variables: tuple[Variable, ...], thresholds: Thresholds, exit_points: int) -> None:
        exits: tuple[Variable, ...] = ()
        if thresholds != CONTINUOUS:
            check_thresholds(thresholds)
            exits = tuple(Variable(f"exit{i + 1}.threshold", thresholds) for i in range(exit_points))
        self.exit_points = exit_points
        self.backbone_dimensions = len(variables)
        """Number of genes before those of the thresholds."""
        self._number((*variables, *exits))

    def _number(self, variables: tuple[Variable, ...]) -> None:
        """Set the variables, and their positions in a genome."""
        check_variables(variables, self.backbone_dimensions)
        self.variables = variables
        self.dimensions: int = len(variables)
        self.counts: Genomes = np.array([len(v.choices) for v in self.variables], dtype=np.int64)
        self._index = {v.name: i for i, v in enumerate(self.variables)}
        self._positions = [{choice: i for i, choice in enumerate(v.choices)} for v in self.variables]
        self._parents = [None if v.parent is None else self._index[v.parent] for v in self.variables]
        self._levels, self._calls = self._conditions()

    def _conditions(self) -> tuple[list[tuple[Genomes, Genomes]], npt.NDArray[np.bool_]]:
        """Return children and parents by level of the tree, and `calls[child, parent's position]`."""
        calls = np.zeros((self.dimensions, int(self.counts.max(initial=1))), dtype=np.bool_)
        depths = np.zeros(self.dimensions, dtype=np.int64)
        for child, parent in enumerate(self._parents):
            if parent is not None:
                depths[child] = depths[parent] + 1
                when = self.variables[child].when
                choices = self.variables[parent].choices
                calls[child, : len(choices)] = [choice in when for choice in choices]
        levels = []
        for depth in range(1, int(depths.max(initial=0)) + 1):
            children = np.flatnonzero(depths == depth)
            levels.append((children, np.array([self._parents[child] for child in children], dtype=np.int64)))
        return levels, calls

    def confined(self, allowed: Callable[[int, float | None], bool]) -> "SearchSpace":
        """Return the part of this space with allowed thresholds only.

        Args:
            allowed: Returns whether an exit point (from 0) may have a threshold, or `None` for no exit.

        Raises:
            ConfigError: Thresholds are continuous, or an exit point has no allowed choice.
        """
        if self.dimensions == self.backbone_dimensions:
            raise ConfigError("thresholds: found continuous ones; allowed here: a list, to leave some out")
        confined = []
        for point, variable in enumerate(self.variables[self.backbone_dimensions :]):
            choices = tuple(choice for choice in variable.choices if allowed(point, choice))
            if not choices:
                listed = ", ".join(map(text_of, variable.choices))
                needed = '"none"' if allowed(point, None) else "a number"
                raise ConfigError(
                    f"thresholds: found {listed}; at exit point {point + 1} the strategy needs {needed} "
                    "among them"
                )
            confined.append(replace(variable, choices=choices))
        part = copy.copy(self)
        part._number((*self.variables[: self.backbone_dimensions], *confined))
        return part

    def __contains__(self, candidate: Candidate) -> bool:
        try:
            self.encode(candidate)
        except CandidateError:
            return False
        return True

    def expressed(self, genomes: Genomes) -> npt.NDArray[np.bool_]:
        """Return (..., D) bool for (..., D) genes: true where a gene is expressed."""
        genes = self._checked(genomes)
        result = np.ones(genes.shape, dtype=np.bool_)
        for children, parents in self._levels:
            result[..., children] = result[..., parents] & self._calls[children, genes[..., parents]]
        return result

    def canonical(self, genomes: Genomes) -> Genomes:
        """Return (..., D) genes with unexpressed genes at 0: the only such genome of each candidate."""
        genes = self._checked(genomes)
        return np.where(self.expressed(genes), genes, 0)

    def encode(self, candidate: Candidate) -> Genomes:
        """Return the canonical genome (D,) of a candidate.

        Raises:
            CandidateError: The candidate is of another space; the text names the first differing variable.
        """
        backbone, thresholds = candidate.backbone, candidate.scheme.thresholds
        exit_points = self.exit_points
        for name in backbone:
            if self._index.get(name, self.dimensions) >= self.backbone_dimensions:
                raise CandidateError(unknown("variable", name, self._names()))
        if len(thresholds) != exit_points:
            extra = min(len(thresholds), exit_points) + 1
            raise CandidateError(
                f"exit{extra}.threshold: found {len(thresholds)} exit points; this space has {exit_points}"
            )
        if self.dimensions == self.backbone_dimensions and thresholds != self._every_exit():
            raise CandidateError(f"thresholds: found {thresholds}; here they are continuous: each must be 1")
        genome = np.zeros(self.dimensions, dtype=np.int64)
        expressed = np.ones(self.dimensions, dtype=np.bool_)
        for i, variable in enumerate(self.variables):
            parent = self._parents[i]
            if parent is not None:
                expressed[i] = expressed[parent] and self._calls[i, genome[parent]]
            if i >= self.backbone_dimensions:
                genome[i] = self._position(i, thresholds[i - self.backbone_dimensions])
            elif expressed[i] != (variable.name in backbone):
                raise CandidateError(self._misfit(variable, present=variable.name in backbone))
            elif expressed[i]:
                genome[i] = self._position(i, backbone[variable.name])
        return genome

    def decode(self, genome: Genomes) -> Candidate:
        """Return the candidate of a genome (D,), canonical or not.

        Raises:
            CandidateError: A gene is missing or out of range; the text names the variable.
        """
        genes = self._checked(genome)
        thresholds = [self._choice(i, genes) for i in range(self.backbone_dimensions, self.dimensions)]
        return Candidate(self.backbone(genes), SelectionScheme(tuple(thresholds) or self._every_exit()))

    def _every_exit(self) -> tuple[float | None, ...]:
        return (1.0,) * self.exit_points

    def backbone(self, genome: Genomes) -> Backbone:
        """Return the backbone of a genome (D,): its expressed choices, in the space's order."""
        expressed = self.expressed(genome)
        choices: list[tuple[str, Choice]] = []
        for i in np.flatnonzero(expressed[: self.backbone_dimensions]):
            choice = self._choice(int(i), genome)
            if choice is not None:
                choices.append((self.variables[i].name, choice))
        return Backbone(tuple(choices))

    def sample(self, rng: np.random.Generator, count: int) -> Genomes:
        """Draw (count, D) canonical genomes, expressed genes uniform over their choices; they may repeat."""
        return self.canonical(rng.integers(0, self.counts, size=(count, self.dimensions), dtype=np.int64))

    def sample_backbone(self, rng: np.random.Generator) -> Backbone:
        """Draw a random backbone, each expressed choice uniform."""
        return self.backbone(self.sample(rng, 1)[0])

    def smallest(self) -> Backbone:
        """Return the backbone of all first choices."""
        return self.backbone(np.zeros(self.dimensions, dtype=np.int64))

    def largest(self) -> Backbone:
        """Return the backbone of all last choices."""
        return self.backbone(self.counts - 1)

    def neighbours(self, genome: Genomes) -> Genomes:
        """Return all canonical genomes (m, D) with another choice for one expressed gene.

        Genes that the change expresses take their first choice. All rows differ: they differ in the changed
        gene, which remains expressed, since its ancestors do not change.
        """
        start = self.canonical(genome)
        genes = np.flatnonzero(self.expressed(start))
        which = np.repeat(genes, self.counts[genes] - 1)
        shift = np.concatenate([np.arange(1, n) for n in self.counts[genes]] or [np.zeros(0, dtype=np.int64)])
        moved = np.repeat(start[None], len(which), axis=0)
        moved[np.arange(len(which)), which] = (start[which] + shift) % self.counts[which]
        return self.canonical(moved)

    def genomes(self) -> Iterator[Genomes]:
        """Yield every canonical genome (D,) in lexicographic order."""
        genome = np.zeros(self.dimensions, dtype=np.int64)
        while True:
            yield genome.copy()
            free = np.flatnonzero(self.expressed(genome) & (genome < self.counts - 1))
            if not len(free):
                return
            # A parent precedes its children: the genes after the raised one start again from 0.
            genome[free[-1]] += 1
            genome[free[-1] + 1 :] = 0

    def size(self) -> int:
        """Return the exact number of canonical genomes."""
        below: list[list[int]] = [[1] * len(v.choices) for v in self.variables]
        total = 1
        for i in reversed(range(self.dimensions)):
            count, parent = sum(below[i]), self._parents[i]
            if parent is None:
                total *= count
                continue
            for position in range(len(below[parent])):
                below[parent][position] *= count if self._calls[i, position] else 1
        return total

    def signature(self) -> str:
        """Return twelve hexadecimal digits that differ if names, choices or conditions differ."""
        described: list[list[Any]] = [
            [v.name, v.choices, v.parent, [bool(c) for c in self._calls[i]]]
            for i, v in enumerate(self.variables)
        ]
        if self.dimensions == self.backbone_dimensions:
            described.append([CONTINUOUS, self.exit_points])
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:12]

    def _checked(self, genomes: Genomes) -> Genomes:
        genes = np.asarray(genomes)
        if genes.shape[-1:] != (self.dimensions,) or not np.issubdtype(genes.dtype, np.integer):
            raise CandidateError(
                f"genome: {genes.dtype} of shape {genes.shape}; allowed: {self.dimensions} integers each"
            )
        outside = (genes < 0) | (genes >= self.counts)
        if outside.any():
            at = tuple(np.argwhere(outside)[0])
            raise CandidateError(
                f"{self.variables[at[-1]].name}: gene {genes[at]}; allowed: 0 to {self.counts[at[-1]] - 1}"
            )
        return genes.astype(np.int64, copy=False)

    def _choice(self, index: int, genome: Genomes) -> Choice | None:
        return self.variables[index].choices[int(genome[index])]

    def _position(self, index: int, choice: Choice | None) -> int:
        try:
            return self._positions[index][choice]
        except KeyError:
            variable = self.variables[index]
            allowed = ", ".join(map(text_of, variable.choices))
            raise CandidateError(f"{variable.name}: found {text_of(choice)}; allowed: {allowed}") from None

    def _names(self) -> list[str]:
        return [v.name for v in self.variables[: self.backbone_dimensions]]

    @staticmethod
    def _misfit(variable: Variable, *, present: bool) -> str:
        fault = "the candidate has it, but it is not expressed" if present else "missing from the candidate"
        when = f" (it is where {variable.parent} is {list_of(variable.when)})" if variable.parent else ""
        return f"{variable.name}: {fault}{when}"
