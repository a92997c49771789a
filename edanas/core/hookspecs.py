"""The pluggy markers and specs: one for each kind of extension, and the lifecycle events.

A plugin is a module (or any object) with functions marked by `edanas.hookimpl` and named as below. A package
makes its plugin known with an entry point in the group `edanas`. A factory is a class or function whose
keyword arguments are the implementation's options, each annotated and with a default; the first line of its
docstring is what `edanas plugins` says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edanas.core.contracts import (
    Bundle,
    ConfidenceCriterion,
    Constraint,
    DataSource,
    Evaluator,
    Executor,
    ExitClassifier,
    Exporter,
    InferenceRule,
    IterationSummary,
    Logger,
    Objective,
    SearchStrategy,
    SupernetProvider,
    SurrogateModel,
    ThresholdSetter,
    TrainingScheme,
)
from edanas.core.markers import GROUP as GROUP
from edanas.core.markers import SPEC_VERSION as SPEC_VERSION
from edanas.core.markers import hookimpl as hookimpl
from edanas.core.markers import hookspec
from edanas.core.types import Evaluation


@dataclass(frozen=True)
class Kind:
    """A kind of extension: its name in settings and messages, its hook, and the contract its objects meet."""

    name: str
    hook: str
    contract: type


KINDS = (
    Kind("supernet provider", "edanas_supernet_providers", SupernetProvider),
    Kind("exit classifier", "edanas_exit_classifiers", ExitClassifier),
    Kind("confidence criterion", "edanas_confidence_criteria", ConfidenceCriterion),
    Kind("inference rule", "edanas_inference_rules", InferenceRule),
    Kind("threshold setter", "edanas_threshold_setters", ThresholdSetter),
    Kind("surrogate model", "edanas_surrogate_models", SurrogateModel),
    Kind("objective", "edanas_objectives", Objective),
    Kind("constraint", "edanas_constraints", Constraint),
    Kind("search strategy", "edanas_search_strategies", SearchStrategy),
    Kind("training scheme", "edanas_training_schemes", TrainingScheme),
    Kind("data set", "edanas_data_sets", DataSource),
    Kind("evaluation", "edanas_evaluations", Evaluator),
    Kind("executor", "edanas_executors", Executor),
    Kind("exporter", "edanas_exporters", Exporter),
    Kind("logger", "edanas_loggers", Logger),
    Kind("bundle", "edanas_bundles", Bundle),
)


@hookspec
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:  # type: ignore[empty-body]
    """Supernet providers by name. Called once a process; the chosen factory is called once a run."""


@hookspec
def edanas_exit_classifiers() -> Mapping[str, Callable[..., ExitClassifier]]:  # type: ignore[empty-body]
    """Exit classifiers by name: heads that turn features (B, C, H, W) into logits (B, K)."""


@hookspec
def edanas_confidence_criteria() -> Mapping[str, Callable[..., ConfidenceCriterion]]:  # type: ignore[empty-body]
    """Confidence criteria by name: logits (B, K) -> confidence (B,) in [0, 1], larger = surer."""


@hookspec
def edanas_inference_rules() -> Mapping[str, Callable[..., InferenceRule]]:  # type: ignore[empty-body]
    """Inference rules by name: logits (B, K) of the exits that ran -> the answer (B, K) of who leaves."""


@hookspec
def edanas_threshold_setters() -> Mapping[str, Callable[..., ThresholdSetter]]:  # type: ignore[empty-body]
    """Threshold setters by name: what a network does on calibration samples -> its final thresholds."""


@hookspec
def edanas_surrogate_models() -> Mapping[str, Callable[..., SurrogateModel]]:  # type: ignore[empty-body]
    """Surrogate models by name; a factory takes `seed: int` and its options, once for every fit."""


@hookspec
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:  # type: ignore[empty-body]
    """Objectives by name: metrics -> one number, with its direction and unit."""


@hookspec
def edanas_constraints() -> Mapping[str, Callable[..., Constraint]]:  # type: ignore[empty-body]
    """Constraints by name: how far a candidate is beyond what is allowed, if it is."""


@hookspec
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:  # type: ignore[empty-body]
    """Search strategies by name: ask and tell over integer genomes."""


@hookspec
def edanas_training_schemes() -> Mapping[str, Callable[..., TrainingScheme]]:  # type: ignore[empty-body]
    """Training schemes by name: a plan of phases, and the losses of all exits -> one scalar."""


@hookspec
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:  # type: ignore[empty-body]
    """Data sets by name, for `--data NAME`."""


@hookspec
def edanas_evaluations() -> Mapping[str, Callable[..., Evaluator]]:  # type: ignore[empty-body]
    """Evaluation modes by name; a factory takes the run's workbench as its first argument."""


@hookspec
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:  # type: ignore[empty-body]
    """Executors by name: where evaluations run."""


@hookspec
def edanas_exporters() -> Mapping[str, Callable[..., Exporter]]:  # type: ignore[empty-body]
    """Exporters by name: a finished EENN -> files."""


@hookspec
def edanas_loggers() -> Mapping[str, Callable[..., Logger]]:  # type: ignore[empty-body]
    """Loggers by name: objects with lifecycle events of their own, told of the runs that ask for them."""


@hookspec
def edanas_bundles() -> Mapping[str, Bundle]:  # type: ignore[empty-body]
    """Bundles by name, for `--plugin NAME`."""


@hookspec
def edanas_run_started(settings: Mapping[str, Any], folder: Path) -> None:
    """A run begins or resumes: its resolved settings as plain values, and the folder it writes to.

    An exception in this or any other event is reported once, with the plugin's name, and the run goes on.
    """


@hookspec
def edanas_candidate_evaluated(evaluation: Evaluation) -> None:
    """A candidate was evaluated, well or with an error, and is durable in the archive."""


@hookspec
def edanas_iteration_finished(summary: IterationSummary) -> None:
    """The initial archive (iteration 0) or an iteration is complete."""


@hookspec
def edanas_run_finished(result: Mapping[str, Any], folder: Path) -> None:
    """Everything is written: the content of `result.json`, and the run's folder."""
