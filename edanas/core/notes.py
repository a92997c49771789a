"""A search strategy's notes of its surrogates: typed values that are also the text of the log."""

import re
from collections.abc import Mapping
from typing import Self


class SurrogateNote(str):
    """The surrogate of one objective or constraint in an iteration, and how well it ranks.

    As text, and so in JSON, it is "MODEL tau TAU". A strategy returns it among its `notes`.

    Args:
        surrogate: The name of the model in use.
        tau: Kendall's rank correlation with evaluated candidates, -1 to 1; it is kept with two decimals.
        objective: The number of the objective, from 0; `None` for a constraint.

    Example:
        >>> note = SurrogateNote("rbf", 0.614, objective=0)
        >>> note.surrogate, note.tau, note.objective
        ('rbf', 0.61, 0)
        >>> str(note)
        'rbf tau 0.61'
    """

    surrogate: str
    tau: float
    objective: int | None

    __slots__ = ("objective", "surrogate", "tau")

    def __new__(cls, surrogate: str, tau: float, objective: int | None = None) -> Self:
        """Return the note; see the class."""
        return cls._with_text(f"{surrogate} tau {tau:.2f}", surrogate, round(float(tau), 2), objective)

    def __reduce__(self) -> tuple[object, ...]:
        return self._with_text, (str(self), self.surrogate, self.tau, self.objective)

    @classmethod
    def _with_text(cls, text: str, surrogate: str, tau: float, objective: int | None) -> Self:
        note = super().__new__(cls, text)
        note.surrogate, note.tau, note.objective = surrogate, tau, objective
        return note


def typed_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """Return the notes with a `SurrogateNote` in place of text such as `{"objective 1": "rbf tau 0.61"}`.

    Other notes stay as they are, and no text changes. Notes are text where a log is read, and where a
    strategy of a third party returns them.

    Example:
        >>> typed_notes({"objective 1": "rbf tau 0.61", "radius": "0.2"})["objective 1"].tau
        0.61
    """
    return {name: _typed(name, text) for name, text in notes.items()}


def surrogate_notes(notes: Mapping[str, str]) -> list[tuple[int, SurrogateNote]]:
    """Return the number of each objective, from 0, with the note of its surrogate."""
    values = [note for note in notes.values() if isinstance(note, SurrogateNote)]
    return [(note.objective, note) for note in values if note.objective is not None]


def _typed(name: str, text: str) -> str:
    objective = re.fullmatch(r"objective (\d+)", name)
    match = re.fullmatch(r"(.+) tau (-?\d+(?:\.\d+)?)", text)
    if isinstance(text, SurrogateNote) or not (objective and match):
        return text
    return SurrogateNote._with_text(text, match[1], float(match[2]), int(objective[1]) - 1)
