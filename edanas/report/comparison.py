"""Comparison of runs on the same images; runs that differ in nothing but the seed are one method."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import EdanasError, RunError
from edanas.core.result_row import ResultRow
from edanas.numerics.pareto import normalised_hypervolume, reference_point
from edanas.report.choice import Bounds
from edanas.report.formatting import mega
from edanas.report.method_names import method_names
from edanas.report.result import Result, choose_network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Method:
    """Runs with the same settings, one per seed.

    Args:
        name: The given name, or the settings that differ from those of the other methods.
        results: By rising seed.
    """

    name: str
    results: tuple[Result, ...]

    @cached_property
    def networks(self) -> tuple[tuple[ResultRow, ...], ...]:
        """The early-exit networks of each seed; the single-exit ones if the method has no others."""
        has_exits = any(result.early_exit for result in self.results)
        return tuple(result.early_exit if has_exits else result.single_exit for result in self.results)


@dataclass(frozen=True)
class Comparison:
    """Figures of several methods on one data set, with their spread over seeds.

    Args:
        methods: In the order of their first runs.
        budgets: Bounds on executed MACs, ascending; the accuracy within each is reported.
    """

    methods: tuple[Method, ...]
    budgets: tuple[float, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures of each run, by method and seed; accuracies are fractions of the test part.

        `accuracy`, `executed_macs`, `ada_macs` and `backbone_macs` belong to the network that `Result.best`
        chooses by validation accuracy. `hypervolume` is the normalised hypervolume in [0, 1] of the run's
        networks, in test error and executed MACs; its reference point is the worst of all methods.
        `single_exit_hypervolume` is that of the run's single-exit networks. `within` maps each budget to the
        accuracy of the best network within it, or to `None`.
        """
        return [
            {"method": method.name, "seed": result.seed, **self._figures(result, networks)}
            for method in self.methods
            for result, networks in zip(method.results, method.networks, strict=True)
        ]

    def summary(self) -> list[dict[str, Any]]:
        """Return the means over seeds of each method, and their standard deviations in `spread`.

        The standard deviation is that of the sample, and `None` with one seed. A mean is `None` if a seed has
        no value.
        """
        return [_summary(method.name, rows) for method, rows in self._by_method()]

    def to_dataframe(self) -> "pd.DataFrame":
        """Return `rows` as a table with one column per budget."""
        import pandas as pd

        flat = []
        for row in self.rows():
            within = {f"within_{mega(budget)}M": value for budget, value in row.pop("within").items()}
            flat.append({**row, **within})
        return pd.DataFrame(flat)

    def to_json(self) -> str:
        """Return `summary` and `rows` as JSON."""
        return json.dumps({"methods": self.summary(), "runs": self.rows()}, indent=1) + "\n"

    def plot(self, path: Path | str | None = None) -> "Figure":
        """Plot the test accuracy that each method attains within executed MACs.

        Args:
            path: The file to write; `None` = none.

        Raises:
            EdanasError: `path` has another ending than .svg, .png or .pdf, or cannot be written.
        """
        from edanas.report import plots
        from edanas.report.attainment import draw_attainment

        figure = draw_attainment({method.name: method.networks for method in self.methods}, self.budgets)
        if path is not None:
            plots.save(figure, Path(path))
        return figure

    @cached_property
    def _reference(self) -> npt.NDArray[np.float64]:
        results = [result for method in self.methods for result in method.results]
        return reference_point(_values([row for r in results for row in (*r.early_exit, *r.single_exit)]))

    def _figures(self, result: Result, networks: Sequence[ResultRow]) -> dict[str, Any]:
        best = _best(result, Bounds())
        return {
            "accuracy": best.test_accuracy,
            "executed_macs": best.executed_macs,
            "ada_macs": best.ada_macs,
            "backbone_macs": best.backbone_macs,
            "hypervolume": self._hypervolume(networks),
            "single_exit_hypervolume": self._hypervolume(result.single_exit),
            "within": {budget: _within(result, budget) for budget in self.budgets},
            "evaluations": result.data.get("evaluations"),
            "seconds": sum(result.data.get("seconds", {}).values()) or None,
        }

    def _hypervolume(self, rows: Sequence[ResultRow]) -> float:
        return normalised_hypervolume(_values(rows), np.zeros(2), self._reference) if rows else 0.0

    def _by_method(self) -> Iterator[tuple[Method, list[dict[str, Any]]]]:
        rows = iter(self.rows())
        for method in self.methods:
            yield method, [next(rows) for _ in method.results]


