"""Methods of `benchmarks/search.py`: ours by their registered names, and the rivals.

A method is a function `run(function, record, seed, options)` that runs until `record` raises `Spent`. It may
read the function's space and its reference point; only `record` returns values.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Genomes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

RIVALS = {
    "pymoo nsga2": ("pymoo_nsga2", "nsga2"),
    "optuna nsga2": ("optuna_samplers", "nsga2"),
    "optuna tpe": ("optuna_samplers", "tpe"),
    "optuna gp": ("optuna_samplers", "gp"),
    "smac parego": ("smac_parego", "parego"),
    "botorch qnehvi": ("botorch_qnehvi", "qnehvi"),
    "paper": ("paper_procedure", "paper"),
}
"""Module and function of each rival; imported when it runs, since most need packages of their own."""

OURS = "edanas "
"""Prefix of the names of registered strategies."""


class Spent(Exception):  # noqa: N818 - the regular end of a run, no error
    """The budget of evaluations, or of the method's own seconds, is exhausted."""


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Args:
        budget: Limit of evaluations.
        initial: Size of our strategies' initial archive.
        batch: Candidates of one proposal, for methods with batches.
        seconds: Limit of a method's own CPU seconds in one run.
        scaled: Budget that the paper's initial archive is scaled to; 0 = the 100 of its 340.
    """

    budget: int = 340
    initial: int = 16
    batch: int = 8
    seconds: float = float("inf")
    scaled: int = 0


@dataclass
class Recorder:
    """Evaluates genomes for a method, records them in order, and ends the run.

    Every row counts, also a repeated one, as it would for a user.

    Args:
        evaluate: (n, D) canonical genomes -> (n, J) minimised values.
        canonical: Any (n, D) genomes -> canonical ones.
        options: Limits of the run.
    """

    evaluate: Callable[[Genomes], Values]
    canonical: Callable[[Genomes], Genomes]
    options: Options
    genomes: list[list[int]] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    stopped: str = "budget"

    def __post_init__(self) -> None:
        self._since = time.process_time()

    def __call__(self, genomes: Genomes) -> Values:
        """Return values (n, J) of (n, D) genomes.

        Raises:
            Spent: These genomes exhaust the budget, or the method exhausted its own seconds before.
        """
        self.own.append(time.process_time() - self._since)
        if sum(self.own) > self.options.seconds:
            self.sizes.append(0)
            self.stopped = "seconds"
            raise Spent
        rows = self.canonical(np.asarray(genomes, dtype=np.int64))
        rows = rows[: self.options.budget - len(self.values)]
        values = self.evaluate(rows)
        self.genomes += rows.tolist()
        self.values += values.tolist()
        self.sizes.append(len(rows))
        if len(self.values) >= self.options.budget:
            raise Spent
        self._since = time.process_time()
        return values


def method(name: str) -> Callable[..., None]:
    """Return the function that runs a method."""
    if name.startswith(OURS):
        ours = importlib.import_module("search_rivals.edanas_strategies")
        return ours.runner(name.removeprefix(OURS))
    module, function = RIVALS[name]
    return getattr(importlib.import_module(f"search_rivals.{module}"), function)
