"""Variables of a search space, backbones, selection schemes and candidates."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

CONTINUOUS: Literal["continuous"] = "continuous"
"""The value in place of a list of thresholds if each backbone gets the best thresholds in [0, 1]."""

Thresholds = tuple[float | None, ...] | Literal["continuous"]
"""The choices at each exit point, with `None` for no exit; or `CONTINUOUS`."""

Choice = int | float
"""One value of a variable: a kernel size, a depth, a width multiplier, a resolution in pixels."""


@dataclass(frozen=True)
class Variable:
    """One dimension of a search space: a name and its ordered choices.

    Args:
        name: Name that is unique in the space, e.g. `stage2.layer3.kernel`.
        choices: The allowed values, in the order of rising cost; a gene is an index of `choices`.
        parent: Name of the variable that decides whether this variable is expressed; `None` if it always is.
        when: The parent's values (not indices) at which this variable is expressed.
        stage: Number of the first stage that the variable shapes, from 1; `None`, the default, means that it
            shapes all stages. A stage lies between two exit points. A network that ends before this stage
            lacks the variable.
        exit: Number of the exit point, from 1, whose head the variable shapes; `None`, the default, for
            variables of the backbone. The variable has no effect in a network without that exit.

    Example:
        >>> depth = Variable("depth", (1, 2))
        >>> kernel = Variable("layer2.kernel", (3, 5), parent="depth", when=frozenset({2}))
        >>> kernel.choices[1]
        5
    """

    name: str
    choices: tuple[Choice | None, ...]
    parent: str | None = None
    when: frozenset[Choice | None] = frozenset()
    stage: int | None = None
    exit: int | None = None


@dataclass(frozen=True)
class Backbone:
    """One single-exit network out of a supernet (the paper's x): its expressed choices, in order.

    Example:
        >>> backbone = Backbone.of({"resolution": 32, "width": 0.5})
        >>> backbone["width"], list(backbone)
        (0.5, ['resolution', 'width'])
        >>> backbone.id == Backbone.of({"width": 0.5, "resolution": 32}).id
        True
    """

    choices: tuple[tuple[str, Choice], ...]

    @cached_property
    def _by_name(self) -> dict[str, Choice]:
        return dict(self.choices)

    def __getitem__(self, name: str) -> Choice:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    @classmethod
    def of(cls, choices: Mapping[str, Choice]) -> "Backbone":
        """Return the backbone with the choices of a mapping, in the order of the mapping."""
        return cls(tuple(choices.items()))

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify this backbone; the order of its choices does not matter."""
        return _digest(sorted(self.choices))


@dataclass(frozen=True)
class SelectionScheme:
    """One threshold for each exit point, or `None` for no exit there.

    A sample exits at the first placed exit whose confidence is `>=` its threshold (Section IV-B of the
    paper), and otherwise at the last exit. An exit that is not placed never fires, not even at a confidence
    of exactly 1.

    Args:
        thresholds: Threshold in [0, 1] at each of the N exit points; `None` = no exit.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> scheme = SelectionScheme((0.3, None, 0.9))
        >>> scheme.placed, scheme.exits
        ((0, 2), 2)
    """

    thresholds: tuple[float | None, ...]

    def __post_init__(self) -> None:
        for index, threshold in enumerate(self.thresholds):
            if threshold is not None and not 0.0 <= threshold <= 1.0:
                raise ValueError(f"threshold {index + 1} is {threshold}; allowed: 0 to 1, or none")

    @cached_property
    def placed(self) -> tuple[int, ...]:
        """Indices of the placed exits, from 0."""
        return tuple(i for i, threshold in enumerate(self.thresholds) if threshold is not None)

    @property
    def exits(self) -> int:
        """Number of placed exits, without the last exit."""
        return len(self.placed)


@dataclass(frozen=True)
class Candidate:
    """A backbone with its selection scheme (the paper's x-tilde): an EENN that is not trained.

    Example:
        >>> candidate = Candidate(Backbone.of({"resolution": 32}), SelectionScheme((0.5, None)))
        >>> len(candidate.id)
        12
    """

    backbone: Backbone
    scheme: SelectionScheme

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify this candidate."""
        return _digest([sorted(self.backbone.choices), self.scheme.thresholds])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
