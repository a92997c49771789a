"""SMAC3's facade for hyperparameters with ParEGO, by ask and tell at its defaults.

The facade has a random forest, expected improvement with a local search, and a Sobol design of at most a
quarter of the budget. ParEGO combines the objectives with random weights (Knowles, 2006), as the page of SMAC
on several objectives recommends. Genes are integers.
"""

import logging
import tempfile
import warnings

import numpy as np

from search_rivals import Options, Recorder


def parego(function, record: Recorder, seed: int, options: Options) -> None:
    """Run SMAC3 as the module describes."""
    from ConfigSpace import ConfigurationSpace, Constant, Integer
    from smac import HyperparameterOptimizationFacade as Facade
    from smac import Scenario
    from smac.multi_objective.parego import ParEGO
    from smac.runhistory.dataclasses import TrialValue

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    names = [f"x{at:03}" for at in range(len(function.space.counts))]
    space = ConfigurationSpace(seed=seed)
    for name, count in zip(names, function.space.counts.tolist(), strict=True):
        space.add(Integer(name, (0, count - 1)) if count > 1 else Constant(name, 0))
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space,
            objectives=["first", "second"],
            n_trials=options.budget,
            deterministic=True,
            seed=seed,
            output_directory=folder,
        )
        facade = Facade(
            scenario,
            lambda _config, seed=0: {"first": 0.0, "second": 0.0},
            multi_objective_algorithm=ParEGO(scenario),
            overwrite=True,
        )
        while True:
            trial = facade.ask()
            values = record(np.array([[trial.config[name] for name in names]]))
            facade.tell(trial, TrialValue(cost=values[0].tolist(), time=0.0))
