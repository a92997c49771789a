"""Several runs on the same images, side by side: runs that differ in their seed alone are one method."""

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from edanas.core.errors import EdanasError, RunError
from edanas.numerics.pareto import normalised_hypervolume, reference_point
from edanas.report import plots
from edanas.report.attainment import draw_attainment
from edanas.report.result import Result
from edanas.report.words import Row, mega

INCIDENTAL = ("seed", "data", "device", "threads", "executor", "loggers", "exports", "examples", "warm_start")
"""Settings in which runs of one method may differ: none of them makes another method, on the same images."""

_NAMED = 3
"""So many settings at most make a name; where more differ, the folder's name says more."""


@dataclass(frozen=True)
class Method:
    """Runs of the same settings, one for each seed.

    Args:
        name: As given, or what sets these settings apart from the other methods'.
        results: By rising seed.
    """

    name: str
    results: tuple[Result, ...]

    @cached_property
    def networks(self) -> tuple[tuple[Row, ...], ...]:
        """For each seed the early-exit networks; the single-exit ones where the method makes no others."""
        early = any(result.front for result in self.results)
        return tuple(tuple(result.front if early else result.static_front) for result in self.results)


@dataclass(frozen=True)
class Comparison:
    """What several methods reach on one data set, with the spread over seeds.

    Args:
        methods: In the order that their first runs were given in.
        budgets: Executed MACs for which the accuracy within them is told, ascending.
    """

    methods: tuple[Method, ...]
    budgets: tuple[float, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """For each method and seed what the run reached; accuracies are fractions of the test part.

        `accuracy`, `executed_macs`, `ada_macs` and `backbone_macs` are those of the network that
        `Result.best` chooses by validation accuracy. `hypervolume` is the share, in [0, 1], of the box
        between no cost, no error and the worst of all methods that the method's networks dominate in test
        error and executed MACs; `single_exit_hypervolume` that of the same search's single-exit networks.
        `within` has for each budget the accuracy of the best network in it, or `None`.
        """
        return [
            {"method": method.name, "seed": result.seed, **self._figures(result, networks)}
            for method in self.methods
            for result, networks in zip(method.results, method.networks, strict=True)
        ]

    def summary(self) -> list[dict[str, Any]]:
        """For each method the means over its seeds, and `spread` with their standard deviations.

        The standard deviation is that of the sample, and `None` with one seed; a mean is `None` where a seed
        has no value.
        """
        return [_summed(method.name, rows) for method, rows in self._by_method()]

    def to_dataframe(self) -> pd.DataFrame:
        """`rows` as a table, a column for each budget."""
        flat = []
        for row in self.rows():
            within = {f"within_{mega(b)}M": value for b, value in row.pop("within").items()}
            flat.append({**row, **within})
        return pd.DataFrame(flat)

    def to_json(self) -> str:
        """`summary` and `rows`, for tools."""
        return json.dumps({"methods": self.summary(), "runs": self.rows()}, indent=1) + "\n"

    def plot(self, path: Path | str | None = None) -> Figure:
        """Test accuracy that each method attains within executed MACs; written to `path` too.

        Raises:
            EdanasError: `path` has another ending than .svg, .png or .pdf, or cannot be written.
        """
        figure = draw_attainment({method.name: method.networks for method in self.methods}, self.budgets)
        if path is not None:
            plots.save(figure, Path(path))
        return figure

    @cached_property
    def _reference(self) -> npt.NDArray[np.float64]:
        results = [result for method in self.methods for result in method.results]
        return reference_point(_values([row for r in results for row in (*r.front, *r.static_front)]))

    def _figures(self, result: Result, networks: Sequence[Row]) -> dict[str, Any]:
        best = result.best(exits=None if result.front else 0)
        return {
            "accuracy": best["test_accuracy"],
            "executed_macs": best["executed_macs"],
            "ada_macs": best["ada_macs"],
            "backbone_macs": best["backbone_macs"],
            "hypervolume": self._hypervolume(networks),
            "single_exit_hypervolume": self._hypervolume(result.static_front),
            "within": {budget: _within(result, budget) for budget in self.budgets},
            "evaluations": result.data.get("evaluations"),
            "seconds": sum(result.data.get("seconds", {}).values()) or None,
        }

    def _hypervolume(self, rows: Sequence[Row]) -> float:
        return normalised_hypervolume(_values(rows), np.zeros(2), self._reference) if rows else 0.0

    def _by_method(self) -> Iterator[tuple[Method, list[dict[str, Any]]]]:
        rows = iter(self.rows())
        for method in self.methods:
            yield method, [next(rows) for _ in method.results]


def compare(
    runs: Iterable[Result | Path | str], names: Sequence[str | None] = (), budgets: Iterable[float] = ()
) -> Comparison:
    """Runs on the same images side by side.

    Args:
        runs: Results, or folders of finished runs.
        names: For each run the method's name, `None` to have it found. Runs of one name are one method; so
            are runs without a name whose settings differ in nothing but the seed and the machine.
        budgets: Executed MACs to tell accuracies for.

    Raises:
        RunError: A folder holds no finished run.
        EdanasError: There is nothing to compare, runs are on different images, one method has a seed twice,
            or a budget is not positive.
    """
    results = [run if isinstance(run, Result) else Result.read(run) for run in runs]
    if not results:
        raise EdanasError("runs: found none; give the folders of finished runs")
    for result in results:
        if not result.front and not result.static_front:
            raise RunError(
                f"{result.folder}: the run finished without a network; there is nothing to compare"
            )
    wanted = sorted(set(budgets))
    if wanted and not wanted[0] > 0:
        raise EdanasError(f"budgets: found {wanted[0]:g}; allowed: executed MACs above 0")
    _check_same_images(results)
    given = list(names) or [None] * len(results)
    groups: dict[str, list[Result]] = {}
    for name, result in zip(_named(results, given), results, strict=True):
        groups.setdefault(name, []).append(result)
    for name, group in groups.items():
        _check_seeds(name, group)
    methods = (Method(name, tuple(sorted(g, key=lambda result: result.seed))) for name, g in groups.items())
    return Comparison(tuple(methods), tuple(wanted))


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
    """What names a run's images, whatever folder theirs lies in and whoever downloaded them."""
    data = result.settings.get("data")
    said = dict(data) if isinstance(data, Mapping) else {"name": data}
    name = Path(str(said.pop("path", said.pop("name", "")))).name
    options = {key: value for key, value in said.items() if key not in ("name", "download")}
    return {"name": name, **options} if options else name


def _check_seeds(name: str, results: Sequence[Result]) -> None:
    for one, two in combinations(results, 2):
        if one.seed == two.seed:
            raise EdanasError(
                f"{two.folder} and {one.folder} are both method '{name}' with seed {one.seed}; "
                "give one of them, or names of their own: NAME=RUN"
            )


def _named(results: Sequence[Result], given: Sequence[str | None]) -> list[str]:
    """A name for each run; equal for runs of equal settings."""
    settings = [_flat(result.settings) for result in results]
    keys = list(dict.fromkeys(key for each in settings for key in each))
    differing = [key for key in keys if len({json.dumps(each.get(key)) for each in settings}) > 1]
    names: dict[str, str] = {}
    found = []
    for name, result, own in zip(given, results, settings, strict=True):
        identity = json.dumps(own, sort_keys=True)
        if identity not in names:
            said = [f"{key.removesuffix('.name')}={_short(own[key])}" for key in differing if key in own]
            fits = len(said) > 0 and len(differing) <= _NAMED
            own_name = ", ".join(said) if fits else result.folder.resolve().name
            names[identity] = str(result.folder) if own_name in names.values() else own_name
        found.append(name or names[identity])
    return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if not prefix and key in INCIDENTAL:
            continue
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _within(result: Result, budget: float) -> float | None:
    try:
        return float(result.best(max_macs=budget, exits=None if result.front else 0)["test_accuracy"])
    except EdanasError:
        return None


def _values(rows: Sequence[Row]) -> npt.NDArray[np.float64]:
    """(n, 2), minimised: test error and executed MACs."""
    return np.array([[1 - row["test_accuracy"], row["executed_macs"]] for row in rows], dtype=np.float64)


def _summed(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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
