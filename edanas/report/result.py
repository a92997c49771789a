"""The result of a finished run: reading and writing `result.json`, choosing a network, plots and tables."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edanas.core.errors import EdanasError, RunError, unknown
from edanas.core.result_row import LISTS, NUMBERS, ResultRow
from edanas.report.choice import Bounds, choose

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FILE = "result.json"
"""The result's name in a run folder."""

PLOTS = ("front", "pairs", "parallel")
"""Kinds of plots that `Result.plot` draws."""


class Result:
    """The result of a run: its finished networks and the figures of its search.

    A row of `front` and `static_front` has at least these keys: `id`, `exits`, `thresholds`, `utilization`,
    `test_accuracy`, `validation_accuracy`, `ada_macs`, `executed_macs`, `backbone_macs`,
    `backbone_test_accuracy` and `params`. `edanas.core.result_row.ResultRow` describes them and the others.
    Accuracies are fractions; MACs are plain numbers for one image.

    Args:
        folder: The run folder.
        data: The content of `result.json`.

    Attributes:
        front: Early-exit networks, one row each.
        static_front: Single-exit networks of the same search.
        early_exit: The rows of `front` as `edanas.core.result_row.ResultRow`.
        single_exit: The rows of `static_front`, likewise.
        pareto: The archive's Pareto set by its figures on the validation part; may be empty.
        settings: The run's settings as nested tables.
        seed: The seed of every random number of the run.
        data: The whole content of `result.json`.

    Raises:
        RunError: `data` lacks a part of the shape above; the text names the place.

    Example:
        >>> row = {
        ...     "id": "a1", "exits": 1, "thresholds": [0.9], "utilization": [0.6, 0.4], "params": 1000,
        ...     "test_accuracy": 0.97, "validation_accuracy": 0.98, "ada_macs": 4e6, "executed_macs": 4.5e6,
        ...     "backbone_macs": 9e6, "backbone_test_accuracy": 0.975,
        ... }
        >>> data = {"front": [row], "static_front": [], "settings": {}, "seed": 0}
        >>> result = Result("my-run", data)
        >>> result
        <Result of my-run: 1 early-exit and 0 single-exit networks>
        >>> result.best(max_macs=5e6)["test_accuracy"]
        0.97
    """

    def __init__(self, folder: Path | str, data: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        path = self.folder / FILE
        _check(data, path)
        self.data = dict(data)
        self.front: list[dict[str, Any]] = list(data["front"])
        self.static_front: list[dict[str, Any]] = list(data["static_front"])
        self.early_exit = _rows(data, "front", path)
        self.single_exit = _rows(data, "static_front", path)
        self.pareto: list[dict[str, Any]] = list(data.get("pareto", ()))
        self.settings: dict[str, Any] = dict(data["settings"])
        self.seed = int(data["seed"])

    def __repr__(self) -> str:
        counts = f"{len(self.front)} early-exit and {len(self.static_front)} single-exit networks"
        return f"<Result of {self.folder}: {counts}>"

    def _repr_html_(self) -> str:
        """Return the table of the networks, as notebooks show it."""
        from edanas.report.tables import html_table

        return html_table(self)

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """Read the result of the run in `folder`.

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
        """Write `result.json` in one step, so that no half-written file remains.

        Numbers and arrays of numpy are converted to plain ones.

        Raises:
            RunError: `data` has the wrong shape, or the file cannot be written.
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
    ) -> dict[str, Any]:
        """Return the most accurate network within the bounds.

        With `min_accuracy` but no `max_macs`, return the cheapest network that is accurate enough. Accuracy
        and cost, in executed MACs, are those of the validation part; ties go to the network that is better in
        the other of the two. The test part is not used for the choice, so that `test_accuracy` and
        `executed_macs` of the row are unbiased estimates.

        Args:
            max_macs: Most executed MACs for one image, on average over the validation part.
            min_accuracy: Least validation accuracy, a fraction.
            exits: Number of early exits; 0 = single-exit networks, `None` = any early-exit network.
            max_params: Most parameters, placed heads included.
            max_activations: Most elements of the largest output; see `activations` of a row.

        Raises:
            EdanasError: A bound is out of range, or no network is within all; the text names the nearest.
        """
        bounds = Bounds(max_macs, min_accuracy, max_params, max_activations)
        return choose_network(self, bounds, exits).to_json()

    def to_dataframe(self) -> "pd.DataFrame":
        """Return both fronts, one network per line; `kind` is `early-exit` or `single-exit`."""
        import pandas as pd

        rows = [{"kind": "early-exit", **row} for row in self.front]
        rows += [{"kind": "single-exit", **row} for row in self.static_front]
        return pd.DataFrame(rows, columns=None if rows else ["kind", "id", *LISTS, *NUMBERS])

    def plot(self, path: Path | str | None = None, kind: str = "front") -> "Figure":
        """Plot the run, and write the plot to `path` (.svg, .png or .pdf) if it is given.

        Args:
            path: The file to write; `None` = none.
            kind: `front`, accuracy against executed MACs, and the hypervolume; `pairs`, each objective of the
                search against each other one; `parallel`, the Pareto set as lines over all objectives.

        Raises:
            EdanasError: `kind` is unknown, the result lacks what the plot needs, or `path` has another ending
                or cannot be written.
        """
        from edanas.report.objective_plots import draw_pairs, draw_parallel
        from edanas.report.plots import draw, save

        if kind not in PLOTS:
            raise EdanasError(f"kind: {unknown('plot', kind, PLOTS)}")
        figure = {"front": draw, "pairs": draw_pairs, "parallel": draw_parallel}[kind](self.data)
        if path is not None:
            save(figure, Path(path))
        return figure


def choose_network(result: Result, bounds: Bounds, exits: int | None = None) -> ResultRow:
    """Return the network that `Result.best` describes.

    Args:
        result: A run's result.
        bounds: Bounds on the network.
        exits: As for `Result.best`.

    Raises:
        EdanasError: No network is within the bounds, or none has so many exits.
    """
    every = result.early_exit + result.single_exit
    rows = result.early_exit if exits is None else tuple(row for row in every if row.exits == exits)
    if rows:
        return choose(rows, bounds)
    if exits is None:
        raise EdanasError(
            f"{result.folder}: the run found no early-exit network; exits=0 asks for single-exit ones"
        )
    counts = sorted({row.exits for row in every})
    raise EdanasError(
        f"exits: found {exits}; there are networks with {', '.join(map(str, counts)) or 'nothing'}"
    )


def _check(data: Any, path: Path) -> None:
    if not isinstance(data, Mapping):
        raise _damaged(path, f"found {type(data).__name__}, expected an object")
    kinds = {"front": list, "static_front": list, "settings": dict, "seed": int}
    for key, kind in kinds.items():
        if not isinstance(data.get(key), kind):
            raise _damaged(path, f"'{key}' is {'not there' if key not in data else 'no ' + kind.__name__}")


def _rows(data: Mapping[str, Any], front: str, path: Path) -> tuple[ResultRow, ...]:
    rows = []
    for number, values in enumerate(data[front]):
        try:
            rows.append(ResultRow.from_json(values))
        except ValueError as error:
            raise _damaged(path, f"{front}[{number}]: {error}") from error
    return tuple(rows)


def _damaged(path: Path, problem: str) -> RunError:
    return RunError(f"{path}: {problem}; it is damaged, or no result of a run")


def _plain(value: Any) -> Any:
    """Return numpy's numbers and arrays, and paths, as JSON can hold them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be written to {FILE}")
