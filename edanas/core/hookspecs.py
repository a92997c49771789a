"""The hook specifications: one for each kind of extension, and one for each lifecycle event.

A plugin is a module (or another object) with functions that are marked with `edanas.hookimpl` and named
after the hooks in this module. A package registers its plugin with an entry point in the group `edanas`. A
factory is a class or function that returns an implementation. Its keyword arguments are the implementation's
options; each has an annotation and a default. `edanas plugins` shows the first paragraph of the factory's
docstring.

The hooks of a kind are called once, when a process builds its `edanas.plugins.registry.Registry`. They
return factories by name. `edanas plugins` lists the names, and settings choose among them. It is an error if
two plugins return the same name for one kind. The docstring of a hook describes the call of the chosen
factory.
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
    """A kind of extension.

    Args:
        name: Name of the kind in listings and messages, e.g. `exit classifier`.
        hook: Name of the hook that returns the implementations of this kind.
        contract: Class of the objects that the factories of this kind return.

    Example:
        >>> {kind.name: kind.hook for kind in KINDS}["exit classifier"]
        'edanas_exit_classifiers'
    """

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
    """Return supernet providers by name.

    The chosen factory is called with its options once per run; the provider defines the search space and
    builds the supernet.

    Example:
        >>> @hookimpl
        ... def edanas_supernet_providers():
        ...     '''Register `my-supernet`.'''
        ...     return {"my-supernet": MyProvider}
    """


@hookspec
def edanas_exit_classifiers() -> Mapping[str, Callable[..., ExitClassifier]]:  # type: ignore[empty-body]
    """Return exit classifiers by name: heads that turn features (B, C, H, W) into logits (B, K).

    The chosen factory is called with its options once per run; its `build` then makes every head.

    Example:
        >>> @hookimpl
        ... def edanas_exit_classifiers():
        ...     '''Register `my-head`.'''
        ...     return {"my-head": MyHead}
    """


@hookspec
def edanas_confidence_criteria() -> Mapping[str, Callable[..., ConfidenceCriterion]]:  # type: ignore[empty-body]
    """Return confidence criteria by name: logits (B, K) -> confidence (B,) in [0, 1].

    The chosen factory is called with its options once per run, and again when a saved network is loaded.

    Example:
        >>> @hookimpl
        ... def edanas_confidence_criteria():
        ...     '''Register `my-criterion`.'''
        ...     return {"my-criterion": MyCriterion}
    """


@hookspec
def edanas_inference_rules() -> Mapping[str, Callable[..., InferenceRule]]:  # type: ignore[empty-body]
    """Return inference rules by name: logits (B, K) of the exits that ran -> the network's output (B, K).

    The chosen factory is called with its options once per run, and again when a saved network is loaded.

    Example:
        >>> @hookimpl
        ... def edanas_inference_rules():
        ...     '''Register `my-rule`.'''
        ...     return {"my-rule": MyRule}
    """


@hookspec
def edanas_threshold_setters() -> Mapping[str, Callable[..., ThresholdSetter]]:  # type: ignore[empty-body]
    """Return threshold setters by name: calibration samples -> the thresholds of a finished network.

    The chosen factory is called with its options once per run; its `choose` is called for each result.

    Example:
        >>> @hookimpl
        ... def edanas_threshold_setters():
        ...     '''Register `my-setter`.'''
        ...     return {"my-setter": MySetter}
    """


@hookspec
def edanas_surrogate_models() -> Mapping[str, Callable[..., SurrogateModel]]:  # type: ignore[empty-body]
    """Return surrogate models by name.

    Each chosen factory is called with `seed` (int) and its options before every fit: in each iteration, for
    each objective.

    Example:
        >>> @hookimpl
        ... def edanas_surrogate_models():
        ...     '''Register `my-model`.'''
        ...     return {"my-model": MyModel}
    """


@hookspec
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:  # type: ignore[empty-body]
    """Return objectives by name: metrics -> one number to minimise or maximise.

    Each chosen factory is called with its options once per run; `value` is called for each candidate.

    Example:
        >>> @hookimpl
        ... def edanas_objectives():
        ...     '''Register `my-objective`.'''
        ...     return {"my-objective": MyObjective}
    """


@hookspec
def edanas_constraints() -> Mapping[str, Callable[..., Constraint]]:  # type: ignore[empty-body]
    """Return constraints by name: candidate -> its distance from a limit.

    Each chosen factory is called with its options once per run; `excess` is called for each candidate.

    Example:
        >>> @hookimpl
        ... def edanas_constraints():
        ...     '''Register `my-limit`.'''
        ...     return {"my-limit": MyLimit}
    """


@hookspec
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:  # type: ignore[empty-body]
    """Return search strategies by name: they choose the candidates to evaluate.

    The chosen factory is called with its options once per run; the engine then calls `ask` in each iteration.

    Example:
        >>> @hookimpl
        ... def edanas_search_strategies():
        ...     '''Register `my-strategy`.'''
        ...     return {"my-strategy": MyStrategy}
    """


@hookspec
def edanas_training_schemes() -> Mapping[str, Callable[..., TrainingScheme]]:  # type: ignore[empty-body]
    """Return training schemes by name: a plan of phases, and one loss from the losses of all exits.

    The chosen factory is called with its options once per run; every training of the run uses its scheme.

    Example:
        >>> @hookimpl
        ... def edanas_training_schemes():
        ...     '''Register `my-scheme`.'''
        ...     return {"my-scheme": MyScheme}
    """


@hookspec
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:  # type: ignore[empty-body]
    """Return data sets by name, for `--data NAME`.

    The chosen factory is called with its options once per run; its `load` reads all images.

    Example:
        >>> @hookimpl
        ... def edanas_data_sets():
        ...     '''Register `my-images`.'''
        ...     return {"my-images": MyImages}
    """


@hookspec
def edanas_evaluations() -> Mapping[str, Callable[..., Evaluator]]:  # type: ignore[empty-body]
    """Return evaluation modes by name.

    The chosen factory is called once per run. Its first argument is the run's workbench; its options follow.

    Example:
        >>> @hookimpl
        ... def edanas_evaluations():
        ...     '''Register `my-evaluation`.'''
        ...     return {"my-evaluation": MyEvaluation}
    """


@hookspec
def edanas_executors() -> Mapping[str, Callable[..., Executor]]:  # type: ignore[empty-body]
    """Return executors by name: they run evaluations, e.g. in other processes.

    The chosen factory is called with its options once per run; the engine closes the executor at the end.

    Example:
        >>> @hookimpl
        ... def edanas_executors():
        ...     '''Register `my-cluster`.'''
        ...     return {"my-cluster": MyCluster}
    """


@hookspec
def edanas_exporters() -> Mapping[str, Callable[..., Exporter]]:  # type: ignore[empty-body]
    """Return exporters by name: a finished network -> files.

    Each chosen factory is called with its options once per run; `export` is called for each result.

    Example:
        >>> @hookimpl
        ... def edanas_exporters():
        ...     '''Register `my-format`.'''
        ...     return {"my-format": MyFormat}
    """


@hookspec
def edanas_loggers() -> Mapping[str, Callable[..., Logger]]:  # type: ignore[empty-body]
    """Return loggers by name: objects with methods for lifecycle events.

    Each chosen factory is called with its options before a run reads anything; the logger then receives the
    lifecycle events of the run.

    Example:
        >>> @hookimpl
        ... def edanas_loggers():
        ...     '''Register `my-tracker`.'''
        ...     return {"my-tracker": MyTracker}
    """


@hookspec
def edanas_bundles() -> Mapping[str, Bundle]:  # type: ignore[empty-body]
    """Return bundles by name, for `--plugin NAME`.

    The settings of the chosen bundle replace the defaults, and the settings of its preset come on top.

    Example:
        >>> @hookimpl
        ... def edanas_bundles():
        ...     settings = {"classifier": "my-head", "seed": 7}
        ...     return {"my-bundle": Bundle("My choices for small images.", settings)}
    """


@hookspec
def edanas_run_started(settings: Mapping[str, Any], folder: Path) -> None:
    """React to a run that begins or resumes.

    The run calls this event before it prepares the evaluation. The return value of any event is ignored. An
    exception in an event is reported once for each plugin and event, and the run goes on.

    Args:
        settings: The run's settings as nested tables of TOML's types.
        folder: The run's folder.

    Example:
        >>> @hookimpl
        ... def edanas_run_started(settings, folder):
        ...     print(f"seed {settings['seed']} in {folder}")
        >>> edanas_run_started({"seed": 7}, "run")
        seed 7 in run
    """


@hookspec
def edanas_candidate_evaluated(evaluation: Evaluation) -> None:
    """React to the evaluation of one candidate, which succeeded or failed.

    The run calls this event in the order of the archive, when the evaluation is safely on disk. A resumed run
    does not repeat the events from before its interruption.

    Args:
        evaluation: The candidate with its metrics, or with the reason for its failure.

    Example:
        >>> @hookimpl
        ... def edanas_candidate_evaluated(evaluation):
        ...     if evaluation.metrics is None:
        ...         print(f"{evaluation.candidate.id} failed: {evaluation.error}")
    """


@hookspec
def edanas_iteration_finished(summary: IterationSummary) -> None:
    """React to a complete iteration; iteration 0 is the initial archive.

    The run calls this event after the last `edanas_candidate_evaluated` of the iteration.

    Args:
        summary: Counts, hypervolume and evaluations of the iteration.

    Example:
        >>> @hookimpl
        ... def edanas_iteration_finished(summary):
        ...     print(f"{summary.iteration}: {summary.hypervolume:.3f}")
        >>> edanas_iteration_finished(IterationSummary(1, 24, 0, 0.5, ()))
        1: 0.500
    """


@hookspec
def edanas_plain_network_finished(row: Mapping[str, Any]) -> None:
    """React to a plain dense network, a baseline, that is trained and tested.

    The run calls this event after the results are finished, when the network's files are written. A resumed
    run does not repeat the events from before its interruption.

    Args:
        row: The network as in `plain` of `result.json`, without the comparison with the search.

    Example:
        >>> @hookimpl
        ... def edanas_plain_network_finished(row):
        ...     print(f"{row['id']}: {row['test_accuracy']:.3f}")
        >>> edanas_plain_network_finished({"id": "plain-8-16-32", "test_accuracy": 0.99})
        plain-8-16-32: 0.990
    """


@hookspec
def edanas_run_finished(result: Mapping[str, Any], folder: Path) -> None:
    """React to the end of a run.

    The run calls this event after it has written all files.

    Args:
        result: The content of `result.json`.
        folder: The run's folder.

    Example:
        >>> @hookimpl
        ... def edanas_run_finished(result, folder):
        ...     print(f"{len(result['front'])} networks in {folder / 'models'}")
        >>> edanas_run_finished({"front": [1, 2]}, Path("run"))
        2 networks in run/models
    """
