"""The search space: candidates as canonical integer genomes, and the moves between them.

A genome has one gene for each of D variables: the index of a choice. A variable may depend on a parent
variable: a layer's kernel depends on the depth, for example. If the parent's choice excludes the variable,
the variable and its gene are *unexpressed*. A canonical genome has 0 for each unexpressed gene. Two canonical
genomes are equal if and only if their candidates are equal.
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
"""One genome (D,), or several genomes (..., D), with D genes each."""


class SearchSpace:
    """All candidates: the backbone's variables, then one threshold variable for each exit point.

    Args:
        variables: The backbone's variables, as `SupernetProvider.variables` returns them. Parents precede
            their children, and choices are in the order of rising cost.
        thresholds: The choices at each exit point; `None` = no exit. With `CONTINUOUS`, genomes describe
            backbones alone, and candidates have every exit, with threshold 1. Results for lower thresholds
            follow from exit profiles.
        exit_points: Number N of exit points. The threshold variables are `exit1.threshold` to
            `exitN.threshold`.

    Raises:
        PluginError: A variable has no choices, repeats a choice or a name, or depends on an unknown
            variable.
        ConfigError: `thresholds` is empty, repeats a value, or contains a number outside [0, 1].

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
        """Number of the backbone's genes, which precede the genes of the thresholds."""
        self._number((*variables, *exits))

    def _number(self, variables: tuple[Variable, ...]) -> None:
        """Set the variables, and derive their indices in a genome and the conditions among them."""
        check_variables(variables, self.backbone_dimensions)
        self.variables = variables
        self.dimensions: int = len(variables)
        self.counts: Genomes = np.array([len(v.choices) for v in self.variables], dtype=np.int64)
        self._index = {v.name: i for i, v in enumerate(self.variables)}
        self._positions = [{choice: i for i, choice in enumerate(v.choices)} for v in self.variables]
        self._parents = [None if v.parent is None else self._index[v.parent] for v in self.variables]
        self._levels, self._calls = self._conditions()

    def _conditions(self) -> tuple[list[tuple[Genomes, Genomes]], npt.NDArray[np.bool_]]:
        """Return the conditions under which variables are expressed.

        Returns:
            For each level of the tree below its roots, the indices of the variables there and of their
            parents; and a table (D, largest number of choices). It is true at [variable, i] if the i-th
            choice of the parent expresses the variable.
        """
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
        """Return the part of this space that has allowed thresholds only.

        Args:
            allowed: Takes an exit point, from 0, and a threshold, or `None` for no exit; returns whether the
                choice is allowed.

        Raises:
            ConfigError: Thresholds are continuous, or an exit point has no allowed choice.
        """
        if self.dimensions == self.backbone_dimensions:
            raise ConfigError("thresholds: found 'continuous'; allowed for this search strategy: a list")
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
        """Return a mask (..., D) of the genomes, true where a gene is expressed."""
        genes = self._checked(genomes)
        result = np.ones(genes.shape, dtype=np.bool_)
        for children, parents in self._levels:
            result[..., children] = result[..., parents] & self._calls[children, genes[..., parents]]
        return result

    def canonical(self, genomes: Genomes) -> Genomes:
        """Return the genomes with 0 for each unexpressed gene; each candidate has one canonical genome."""
        genes = self._checked(genomes)
        return np.where(self.expressed(genes), genes, 0)

    def encode(self, candidate: Candidate) -> Genomes:
        """Return the canonical genome (D,) of a candidate.

        Raises:
            CandidateError: The candidate is not in this space; the message names the first wrong variable.
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
            raise CandidateError(
                f"thresholds: found {thresholds}; they are continuous in this run, so each must be 1"
            )
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
            CandidateError: A gene is missing or out of range; the message names the variable of a wrong gene.
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
        """Draw random canonical genomes (count, D), which may repeat; expressed genes are uniform."""
        return self.canonical(rng.integers(0, self.counts, size=(count, self.dimensions), dtype=np.int64))

    def sample_backbone(self, rng: np.random.Generator) -> Backbone:
        """Draw a random backbone; each expressed variable is uniform over its choices."""
        return self.backbone(self.sample(rng, 1)[0])

    def smallest(self) -> Backbone:
        """Return the backbone with the first choice of every variable."""
        return self.backbone(np.zeros(self.dimensions, dtype=np.int64))

    def largest(self) -> Backbone:
        """Return the backbone with the last choice of every variable."""
        return self.backbone(self.counts - 1)

    def neighbours(self, genome: Genomes) -> Genomes:
        """Return all canonical genomes (m, D) that differ from `genome` in the choice of one expressed gene.

        Genes that become expressed by the change take their first choice. All rows differ, since the changed
        gene remains expressed.
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
            # A parent precedes its children: the genes after the raised gene start again from 0.
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
        """Return twelve hexadecimal digits that identify the space: its names, choices and conditions."""
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
                f"genome: {genes.dtype} of shape {genes.shape}; allowed: {self.dimensions} "
                "integers per genome"
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
        fault = (
            "the candidate has this variable, but it is not expressed"
            if present
            else "missing from the candidate"
        )
        when = f" (expressed where {variable.parent} is {list_of(variable.when)})" if variable.parent else ""
        return f"{variable.name}: {fault}{when}"
