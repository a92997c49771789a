"""Result of a finished run: reading and writing of `result.json`, choice of a network, plots and tables."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edanas.core.errors import EdanasError, RunError, unknown
from edanas.core.records import parse, with_checksums, without_checksums
from edanas.core.result_row import LISTS, NUMBERS, ResultRow
from edanas.core.runfolder import replace_file
from edanas.report.choice import Bounds, choose
from edanas.report.importance import as_json, read_importance
from edanas.report.rivals import with_rivals
from edanas.thresholds.budgets import bound

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FILE = "result.json"
"""Name of the result's file in a run folder."""

PLOTS = ("front", "pairs", "parallel")
"""Kinds of plots; allowed values of `kind` in `Result.plot`."""


class Result:
    """Result of a run: its finished networks, and the results of its search.

    A finished network is a row, a dictionary with at least these keys: `id`, `exits`, `thresholds`,
    `utilization`, `test_accuracy`, `validation_accuracy`, `ada_macs`, `executed_macs`, `backbone_macs`,
    `backbone_test_accuracy` and `params`. The class `edanas.core.result_row.ResultRow` describes all keys.
    Accuracies are fractions in [0, 1]. MACs are multiply-adds for one image.

    Args:
        folder: The run folder.
        data: The content of `result.json`.

    Attributes:
        folder: The run folder.
        front: The early-exit networks, one row each.
        static_front: The single-exit networks of the same search, cut networks included, one row each.
        early_exit: The networks of `front` as `ResultRow` objects. `rival` and `rival_cost` compare each with
            the cheapest network of `single_exit` that is as accurate on the validation part.
        single_exit: The networks of `static_front` as `ResultRow` objects.
        plain: The plain dense networks of the run as `ResultRow` objects; empty if it trained none.
        pareto: The Pareto set of the search by objective values on the validation part, one dictionary for
            each candidate; may be empty.
        importance: Importance of the searched choices, one dictionary for each objective: `objective`, `tau`
            and `genes`, the importance by the name of a variable, the largest first. Empty for few evaluated
            candidates, and for results of older versions.
        settings: The run's settings as nested dictionaries.
        seed: The run's seed.
        data: The whole content of `result.json`.

    Raises:
        RunError: `data` lacks `front`, `static_front`, `settings` or `seed`, or a row lacks a key. The
            message names the missing entry.

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
        self.single_exit = _rows(data, "static_front", path)
        self.early_exit = with_rivals(_rows(data, "front", path), self.single_exit)
        self.plain = _rows({"plain": data.get("plain") or []}, "plain", path)
        self.pareto: list[dict[str, Any]] = list(data.get("pareto", ()))
        self.importance: list[dict[str, Any]] = as_json(read_importance(data.get("importance")))
        self.settings: dict[str, Any] = dict(data["settings"])
        self.seed = int(data["seed"])

    def __repr__(self) -> str:
        counts = f"{len(self.front)} early-exit and {len(self.static_front)} single-exit networks"
        return f"<Result of {self.folder}: {counts}>"

    def _repr_html_(self) -> str:
        """Return the table of the finished networks as HTML, which notebooks show."""
        from edanas.report.tables import html_table

        return html_table(self)

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """Read `result.json` in a run folder.

        Args:
            folder: The run folder.

        Raises:
            RunError: The folder or the file is missing, or the file cannot be read or is damaged.
        """
        path = Path(folder) / FILE
        if not path.parent.is_dir():
            raise RunError(f"{path.parent}: no such folder; expected the folder of a run")
        try:
            data = parse(path.read_bytes())
            data = without_checksums(data) if isinstance(data, dict) else data
        except FileNotFoundError as error:
            raise RunError(
                f"{path}: does not exist; the run is not finished, or {path.parent} is not the folder of a "
                "run"
            ) from error
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RunError(
                f"{path}: is damaged: {error}; the command that made the run, `edanas run` with --out "
                f"{path.parent}, writes the file again from the archive"
            ) from error
        return cls(path.parent, data)

    @classmethod
    def write(cls, folder: Path | str, data: Mapping[str, Any]) -> Self:
        """Write `result.json`, and return the written result.

        The file is written under another name first, so that an interruption leaves no incomplete
        `result.json`.

        Args:
            folder: The run folder.
            data: The content. Numbers, arrays of numpy and paths are converted to JSON.

        Raises:
            RunError: `data` lacks a required entry (see the class), or the file cannot be written.
        """
        path = Path(folder) / FILE
        plain = json.loads(json.dumps(data, allow_nan=False, default=_as_json))
        result = cls(folder, plain)
        text = json.dumps(with_checksums(plain, ("front", "static_front", "plain", "pareto")), indent=1)
        replace_file(path, f"{text}\n".encode())
        return result

    def best(
        self,
        max_macs: str | float | None = None,
        min_accuracy: str | float | None = None,
        exits: int | None = None,
        *,
        max_params: str | float | None = None,
        max_activations: str | float | None = None,
        max_ram: str | float | None = None,
        max_flash: str | float | None = None,
    ) -> dict[str, Any]:
        """Return the best network within bounds, chosen by accuracy and cost on the validation part.

        The best network is the most accurate network, and the cheapest of equally accurate networks. With
        `min_accuracy` but without `max_macs`, it is the network with the fewest executed MACs, and the most
        accurate of equally cheap networks. The choice does not use the test part, so that `test_accuracy` and
        `executed_macs` of the returned row are unbiased estimates. Bounds are numbers, or texts such as `1M`
        or `90%`. A network that executes more than its own backbone is returned only if no other network is
        within the bounds; its `saves_macs` is false.

        Args:
            max_macs: Maximum of executed MACs for one image, on average over the validation part; above 0.
                `None`, the default of this and the other bounds, = no bound.
            min_accuracy: Minimum of the validation accuracy, a fraction in [0, 1].
            exits: Number of early exits; 0 = single-exit networks only. `None` = any number above 0, or, if
                the run has no early-exit network, single-exit networks.
            max_params: Maximum number of parameters, placed heads included; above 0.
            max_activations: Maximum number of elements in the largest layer output, see
                `ResultRow.activations`; above 0.
            max_ram: Maximum number of bytes of RAM on a microcontroller, see `ResultRow.ram`; above 0.
            max_flash: Maximum number of bytes of flash on a microcontroller, see `ResultRow.flash`; above 0.

        Returns:
            The row of the network; see the class.

        Raises:
            EdanasError: A bound is out of range, or no network is within all bounds. The message names the
                nearest networks.
        """
        bounds = Bounds(
            bound("max_macs", max_macs),
            bound("min_accuracy", min_accuracy),
            bound("max_params", max_params),
            bound("max_activations", max_activations),
            bound("max_ram", max_ram),
            bound("max_flash", max_flash),
        )
        return choose_network(self, bounds, exits).to_json()

    def confusion_matrix(self, network: str) -> list[list[int]]:
        """Return the confusion matrix (K, K) of a finished network on the test part, for K classes.

        Entry i, j is the number of test samples of class i that the network classifies as class j.

        Args:
            network: The network's id.

        Raises:
            EdanasError: No network has this id, or an older version of edanas wrote the result.
        """
        rows = {row.id: row for row in (*self.early_exit, *self.single_exit)}
        if network not in rows:
            raise EdanasError(f"network: {unknown('network', network, rows)}")
        if not rows[network].confusion:
            raise EdanasError(f"{self.folder}: was written by a version of edanas without confusion matrices")
        classes = len(rows[network].class_recall)
        matrix = [[0] * classes for _ in range(classes)]
        for label, prediction, count in rows[network].confusion:
            matrix[label][prediction] = count
        return matrix

    def to_dataframe(self) -> "pd.DataFrame":
        """Return the rows of `front`, `static_front` and `plain` as a table, one network per line.

        The column `kind` has the value `early-exit`, `single-exit` or `plain`.
        """
        import pandas as pd

        rows = [{"kind": "early-exit", **row} for row in self.front]
        rows += [{"kind": "single-exit", **row} for row in self.static_front]
        rows += [{"kind": "plain", **row} for row in self.data.get("plain") or []]
        return pd.DataFrame(rows, columns=None if rows else ["kind", "id", *LISTS, *NUMBERS])

    def plot(self, path: Path | str | None = None, kind: str = "front") -> "Figure":
        """Plot the run.

        Args:
            path: File for the plot, ending in .svg, .png or .pdf. `None`, the default, writes no file.
            kind: Kind of plot. `front`, the default, shows accuracy against executed MACs, and the
                hypervolume by iteration. `pairs` has a scatter plot for each pair of objectives. `parallel`
                shows the Pareto set in parallel coordinates, one axis per objective.

        Returns:
            The matplotlib figure.

        Raises:
            EdanasError: `kind` is unknown, the result lacks the objective values for `pairs` or `parallel`,
                or `path` has another ending or cannot be written.
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
    """Return the best network of a result within bounds, as `Result.best` does.

    Args:
        result: The result of a run.
        bounds: Bounds on the network.
        exits: Number of early exits; see `Result.best`.

    Raises:
        EdanasError: No network is within the bounds, or no network has `exits` early exits.
    """
    every = result.early_exit + result.single_exit
    if exits is None:
        rows = result.early_exit or result.single_exit
    else:
        rows = tuple(row for row in every if row.exits == exits)
    if rows:
        return choose(rows, bounds)
    if exits is None:
        raise EdanasError(f"{result.folder}: the run has no network")
    counts = sorted({row.exits for row in every})
    raise EdanasError(
        f"exits: found {exits}; allowed: {', '.join(map(str, counts)) or 'nothing, as there are no networks'}"
    )


