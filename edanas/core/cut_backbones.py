"""Cut backbones: the backbones of networks that end at an exit point.

A backbone holds the choice `stages` if its network ends after that number of stages. The exit classifier
there is then the last exit, and later stages are neither stored nor run. A whole backbone has no such choice.
"""

from collections.abc import Sequence

from edanas.core.errors import CandidateError
from edanas.core.types import Backbone, Choice, Variable

STAGES = "stages"
"""Name of the choice that holds the number of stages of a cut backbone."""

NO_CHOICES = Backbone(())
"""No choices, for heads without variables and for heads of the first choices."""


def stages_of(backbone: Backbone, total: int) -> int:
    """Return the number of stages of a backbone, from 1 to `total`.

    Args:
        backbone: The backbone, whole or cut.
        total: Number M of stages of the whole backbone.

    Raises:
        CandidateError: The backbone's choice `stages` is not a whole number from 1 to M.

    Example:
        >>> stages_of(Backbone.of({"resolution": 32, "stages": 2}), 5), stages_of(Backbone(()), 5)
        (2, 5)
    """
    stages = dict(backbone.choices).get(STAGES, total)
    if stages not in range(1, total + 1):
        raise CandidateError(f"backbone: {STAGES}: found {stages}; allowed: whole numbers from 1 to {total}")
    return int(stages)


def first_stages(variables: Sequence[Variable]) -> dict[str, int]:
    """Return the number of the first stage that each variable shapes, by name; 1 for a whole backbone's.

    A variable does not shape an earlier stage than its parent.

    Args:
        variables: Variables in an order in which parents precede children.

    Example:
        >>> depth = Variable("depth", (1, 2), stage=3)
        >>> first_stages((depth, Variable("kernel", (3, 5), "depth", frozenset({2}))))
        {'depth': 3, 'kernel': 3}
    """
    stages: dict[str, int] = {}
    for variable in variables:
        stages[variable.name] = max(variable.stage or 1, stages.get(variable.parent or "", 1))
    return stages


def cut(backbone: Backbone, variables: Sequence[Variable], stages: int) -> Backbone:
    """Return the backbone that ends after a number of stages, without the choices of later stages.

    Args:
        backbone: The backbone, whole or cut after more stages.
        variables: The variables of the supernet provider.
        stages: Number of stages, below that of `backbone`.

    Example:
        >>> variables = Variable("width", (1, 2)), Variable("kernel", (3, 5), stage=2)
        >>> cut(Backbone.of({"width": 2, "kernel": 5}), variables, 1).choices
        (('stages', 1), ('width', 2))
    """
    first = first_stages(variables)
    choices = [(n, c) for n, c in backbone.choices if n != STAGES and first.get(n, 1) <= stages]
    return Backbone(((STAGES, stages), *choices))


def completed(backbone: Backbone, variables: Sequence[Variable]) -> Backbone:
    """Return the whole backbone that begins with a cut backbone; later stages have their first choices.

    A supernet provider builds whole backbones only. A whole backbone is returned as it is.

    Args:
        backbone: The backbone, whole or cut.
        variables: The variables of the supernet provider, parents before children.

    Example:
        >>> variables = Variable("width", (1, 2)), Variable("kernel", (3, 5), stage=2)
        >>> completed(Backbone.of({"stages": 1, "width": 2}), variables).choices
        (('width', 2), ('kernel', 3))
    """
    if STAGES not in backbone:
        return backbone
    first = first_stages(variables)
    choices: dict[str, Choice] = {name: choice for name, choice in backbone.choices if name != STAGES}
    for variable in variables:
        expressed = variable.parent is None or choices.get(variable.parent) in variable.when
        lowest = variable.choices[0]
        if expressed and first[variable.name] > backbone[STAGES] and lowest is not None:
            choices.setdefault(variable.name, lowest)
    ordered = [variable.name for variable in variables if variable.name in choices]
    return Backbone.of({name: choices[name] for name in (*ordered, *choices)})


def restricted(backbone: Backbone, variables: Sequence[Variable]) -> Backbone:
    """Return the backbone with the choices of some variables only, e.g. without those of heads.

    Args:
        backbone: The backbone.
        variables: The variables whose choices stay.

    Example:
        >>> restricted(Backbone.of({"width": 2, "exit1.layers": 1}), (Variable("width", (1, 2)),)).choices
        (('width', 2),)
    """
    names = {variable.name for variable in variables}
    return Backbone(tuple((name, choice) for name, choice in backbone.choices if name in names))
