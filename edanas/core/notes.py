"""Notes of a search strategy on its surrogates: text for the log, with typed attributes."""

import re
from collections.abc import Mapping
from typing import Self


class SurrogateNote(str):
    """The surrogate of one objective or constraint in an iteration, and its rank correlation.

    The object is the text "MODEL tau TAU", also in JSON. `SearchStrategy.notes` returns it with other notes.

    Args:
        surrogate: Name of the surrogate model in use.
        tau: Kendall's rank correlation between predictions and evaluations, -1 to 1. It is rounded to two
            decimals.
        objective: Number of the objective, from 0; `None`, the default, means a constraint.

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
        """Return the note; see the class for the arguments."""
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

    Other notes stay as they are, and no text changes. Notes are plain text if they come from a log file or
    from the strategy of a third party.

    Example:
        >>> typed_notes({"objective 1": "rbf tau 0.61", "radius": "0.2"})["objective 1"].tau
        0.61
    """
    return {name: _typed(name, text) for name, text in notes.items()}


def surrogate_notes(notes: Mapping[str, str]) -> list[tuple[int, SurrogateNote]]:
    """Return pairs of an objective's number, from 0, and the note on its surrogate; omit other notes."""
    values = [note for note in notes.values() if isinstance(note, SurrogateNote)]
    return [(note.objective, note) for note in values if note.objective is not None]


def _typed(name: str, text: str) -> str:
    objective = re.fullmatch(r"objective (\d+)", name)
    match = re.fullmatch(r"(.+) tau (-?\d+(?:\.\d+)?)", text)
    if isinstance(text, SurrogateNote) or not (objective and match):
        return text
    return SurrogateNote._with_text(text, match[1], float(match[2]), int(objective[1]) - 1)