def _check(data: Any, path: Path) -> None:
    """Check that the content of `result.json` has the required entries; `path` is for the message."""
    if not isinstance(data, Mapping):
        raise _damaged(path, f"found {type(data).__name__}, expected a JSON object")
    kinds = {
        "front": (list, "a list"),
        "static_front": (list, "a list"),
        "settings": (dict, "a JSON object"),
        "seed": (int, "a whole number"),
    }
    for key, (kind, name) in kinds.items():
        if not isinstance(data.get(key), kind):
            raise _damaged(path, f"'{key}' is {'missing' if key not in data else 'not ' + name}")


def _rows(data: Mapping[str, Any], front: str, path: Path) -> tuple[ResultRow, ...]:
    """Return the rows under the key `front` of `result.json`; `path` is for the message."""
    rows = []
    for number, values in enumerate(data[front]):
        try:
            rows.append(ResultRow.from_json(values))
        except ValueError as error:
            raise _damaged(path, f"{front}[{number}]: {error}") from error
    return tuple(rows)


def _damaged(path: Path, problem: str) -> RunError:
    return RunError(f"{path}: {problem}; the file is damaged, or is not the result of a run")


def _as_json(value: Any) -> Any:
    """Convert a number or array of numpy, or a path, to a value that JSON can hold.

    Raises:
        TypeError: `value` is of another type.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be written to {FILE}")
