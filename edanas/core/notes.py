"""Notes of a search strategy on its surrogates: text for the log, with typed attributes."""

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


def surrogate_note(text: str, surrogate: str, tau: float, objective: int) -> SurrogateNote:
    """Return a note that was stored as text; the text and all decimals of tau stay as they are."""
    return SurrogateNote._with_text(text, surrogate, tau, objective)


def surrogate_notes(notes: Mapping[str, str]) -> list[tuple[int, SurrogateNote]]:
    """Return pairs of an objective's number, from 0, and the note on its surrogate; omit other notes."""
    values = [note for note in notes.values() if isinstance(note, SurrogateNote)]
    return [(note.objective, note) for note in values if note.objective is not None]
