"""pymoo's NSGA-II on the evaluations themselves, with the operators of its documentation.

Integers: the page on discrete variables (SBX and polynomial mutation with eta 3, rounded). Bits: the page on
binary variables (two-point crossover, bit flips). The population is the default, 100.
"""

import numpy as np

from search_rivals import Options, Recorder


def nsga2(function, record: Recorder, seed: int, _options: Options) -> None:
    """Run NSGA-II as the module describes."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.problem import Problem
    from pymoo.problems.static import StaticProblem

    space = function.space
    binary = bool((space.counts == 2).all())
    problem = Problem(
        n_var=space.dimensions, n_obj=2, xl=0, xu=space.counts - 1, vtype=bool if binary else int
    )
    algorithm = NSGA2(**_operators(binary=binary), eliminate_duplicates=True)
    algorithm.setup(problem, termination=("n_gen", 10**6), seed=seed, verbose=False)
    while True:
        infills = algorithm.ask()
        values = record(infills.get("X").astype(np.int64))
        Evaluator().eval(StaticProblem(problem, F=values), infills)
        algorithm.tell(infills=infills)


def _operators(*, binary: bool):
    from pymoo.operators.crossover.pntx import TwoPointCrossover
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.bitflip import BitflipMutation
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import BinaryRandomSampling, IntegerRandomSampling

    if binary:
        return {
            "sampling": BinaryRandomSampling(),
            "crossover": TwoPointCrossover(),
            "mutation": BitflipMutation(),
        }
    return {
        "sampling": IntegerRandomSampling(),
        "crossover": SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        "mutation": PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
    }
