"""A finished run's `result.json`: reading, writing, and asking it for a network."""

import json
import os
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Self

import pandas as pd
from matplotlib.figure import Figure

from edanas.core.errors import EdanasError, RunError, unknown
from edanas.report import plots
from edanas.report.objective_plots import draw_pairs, draw_parallel
from edanas.report.words import Row, in_words, mega, percent, validation_macs

FILE = "result.json"
"""The result's name in a run's folder."""

NUMBERS = (
    "exits",
    "test_accuracy",
    "validation_accuracy",
    "ada_macs",
    "executed_macs",
    "backbone_macs",
    "backbone_test_accuracy",
    "params",
)
LISTS = ("thresholds", "utilization")

PLOTS: Mapping[str, Callable[[Mapping[str, Any]], Figure]] = {
    "front": plots.draw,
    "pairs": draw_pairs,
    "parallel": draw_parallel,
}
"""What `Result.plot` draws, by kind."""


class Result:
    """What a run found.

    A row has `id`, `exits`, `thresholds` (`None` = no exit), `utilization` (of each exit point and the last
    exit), `test_accuracy`, `validation_accuracy`, `ada_macs`, `executed_macs`, `backbone_macs`,
    `backbone_test_accuracy` and `params`; accuracies are fractions, MACs plain numbers for one image. It may
    have more, e.g. `test_ci` (95% interval), `exit_accuracy`, `backbone` (its choices) and `model` (a path in
    the folder).

    Args:
        folder: The run's folder.
        data: The content of `result.json`.

    Attributes:
        front: Early-exit networks, a row each.
        static_front: Single-exit networks of the same search.
        pareto: The archive's Pareto set, as judged on the validation part; may be empty.
        settings: The run's settings as nested tables.
        seed: Everything random followed from it.
        data: All of `result.json`.

    Raises:
        RunError: `data` has not the shape above; the text names the place.
    """

    def __init__(self, folder: Path | str, data: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        _check(data, self.folder / FILE)
        self.data = dict(data)
        self.front: list[Row] = list(data["front"])
        self.static_front: list[Row] = list(data["static_front"])
        self.pareto: list[Row] = list(data.get("pareto", ()))
        self.settings: dict[str, Any] = dict(data["settings"])
        self.seed = int(data["seed"])

    def __repr__(self) -> str:
        counts = f"{len(self.front)} early-exit and {len(self.static_front)} single-exit networks"
        return f"<Result of {self.folder}: {counts}>"

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """The result of the run in `folder`.

        Raises:
            RunError: There is none, or it is damaged.
        """
        path = Path(folder) / FILE
        if not path.parent.is_dir():
            raise RunError(f"{path.parent}: no such folder; expected the folder of a run")
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise RunError(
                f"{path}: not there; the run is not finished, or this is no run's folder"
            ) from error
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RunError(f"{path}: is damaged: {error}") from error
        return cls(path.parent, data)

    @classmethod
    def write(cls, folder: Path | str, data: Mapping[str, Any]) -> Self:
        """Write `result.json`, wholly or not at all; numbers and arrays of numpy are taken too.

        Raises:
            RunError: `data` has not the right shape, or the file cannot be written.
        """
        path = Path(folder) / FILE
        text = json.dumps(data, indent=1, allow_nan=False, default=_plain) + "\n"
        result = cls(folder, json.loads(text))
        partial = path.with_name(f"{FILE}.partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error
        return result

    def best(
        self,
        max_macs: float | None = None,
        min_accuracy: float | None = None,
        exits: int | None = None,
        *,
        max_params: float | None = None,
        max_activations: float | None = None,
    ) -> Row:
        """The most accurate network within `max_macs`; with `min_accuracy` alone, the cheapest that has it.

        Accuracy and cost, in executed MACs, are those of the validation part; of equals in the one, the
        better in the other. The test part has no say, so that the row's `test_accuracy` and `executed_macs`
        are honest estimates.

        Args:
            max_macs: Most executed MACs for one image, on average over the validation part.
            min_accuracy: Least validation accuracy, a fraction.
            exits: Number of early exits; 0 asks for single-exit networks. Left out: any early-exit network.
            max_params: Most parameters, with the placed heads.
            max_activations: Most elements of the largest output; see `activations` of a row.

        Raises:
            EdanasError: An argument makes no sense, or no network will do; the text says what comes nearest.
        """
        bounds = {"max_macs": max_macs, "max_params": max_params, "max_activations": max_activations}
        for name, most in bounds.items():
            if most is not None and not most > 0:
                raise EdanasError(f"{name}: found {most}; allowed: a positive number")
        if min_accuracy is not None and not 0 <= min_accuracy <= 1:
            raise EdanasError(f"min_accuracy: found {min_accuracy}; allowed: a fraction, 0 to 1")
        rows = (
            self.front
            if exits is None
            else [r for r in self.front + self.static_front if r["exits"] == exits]
        )
        if not rows:
            raise EdanasError(self._no_such(exits))
        small = [row for row in rows if _fits(row, "params", max_params)]
        small = [row for row in small if _fits(row, "activations", max_activations)]
        if not small:
            raise EdanasError(_smallest(rows, max_params, max_activations))
        good = [
            row
            for row in small
            if (max_macs is None or validation_macs(row) <= max_macs)
            and (min_accuracy is None or row["validation_accuracy"] >= min_accuracy)
        ]
        if not good:
            raise EdanasError(_nearest(small, max_macs, min_accuracy))
        if max_macs is None and min_accuracy is not None:
            return min(good, key=lambda row: (validation_macs(row), -row["validation_accuracy"]))
        return max(good, key=lambda row: (row["validation_accuracy"], -validation_macs(row)))

    def _no_such(self, exits: int | None) -> str:
        if exits is None:
            return f"{self.folder}: the run found no early-exit network; exits=0 asks for single-exit ones"
        there = sorted({int(row["exits"]) for row in self.front + self.static_front})
        return f"exits: found {exits}; there are networks with {', '.join(map(str, there)) or 'nothing'}"

    def to_dataframe(self) -> pd.DataFrame:
        """Both fronts, a network a line; `kind` is `early-exit` or `single-exit`."""
        rows = [{"kind": "early-exit", **row} for row in self.front]
        rows += [{"kind": "single-exit", **row} for row in self.static_front]
        return pd.DataFrame(rows, columns=None if rows else ["kind", "id", *LISTS, *NUMBERS])

    def plot(self, path: Path | str | None = None, kind: str = "front") -> Figure:
        """A plot of the run; written to `path` (.svg, .png or .pdf) too.

        Args:
            path: Where to write it; left out: nowhere.
            kind: `front`, accuracy against executed MACs, and the hypervolume; `pairs`, each objective of the
                search against each other one; `parallel`, the Pareto set as lines over all objectives.

        Raises:
            EdanasError: There is no such kind, the result does not hold what it needs, or `path` has another
                ending or cannot be written.
        """
        if kind not in PLOTS:
            raise EdanasError(f"kind: {unknown('plot', kind, PLOTS)}")
        figure = PLOTS[kind](self.data)
        if path is not None:
            plots.save(figure, Path(path))
        return figure


def _check(data: Any, path: Path) -> None:
    def fail(what: str) -> RunError:
        return RunError(f"{path}: {what}; it is damaged, or no result of a run")

    if not isinstance(data, Mapping):
        raise fail(f"found {type(data).__name__}, expected an object")
    kinds = {"front": list, "static_front": list, "settings": dict, "seed": int}
    for key, kind in kinds.items():
        if not isinstance(data.get(key), kind):
            raise fail(f"'{key}' is {'not there' if key not in data else 'no ' + kind.__name__}")
    for front in ("front", "static_front"):
        for number, row in enumerate(data[front]):
            wrong = _wrong(row)
            if wrong:
                raise fail(f"{front}[{number}]: {wrong}")


def _wrong(row: Any) -> str | None:
    """What is the matter with a row, if anything is."""
    if not isinstance(row, Mapping):
        return "no object"
    for key in ("id", *NUMBERS, *LISTS):
        if key not in row:
            return f"'{key}' is not there"
    for key in NUMBERS:
        if not isinstance(row[key], Real):
            return f"'{key}' is no number"
    for key in LISTS:
        if not isinstance(row[key], list) or not all(isinstance(v, Real | None) for v in row[key]):
            return f"'{key}' is no list of numbers"
    if len(row["utilization"]) != len(row["thresholds"]) + 1:
        return f"'utilization' has {len(row['utilization'])} numbers for {len(row['thresholds'])} exit points"
    return None


def _fits(row: Row, key: str, most: float | None) -> bool:
    """Whether a row is within a limit; a result that does not hold the figure is of an older edanas."""
    if most is not None and key not in row:
        raise EdanasError(f"max_{key}: the result does not say how many {key} a network has")
    return most is None or row[key] <= most


def _smallest(rows: list[Row], max_params: float | None, max_activations: float | None) -> str:
    wanted = {"params": max_params, "activations": max_activations}
    asked = {key: most for key, most in wanted.items() if most is not None}
    limits = " and ".join(f"at most {most:g} {key}" for key, most in asked.items())
    least = " and ".join(f"{min(row[key] for row in rows):g} {key}" for key in asked)
    return f"no network has {limits}; the fewest are {least}"


def _nearest(rows: list[Row], max_macs: float | None, min_accuracy: float | None) -> str:
    cheapest = min(rows, key=validation_macs)
    surest = max(rows, key=lambda row: float(row["validation_accuracy"]))
    wanted = [] if max_macs is None else [_at_most(max_macs)]
    wanted += [] if min_accuracy is None else [f"at least {percent(min_accuracy)}% validation accuracy"]
    named = {f"the cheapest {_worth(cheapest)}": 0, f"the most accurate {_worth(surest)}": 0}
    return f"no network has {' and '.join(wanted)}; {', '.join(named)}"


def _at_most(macs: float) -> str:
    """So few that no network has them were meant in millions."""
    if macs < 1000:
        return f"at most {macs:g} executed MACs (was {macs:g}M meant? That is max_macs={macs:g}e6)"
    return f"at most {mega(macs)}M executed MACs"


def _worth(row: Row) -> str:
    accuracy, macs = percent(row["validation_accuracy"]), mega(validation_macs(row))
    return f"({in_words(row['exits'])}) has {accuracy}% at {macs}M"


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy's numbers and arrays, and paths."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be written to {FILE}")
