"""The search space: candidates as canonical integer genomes, and the moves between them.

A genome has one gene for each of D variables: the index of a choice. A variable may depend on a parent
variable: a layer's kernel depends on the depth, for example. If the parent's choice excludes the variable,
the variable and its gene are *unexpressed*. In a space with cut networks, the first gene is the number of
stages, and genes of later stages are unexpressed, too. A canonical genome has 0 for each unexpressed gene.
Two canonical genomes are equal if and only if their candidates are equal.

A variable of an exit's head is unexpressed if the exit is not placed. Its gene is then 0, and the backbone
has the first choice, so that the exit can be placed later.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edanas.core.cut_backbones import STAGES, stages_of
from edanas.core.errors import CandidateError, ConfigError, PluginError, unknown
from edanas.core.expression import Expression
from edanas.core.expression import Genomes as Genomes
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


class Family(Protocol):
    """A family of backbones: the part of a `SupernetProvider` that a search space needs."""

    exit_points: int
    reforms: bool

    def variables(self) -> tuple[Variable, ...]:
        """See `SupernetProvider.variables`."""

    def canonical(self, backbone: Backbone) -> Backbone:
        """See `SupernetProvider.canonical`."""


class SearchSpace:
    """All candidates: the backbone's variables, then one threshold variable for each exit point.

    A space with cut networks begins with the variable `stages`, the number of stages that a network has. A
    network that ends after stage e has the exits before exit point e only, and no variable of later stages.

    Args:
        variables: The backbone's variables, as `SupernetProvider.variables` returns them, then those of the
            heads, as `ExitClassifier.variables` returns them. Parents precede their children, and choices are
            in the order of rising cost.
        thresholds: The choices at each exit point; `None` = no exit. With `CONTINUOUS`, genomes describe
            backbones alone, and candidates have every exit, with threshold 1. Results for lower thresholds
            follow from exit profiles.
        exit_points: Number N of exit points. The threshold variables are `exit1.threshold` to
            `exitN.threshold`.
        cut: True if candidates may end at an exit point. With `CONTINUOUS` it has no effect, since the
            threshold 0 at an exit point has the result of a network that ends there.
        form: Canonical form of a backbone, see `SupernetProvider.canonical`; `None` = the backbone itself.

    Raises:
        PluginError: A variable has no choices, repeats a choice or a name, depends on an unknown
            variable, or has the reserved name `stages`.
        ConfigError: `thresholds` is empty, repeats a value, or contains a number outside [0, 1].

    Example:
        >>> space = SearchSpace((Variable("width", (0.5, 1.0)),), (0.3, None), exit_points=2)
        >>> space.size(), space.decode(np.array([1, 0, 1])).scheme.thresholds
        (8, (0.3, None))
    """

    def __init__(
        self,
        variables: tuple[Variable, ...],
        thresholds: Thresholds,
        exit_points: int,
        *,
        cut: bool = False,
        form: Callable[[Backbone], Backbone] | None = None,
    ) -> None:
        exits: tuple[Variable, ...] = ()
        if thresholds != CONTINUOUS:
            check_thresholds(thresholds)
            exits = tuple(
                Variable(f"exit{i}.threshold", thresholds, stage=i + 1) for i in range(1, exit_points + 1)
            )
        if any(variable.name == STAGES for variable in variables):
            raise PluginError(
                f"search space, variable '{STAGES}': the name is reserved; allowed: another name"
            )
        ends = (Variable(STAGES, tuple(range(1, exit_points + 2))),) if cut and exits else ()
        self.exit_points, self.form, self.thresholds = exit_points, form, thresholds
        self.backbone_dimensions = len(ends) + len(variables)
        """Number of the backbone's genes, which precede the genes of the thresholds."""
        self._number((*ends, *variables, *exits))

    @classmethod
    def of(
        cls,
        provider: Family,
        thresholds: Thresholds,
        *,
        cut: bool = False,
        heads: tuple[Variable, ...] = (),
    ) -> "SearchSpace":
        """Return the space of a provider's backbones, in its canonical form, of heads and of thresholds."""
        form = provider.canonical if provider.reforms else None
        variables = (*provider.variables(), *heads)
        return cls(variables, thresholds, provider.exit_points, cut=cut, form=form)

    def _number(self, variables: tuple[Variable, ...], *, with_heads: bool = True) -> None:
        """Set the variables, and derive their indices in a genome and the conditions among them."""
        check_variables(variables, self.backbone_dimensions)
        self.variables = variables
        self.dimensions: int = len(variables)
        self.counts: Genomes = np.array([len(v.choices) for v in self.variables], dtype=np.int64)
        self._index = {v.name: i for i, v in enumerate(self.variables)}
        self._positions = [{choice: i for i, choice in enumerate(v.choices)} for v in self.variables]
        self._expression = Expression(variables, self.backbone_dimensions, with_heads=with_heads)
        self.cuts = self._expression.cuts
        """True if the first gene is the number of stages."""
        self.first_stage = self._expression.first_stage
        """Number of the first stage that each variable shapes, (D,)."""

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
        points = range(self.exit_points)
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
        backbones = list(self.variables[: self.backbone_dimensions])
        if self.cuts:
            ends = (int(end) for end in self._expression.ends)
            possible = tuple(end for end in ends if all(allowed(point, None) for point in points[end - 1 :]))
            backbones[0] = replace(backbones[0], choices=possible)
        part = copy.copy(self)
        part._number((*backbones, *confined))
        return part

    def whole(self) -> "SearchSpace":
        """Return the part of this space that has whole networks only, without the gene `stages`.

        The genes of heads are expressed whatever the thresholds are, as in a supernet that has every head.
        """
        part = copy.copy(self)
        part.backbone_dimensions -= self.cuts
        part._number(self.variables[int(self.cuts) :], with_heads=False)
        return part

    def __contains__(self, candidate: Candidate) -> bool:
        try:
            self.encode(candidate)
        except CandidateError:
            return False
        return True

    def expressed(self, genomes: Genomes) -> npt.NDArray[np.bool_]:
        """Return a mask (..., D) of the genomes, true where a gene is expressed."""
        return self._expression.of(self._checked(genomes))

    def canonical(self, genomes: Genomes) -> Genomes:
        """Return the genomes with 0 for each unexpressed gene; each candidate has one canonical genome."""
        masked = self._masked(self._checked(genomes))
        if self.form is None or not masked.size:
            return masked
        rows = [self._reformed(row) for row in masked.reshape(-1, self.dimensions)]
        return np.stack(rows).reshape(masked.shape)

    def _masked(self, genes: Genomes) -> Genomes:
        return np.where(self.expressed(genes), genes, 0)

    def canonical_backbone(self, backbone: Backbone) -> Backbone:
        """Return the backbone that stands for all backbones with the same network; the heads stay."""
        if self.form is None:
            return backbone
        heads = {variable.name for variable in self.variables if variable.exit is not None}
        own = Backbone(tuple(each for each in backbone.choices if each[0] not in heads))
        return Backbone((*self.form(own).choices, *(e for e in backbone.choices if e[0] in heads)))

    def _reformed(self, genome: Genomes) -> Genomes:
        """Return a genome with the genes of the backbone's canonical form in place of its own."""
        backbone = self.backbone(genome)
        own = self.canonical_backbone(backbone)
        if own == backbone:
            return genome
        reformed = genome.copy()
        for i in range(int(self.cuts), self.backbone_dimensions):
            name = self.variables[i].name
            reformed[i] = self._position(i, own[name]) if name in own else 0
        return self._masked(reformed)

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
        stages = self._stages(backbone)
        genome = self._encoded({STAGES: stages, **dict(backbone.choices)}, thresholds, stages)
        return genome if self.form is None else self._reformed(genome)

    def _encoded(
        self, choices: Mapping[str, Choice], thresholds: tuple[float | None, ...], stages: int
    ) -> Genomes:
        """Return the genome of a backbone's choices, the number of stages among them, and of thresholds.

        Raises:
            CandidateError: A choice is missing, superfluous or not allowed.
        """
        genome = np.zeros(self.dimensions, dtype=np.int64)
        # Without cut networks all stages are there, in a space without exit points, too.
        expressed = (self.first_stage <= stages) | (not self.cuts)
        for i, variable in enumerate(self.variables):
            parent, name = self._expression.parents[i], variable.name
            if parent is not None:
                expressed[i] &= expressed[parent] and self._expression.calls[i, genome[parent]]
            if i < self.backbone_dimensions:
                if expressed[i] != (name in choices):
                    raise CandidateError(self._misfit(variable, present=name in choices))
                genome[i] = self._position(i, choices[name]) if expressed[i] else 0
                continue
            threshold = thresholds[i - self.backbone_dimensions]
            if not expressed[i] and threshold is not None:
                raise CandidateError(
                    f"{name}: found {threshold}; allowed: none, since the network ends after stage {stages}"
                )
            genome[i] = self._position(i, threshold) if expressed[i] else 0
        return self._masked(genome)

    def _stages(self, backbone: Backbone) -> int:
        """Return the number of stages of a candidate's backbone.

        Raises:
            CandidateError: The number is not possible, or the choice `stages` is superfluous.
        """
        total = self.exit_points + 1
        stages = stages_of(backbone, total)
        if STAGES in backbone and stages == total:
            raise CandidateError(
                f"{STAGES}: found {stages}; allowed: fewer stages, or no such choice for a whole backbone"
            )
        return stages

    def decode(self, genome: Genomes) -> Candidate:
        """Return the candidate of a genome (D,), canonical or not.

        Raises:
            CandidateError: A gene is missing or out of range; the message names the variable of a wrong gene.
        """
        genes = self._checked(genome)
        expressed = self.expressed(genes)
        exits = range(self.backbone_dimensions, self.dimensions)
        thresholds = [self._choice(i, genes) if expressed[i] else None for i in exits]
        return Candidate(self.backbone(genes), SelectionScheme(tuple(thresholds) or self._every_exit()))

    def _every_exit(self) -> tuple[float | None, ...]:
        return (1.0,) * self.exit_points

    def backbone(self, genome: Genomes) -> Backbone:
        """Return the backbone of a genome (D,): its choices, in the space's order.

        They are the expressed choices, and the first choices for heads of exits that are not placed.
        """
        genome = self._masked(self._checked(genome))
        expressed = self._expression.present(genome)
        choices: list[tuple[str, Choice]] = []
        for i in np.flatnonzero(expressed[: self.backbone_dimensions]):
            choice = self._choice(int(i), genome)
            is_whole = self.variables[i].name == STAGES and choice == self.exit_points + 1
            if choice is not None and not is_whole:
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
        return self.backbone(self.canonical(np.zeros(self.dimensions, dtype=np.int64)))

    def largest(self) -> Backbone:
        """Return the backbone with the last choice of every variable."""
        return self.backbone(self.canonical(self.counts - 1))

    def neighbours(self, genome: Genomes) -> Genomes:
        """Return all canonical genomes (m, D) that differ from `genome` in the choice of one expressed gene.

        Genes that become expressed by the change take their first choice. All rows differ: the changed gene
        remains expressed, and of rows with one canonical form the first is returned.
        """
        start = self.canonical(genome)
        genes = np.flatnonzero(self.expressed(start))
        which = np.repeat(genes, self.counts[genes] - 1)
        shift = np.concatenate([np.arange(1, n) for n in self.counts[genes]] or [np.zeros(0, dtype=np.int64)])
        moved = np.repeat(start[None], len(which), axis=0)
        moved[np.arange(len(which)), which] = (start[which] + shift) % self.counts[which]
        moved = self.canonical(moved)
        if self.form is None:
            return moved
        distinct = {row.tobytes(): row for row in moved if not np.array_equal(row, start)}
        return np.array(list(distinct.values()), dtype=np.int64).reshape(-1, self.dimensions)

    def genomes(self) -> Iterator[Genomes]:
        """Yield every canonical genome (D,) in lexicographic order; genes of heads vary first."""
        genome = np.zeros(self.dimensions, dtype=np.int64)
        order = self._expression.order()
        while True:
            if self.form is None or np.array_equal(self._reformed(genome), genome):
                yield genome.copy()
            free = np.flatnonzero((self.expressed(genome) & (genome < self.counts - 1))[order])
            if not len(free):
                return
            # A parent precedes its children: the genes after the raised gene start again from 0.
            genome[order[free[-1]]] += 1
            genome[order[free[-1] + 1 :]] = 0

    def size(self) -> int:
        """Return the number of canonical genomes; with `form`, the number of genomes before that form."""
        return self._expression.size()

    def signature(self) -> str:
        """Return twelve hexadecimal digits that identify the space: its names, choices and conditions."""
        described: list[list[Any]] = [
            [v.name, v.choices, v.parent, [bool(c) for c in self._expression.calls[i]]]
            for i, v in enumerate(self.variables)
        ]
        if self.dimensions == self.backbone_dimensions:
            described.append([CONTINUOUS, self.exit_points])
        if self.cuts:
            described.append([STAGES, self.first_stage.tolist()])
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

    def _misfit(self, variable: Variable, *, present: bool) -> str:
        fault = (
            "the candidate has this variable, but it is not expressed"
            if present
            else "missing from the candidate"
        )
        first = self.first_stage[self._index[variable.name]]
        conditions = [f"{variable.parent} is {list_of(variable.when)}"] if variable.parent else []
        conditions += [f"{STAGES} is {first} or more"] if self.cuts and first > 1 else []
        when = f" (expressed where {' and '.join(conditions)})" if conditions else ""
        return f"{variable.name}: {fault}{when}"
