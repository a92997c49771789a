"""Comparison of runs on the same images. Runs whose settings differ only in the seed are one method."""

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
from edanas.report.choice import Bounds, choose
from edanas.report.formatting import mega
from edanas.report.importance import Importance, as_json, mean_importance, read_importance
from edanas.report.method_names import method_names
from edanas.report.plain import standing
from edanas.report.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


PLAIN_PART = "training plain networks"
"""Name of the part of a run, in `seconds` of `result.json`, that trains the plain networks."""


@dataclass(frozen=True)
class Method:
    """Method in a comparison: runs with the same name, or with settings that differ only in the seed.

    Args:
        name: The name given to `compare`, or the settings that distinguish the method from the other methods.
        results: The result of each run, by rising seed.
        plain: The networks are the plain networks of the runs; `False` by default.
    """

    name: str
    results: tuple[Result, ...]
    plain: bool = False

    @cached_property
    def networks(self) -> tuple[tuple[ResultRow, ...], ...]:
        """The early-exit networks of each seed; for a seed without any, its single-exit networks.

        For a method of plain networks, the plain networks of each seed.
        """
        if self.plain:
            return tuple(result.plain for result in self.results)
        return tuple(result.early_exit or result.single_exit for result in self.results)


@dataclass(frozen=True)
class Comparison:
    """Accuracies and costs of several methods on one data set, with their spread over seeds.

    Args:
        methods: The methods, in the order of their first runs.
        budgets: Bounds on executed MACs for one image, ascending. The accuracy within each bound is reported.
    """

    methods: tuple[Method, ...]
    budgets: tuple[float, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary for each run, sorted by method and seed.

        Returns:
            A list of dictionaries with the following keys. Accuracies are fractions, on the test part.

            - `method`, `seed`: the name of the method, and the seed of the run.
            - `accuracy`, `executed_macs`, `ada_macs`, `backbone_macs`: test accuracy and costs of the network
              that `Result.best` returns. It has the highest validation accuracy.
            - `rival_cost`: executed MACs of the same network as a fraction of those of the cheapest
              single-exit network of its run, cut networks included, with at least its validation accuracy;
              `None` = the run has no such network, or no early-exit network.
            - `failure_prediction`: figure of merit of its confidences as reasons to stop (EEFP), in [0, 1];
              `None` = it has no early exits, or is of an older version.
            - `hypervolume`: normalised hypervolume, in [0, 1], of the run's networks in test error and
              executed MACs. The reference point has the worst test error and the worst MACs of all methods.
            - `single_exit_hypervolume`: normalised hypervolume of the run's single-exit networks.
            - `within`: budget -> test accuracy of the best network within it; `None` = all cost more.
            - `as_accurate_macs`: for plain networks, executed MACs of the cheapest network of the search that
              is as accurate as the chosen one on the validation part; `None` = none is, or not plain.
            - `evaluations`, `seconds`: number of evaluated candidates and duration; `None` = not known.
        """
        return [
            {"method": method.name, "seed": result.seed, **self._figures(method, result, networks)}
            for method in self.methods
            for result, networks in zip(method.results, method.networks, strict=True)
        ]

    def summary(self) -> list[dict[str, Any]]:
        """Return one dictionary for each method, with the means over its seeds.

        Returns:
            A list of dictionaries with the following keys.

            - `method`, `seeds`: the name of the method, and the seeds of its runs.
            - The other keys of `rows`: the mean over seeds; `None` = a seed has no value.
            - `spread`: for the same keys, the standard deviation over seeds, with the divisor number of
              seeds - 1; `None` = a seed has no value, or there is only one seed.
        """
        return [_summary(method.name, rows) for method, rows in self._by_method()]

    def importance(self) -> dict[str, list[Importance]]:
        """Return the importance of the searched choices by method: the mean over its seeds, by objective.

        Methods whose results hold no importance are left out.
        """
        means = {
            method.name: mean_importance([read_importance(result.importance) for result in method.results])
            for method in self.methods
            if not method.plain
        }
        return {name: importances for name, importances in means.items() if importances}

    def to_dataframe(self) -> "pd.DataFrame":
        """Return `rows` as a table, with a column `within_...M` for each budget in millions of MACs."""
        import pandas as pd

        flat = []
        for row in self.rows():
            within = {f"within_{mega(budget)}M": value for budget, value in row.pop("within").items()}
            flat.append({**row, **within})
        return pd.DataFrame(flat)

    def to_json(self) -> str:
        """Return JSON text with `summary` in `methods`, `rows` in `runs`, and `importance` by method."""
        genes = {name: as_json(importances) for name, importances in self.importance().items()}
        content = {"methods": self.summary(), "runs": self.rows(), "importance": genes}
        return json.dumps(content, indent=1) + "\n"

    def plot(self, path: Path | str | None = None) -> "Figure":
        """Plot the highest test accuracy of each method within a bound on executed MACs.

        Args:
            path: File for the plot, ending in .svg, .png or .pdf. `None`, the default, writes no file.

        Returns:
            The matplotlib figure.

        Raises:
            EdanasError: `path` has another ending, or cannot be written.
        """
        from edanas.report import plots
        from edanas.report.attainment import draw_attainment

        figure = draw_attainment({method.name: method.networks for method in self.methods}, self.budgets)
        if path is not None:
            plots.save(figure, Path(path))
        return figure

    @cached_property
    def _reference(self) -> npt.NDArray[np.float64]:
        """Reference point of the hypervolume: worst test error and worst executed MACs, of shape (2,)."""
        results = [result for method in self.methods for result in method.results]
        rows = [row for r in results for row in (*r.early_exit, *r.single_exit, *r.plain)]
        return reference_point(_values(rows))

    def _figures(self, method: Method, result: Result, networks: Sequence[ResultRow]) -> dict[str, Any]:
        candidates = networks or result.single_exit
        best = choose(candidates, Bounds())
        seconds = result.data.get("seconds", {})
        rival = standing(best, (*result.early_exit, *result.single_exit)).rival if method.plain else None
        return {
            "accuracy": best.test_accuracy,
            "executed_macs": best.executed_macs,
            "ada_macs": best.ada_macs,
            "backbone_macs": best.backbone_macs,
            "rival_cost": best.rival_cost,
            "failure_prediction": best.failure_prediction,
            "hypervolume": self._hypervolume(networks),
            "single_exit_hypervolume": self._hypervolume(result.single_exit),
            "within": {budget: _within(candidates, budget) for budget in self.budgets},
            "evaluations": len(networks) if method.plain else result.data.get("evaluations"),
            "seconds": (seconds.get(PLAIN_PART) if method.plain else sum(seconds.values())) or None,
            "as_accurate_macs": rival.macs_for_choice if rival else None,
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

    Runs with the same name are one method. Runs without a name are one method if their settings differ only
    in the seed, the device and other settings that are not part of the method.

    Args:
        runs: Results, or folders of finished runs; one or more.
        names: Name of the method of each run. `None` for a run = a name made of its settings. Empty, the
            default, = `None` for all runs.
        budgets: Bounds on executed MACs for one image; above 0. The accuracy within each bound is reported.

    Raises:
        RunError: A folder holds no finished run, or a run finished without a network.
        EdanasError: There are no runs, the runs are on different images, two runs of one method have the same
            seed, or a budget is not above 0.

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
            raise RunError(f"{result.folder}: the run finished without a network, and cannot be compared")
    limits = sorted(set(budgets))
    if limits and not limits[0] > 0:
        raise EdanasError(f"budgets: found {limits[0]:g}; allowed: executed MACs above 0")
    _check_same_images(results)
    groups: dict[str, list[Result]] = {}
    for name, result in zip(method_names(results, names or [None] * len(results)), results, strict=True):
        groups.setdefault(name, []).append(result)
    for name, group in groups.items():
        _check_seeds(name, group)
    methods = [Method(name, tuple(sorted(g, key=lambda result: result.seed))) for name, g in groups.items()]
    return Comparison((*methods, *_plain_methods(methods)), tuple(limits))


def _plain_methods(methods: Sequence[Method]) -> list[Method]:
    """Return a method of plain networks for each method some of whose runs trained plain networks."""
    runs = [(each.name, tuple(r for r in each.results if r.plain)) for each in methods]
    many = len(methods) > 1
    return [
        Method(f"plain networks of {name}" if many else "plain networks", results, plain=True)
        for name, results in runs
        if results
    ]


def _check_same_images(results: Sequence[Result]) -> None:
    """Check that all runs have the same data, classes and numbers of samples."""
    first = results[0]
    for other in results[1:]:
        for entry, a, b in (
            ("data", *(_images(r) for r in (first, other))),
            ("classes", *(r.data.get("classes") for r in (first, other))),
            ("samples", *(r.data.get("samples") for r in (first, other))),
        ):
            if a != b:
                raise EdanasError(
                    f"{other.folder}: found {entry} {b}; allowed: {a}, as in {first.folder}, since only runs "
                    "on the same samples can be compared"
                )


def _images(result: Result) -> dict[str, Any] | str:
    """Return the name of a run's data set, with its options except `download`.

    The name of a folder is the last component of its path, so that the same folder may lie elsewhere.
    """
    data = result.settings.get("data")
    values = dict(data) if isinstance(data, Mapping) else {"name": data}
    name = Path(str(values.pop("path", values.pop("name", "")))).name
    options = {key: value for key, value in values.items() if key not in ("name", "download")}
    return {"name": name, **options} if options else name


def _check_seeds(name: str, results: Sequence[Result]) -> None:
    """Check that the runs of a method have different seeds."""
    for one, two in combinations(results, 2):
        if one.seed == two.seed:
            raise EdanasError(
                f"{two.folder} and {one.folder} are both method '{name}' with seed {one.seed}; "
                "compare only one of the two runs, or name them differently: NAME=RUN"
            )


def _within(networks: Sequence[ResultRow], budget: float) -> float | None:
    """Return the test accuracy of the best network within a budget; `None` if no network is within it."""
    try:
        return float(choose(networks, Bounds(max_macs=budget)).test_accuracy)
    except EdanasError:
        return None


def _values(rows: Sequence[ResultRow]) -> npt.NDArray[np.float64]:
    """Return test error and executed MACs of networks, one row per network; both are minimised."""
    return np.array([[1 - row.test_accuracy, row.executed_macs] for row in rows], dtype=np.float64)


def _summary(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry of one method in `Comparison.summary`."""
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