def compare(
    runs: Iterable[Result | Path | str], names: Sequence[str | None] = (), budgets: Iterable[float] = ()
) -> Comparison:
    """Compare runs on the same images.

    Args:
        runs: Results, or folders of finished runs.
        names: The method's name of each run; `None` = made of its settings. Runs with one name are one
            method; so are runs without a name whose settings differ only in the seed and the machine.
        budgets: Bounds on executed MACs; the accuracy within each is reported.

    Raises:
        RunError: A folder holds no finished run.
        EdanasError: There is nothing to compare, the runs are on different images, two runs of a method have
            one seed, or a budget is not positive.

    Example:
        >>> row = {
        ...     "id": "a1", "exits": 1, "thresholds": [0.9], "utilization": [0.6, 0.4], "params": 1000,
        ...     "test_accuracy": 0.97, "validation_accuracy": 0.98, "ada_macs": 4e6, "executed_macs": 4.5e6,
        ...     "backbone_macs": 9e6, "backbone_test_accuracy": 0.975,
        ... }
        >>> runs = [
        ...     Result(f"run-{seed}", {"front": [row], "static_front": [], "settings": {}, "seed": seed})
        ...     for seed in (0, 1)
        ... ]
        >>> comparison = compare(runs, names=["mine", "mine"], budgets=[5e6])
        >>> comparison.summary()[0]["within"]
        {5000000.0: 0.97}
    """
    results = [run if isinstance(run, Result) else Result.read(run) for run in runs]
    if not results:
        raise EdanasError("runs: found none; give the folders of finished runs")
    for result in results:
        if not result.front and not result.static_front:
            raise RunError(
                f"{result.folder}: the run finished without a network; there is nothing to compare"
            )
    limits = sorted(set(budgets))
    if limits and not limits[0] > 0:
        raise EdanasError(f"budgets: found {limits[0]:g}; allowed: executed MACs above 0")
    _check_same_images(results)
    groups: dict[str, list[Result]] = {}
    for name, result in zip(method_names(results, names or [None] * len(results)), results, strict=True):
        groups.setdefault(name, []).append(result)
    for name, group in groups.items():
        _check_seeds(name, group)
    methods = (Method(name, tuple(sorted(g, key=lambda result: result.seed))) for name, g in groups.items())
    return Comparison(tuple(methods), tuple(limits))


def _check_same_images(results: Sequence[Result]) -> None:
    first = results[0]
    for other in results[1:]:
        for what, a, b in (
            ("data", *(_images(r) for r in (first, other))),
            ("classes", *(r.data.get("classes") for r in (first, other))),
            ("samples", *(r.data.get("samples") for r in (first, other))),
        ):
            if a != b:
                raise EdanasError(
                    f"{other.folder}: its {what} are {b}, those of {first.folder} are {a}; "
                    "runs can be compared on the same images only"
                )


def _images(result: Result) -> dict[str, Any] | str:
    """Return the name and options of a run's data set, without its folder's parents and its download."""
    data = result.settings.get("data")
    values = dict(data) if isinstance(data, Mapping) else {"name": data}
    name = Path(str(values.pop("path", values.pop("name", "")))).name
    options = {key: value for key, value in values.items() if key not in ("name", "download")}
    return {"name": name, **options} if options else name


def _check_seeds(name: str, results: Sequence[Result]) -> None:
    for one, two in combinations(results, 2):
        if one.seed == two.seed:
            raise EdanasError(
                f"{two.folder} and {one.folder} are both method '{name}' with seed {one.seed}; "
                "give one of them, or names of their own: NAME=RUN"
            )


def _best(result: Result, bounds: Bounds) -> ResultRow:
    return choose_network(result, bounds, None if result.early_exit else 0)


def _within(result: Result, budget: float) -> float | None:
    try:
        return float(_best(result, Bounds(max_macs=budget)).test_accuracy)
    except EdanasError:
        return None


def _values(rows: Sequence[ResultRow]) -> npt.NDArray[np.float64]:
    """Return test error and executed MACs, to be minimised: (n, 2)."""
    return np.array([[1 - row.test_accuracy, row.executed_macs] for row in rows], dtype=np.float64)


def _summary(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    keys = [key for key in rows[0] if key not in ("method", "seed", "within")]
    means = {key: _mean([row[key] for row in rows]) for key in keys}
    budgets = rows[0]["within"]
    return {
        "method": name,
        "seeds": [row["seed"] for row in rows],
        **means,
        "within": {budget: _mean([row["within"][budget] for row in rows]) for budget in budgets},
        "spread": {
            **{key: _deviation([row[key] for row in rows]) for key in keys},
            "within": {budget: _deviation([row["within"][budget] for row in rows]) for budget in budgets},
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _deviation(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.stdev(known) if len(known) > 1 and len(known) == len(values) else None
