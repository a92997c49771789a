"""Optuna's multi-objective samplers at their defaults: one trial at a time, every gene `suggest_int`.

Genes are integers, not categories, since choices are in order of rising cost. The sampler also draws
unexpressed genes; the evaluation ignores them.
"""

import warnings
from typing import Any

import numpy as np

from search_rivals import Options, Recorder


def nsga2(function, record: Recorder, seed: int, _options: Options) -> None:
    """`NSGAIISampler`: population 50, uniform crossover."""
    _run("NSGAIISampler", function, record, seed)


def tpe(function, record: Recorder, seed: int, _options: Options) -> None:
    """`TPESampler`, the multi-objective one (Ozaki et al., 2022): 10 startup trials, univariate."""
    _run("TPESampler", function, record, seed)


def gp(function, record: Recorder, seed: int, _options: Options) -> None:
    """`GPSampler`: a Gaussian process for each objective, log expected hypervolume improvement."""
    _run("GPSampler", function, record, seed)


def _run(sampler: str, function, record: Recorder, seed: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    chosen: Any = getattr(optuna.samplers, sampler)(seed=seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=chosen)
    counts = function.space.counts
    while True:
        trial = study.ask()
        genome = [trial.suggest_int(f"x{i:03}", 0, int(count) - 1) for i, count in enumerate(counts)]
        values = record(np.array([genome]))
        study.tell(trial, values[0].tolist())
