"""What a search strategy notes of its surrogates in an iteration, as text and as numbers."""

import re
from collections.abc import Mapping
from typing import NamedTuple


class SurrogateNote(NamedTuple):
    """One objective's surrogate: the objective from 0, the model in use, and its Kendall's tau in [-1, 1]."""

    objective: int
    surrogate: str
    tau: float


def surrogate_notes(notes: Mapping[str, str]) -> list[SurrogateNote]:
    """The notes of the form `{"objective 1": "rbf tau 0.61"}`; others are passed over."""
    found = []
    for name, text in notes.items():
        objective = re.fullmatch(r"objective (\d+)", name)
        said = re.fullmatch(r"(.+) tau (-?\d+(?:\.\d+)?)", text)
        if objective and said:
            found.append(SurrogateNote(int(objective[1]) - 1, said[1], float(said[2])))
    return found
