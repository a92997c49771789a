"""Conformance suites for plugin authors: one line in a test checks a class against its contract.

Each suite is a function. It returns nothing, or raises `ConformanceError`, an `AssertionError` that names the
call, its input, the result and the expected result::

    from edanas.testing import check_criterion

    def test_it_conforms():
        check_criterion(MyCriterion())

There is one suite for each kind of extension, and `SUITES` lists them by the kind. Calls by the kind are:

- supernet provider: `check_provider(MyProvider(widths=(0.25,)))`, with options that give small networks
- exit classifier: `check_classifier(MyClassifier())`
- confidence criterion: `check_criterion(MyCriterion())`
- inference rule: `check_inference(MyRule())`
- threshold setter: `check_setter(MySetter())`
- surrogate model: `check_surrogate(MyModel)`; the suite calls `MyModel` with a seed
- objective: `check_objective(MyObjective())`
- constraint: `check_constraint(MyConstraint(...))`, with limits that only some toy networks satisfy
- search strategy: `check_strategy(MyStrategy)`; the suite calls `MyStrategy` without arguments
- training scheme: `check_scheme(MyScheme())`
- data set: `check_data_set(MyData(path=...))`, and `check_missing_data(MyData())` where its files are missing
- evaluation: `check_evaluation(MyEvaluation)`; the suite calls `MyEvaluation` with a workbench
- executor: `check_executor(MyExecutor())`
- exporter: `check_exporter(MyExporter())`
- logger: `check_logger(MyLogger)`; the suite calls `MyLogger` without arguments
- bundle: `check_bundle("my-bundle", Registry(load_plugins()))`
"""

from collections.abc import Callable, Mapping

from edanas.testing.bundles import check_bundle
from edanas.testing.classifiers import check_classifier
from edanas.testing.conformance import ConformanceError
from edanas.testing.constraints import check_constraint
from edanas.testing.criteria import check_criterion
from edanas.testing.datasets import check_data_set, check_missing_data
from edanas.testing.evaluations import check_evaluation
from edanas.testing.executors import check_executor
from edanas.testing.exporters import check_exporter
from edanas.testing.inference import check_inference
from edanas.testing.loggers import check_logger
from edanas.testing.objectives import check_objective
from edanas.testing.providers import check_provider
from edanas.testing.schemes import check_scheme
from edanas.testing.setters import check_setter
from edanas.testing.strategies import check_strategy
from edanas.testing.surrogates import check_surrogate

SUITES: Mapping[str, Callable[..., None]] = {
    "supernet provider": check_provider,
    "exit classifier": check_classifier,
    "confidence criterion": check_criterion,
    "inference rule": check_inference,
    "threshold setter": check_setter,
    "surrogate model": check_surrogate,
    "objective": check_objective,
    "constraint": check_constraint,
    "search strategy": check_strategy,
    "training scheme": check_scheme,
    "data set": check_data_set,
    "evaluation": check_evaluation,
    "executor": check_executor,
    "exporter": check_exporter,
    "logger": check_logger,
    "bundle": check_bundle,
}
"""The suite of each kind of extension, by the kind's name."""

__all__ = [
    "SUITES",
    "ConformanceError",
    "check_bundle",
    "check_classifier",
    "check_constraint",
    "check_criterion",
    "check_data_set",
    "check_evaluation",
    "check_executor",
    "check_exporter",
    "check_inference",
    "check_logger",
    "check_missing_data",
    "check_objective",
    "check_provider",
    "check_scheme",
    "check_setter",
    "check_strategy",
    "check_surrogate",
]
