"""Composition: the objects of a run, made from the registry and the settings. No other module does that."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from edanas.core.contracts import (
    Constraint,
    DataSource,
    Evaluator,
    Executor,
    ExitClassifier,
    Exporter,
    Logger,
    Objective,
    SearchProblem,
    SearchStrategy,
    SupernetProvider,
    SurrogateModel,
    ThresholdSetter,
)
from edanas.core.devices import device_of
from edanas.core.errors import ConfigError
from edanas.core.feasible import Feasibility
from edanas.core.fronts import Fronts
from edanas.core.progress import Progress
from edanas.core.settings import Component, Settings, labels
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS
from edanas.data.splits import split
from edanas.evaluation.predicted_metrics import count_costs, judge_of, measure_of, predict_objectives
from edanas.evaluation.workbench import Workbench
from edanas.plugins.data_sets import data_component
from edanas.plugins.manager import Plugin
from edanas.plugins.registry import Registry
from edanas.surrogates.adaptive import AdaptiveSwitching

WRITER = "safetensors"
"""The exporter that writes every result, in the form that `edanas.load` reads."""


@dataclass(frozen=True)
class Composition:
    """The objects of one run.

    Args:
        workbench: The data, networks and settings that evaluations use.
        evaluator: The evaluation mode, not yet prepared.
        strategy: The search strategy, not yet started.
        problem: The problem to start the strategy on.
        fronts: The trade-offs of backbones, with continuous thresholds; otherwise `None`.
        objectives: The objectives of the search.
        limits: The constraints on every result.
        executor: The executor of evaluations.
        setter: The setter of the thresholds of each result.
        exporters: The exporters of each result.
        remarks: Sentences on the preparation of the images, for the user.
    """

    workbench: Workbench
    evaluator: Evaluator
    strategy: SearchStrategy
    problem: SearchProblem
    fronts: Fronts | None
    objectives: tuple[Objective, ...]
    limits: Feasibility
    executor: Executor
    setter: ThresholdSetter
    exporters: tuple[Exporter, ...]
    remarks: tuple[str, ...]


def make_space(registry: Registry, settings: Settings) -> tuple[SupernetProvider, SearchSpace]:
    """Return the supernet's provider, and the search space with the thresholds.

    Raises:
        ConfigError: An option of the supernet is out of range.
    """
    supernet = settings.supernet
    provider: SupernetProvider = registry.create("supernet provider", supernet.name, supernet.options)
    return provider, SearchSpace(provider.variables(), settings.thresholds, provider.exit_points)


def compose(registry: Registry, settings: Settings, folder: Path, progress: Progress) -> Composition:
    """Make the objects of a run, and read the data.

    Args:
        registry: The extensions by kind and name.
        settings: As `layered_settings` returns them.
        folder: The run folder.
        progress: Where the strategy shows its progress.

    Raises:
        EdanasError: An option or the data is wrong for an implementation.
    """

    def make(kind: str, component: Component, *args: Any) -> Any:
        return registry.create(kind, component.name, component.options, *args)

    provider, full_space = make_space(registry, settings)
    classifier: ExitClassifier = make("exit classifier", settings.classifier)
    _check_heads(registry, settings, provider, classifier)
    strategy: SearchStrategy = make("search strategy", settings.strategy)
    space = strategy.confine(full_space)
    source: DataSource = make("data set", data_component(registry, settings.data))
    loaded = source.load(_largest_side(space), settings.seed)
    objectives = tuple(make("objective", component) for component in settings.objectives)
    constraints: tuple[Constraint, ...] = tuple(make("constraint", each) for each in settings.constraints)
    meters = [meter for each in (*objectives, *constraints) for meter in each.meters]
    workbench = Workbench(
        settings=settings,
        provider=provider,
        classifier=classifier,
        criterion=make("confidence criterion", settings.criterion),
        inference=make("inference rule", settings.inference),
        scheme=make("training scheme", settings.scheme),
        space=space,
        parts=split(loaded, settings.split, settings.seed),
        device=device_of(settings),
        folder=folder,
        meters=tuple({meter.name: meter for meter in meters}.values()),
        measure=measure_of(objectives),
    )
    # A scheme that does not fit the exits of the supernet raises its error here, before any training.
    workbench.scheme.phases(tuple(range(provider.exit_points + 1)))
    evaluator: Evaluator = make("evaluation", settings.evaluation, workbench)
    _check_teacher(registry, settings, evaluator)
    for constraint in constraints:
        constraint.prepare(space)
    judge = judge_of(workbench, evaluator)
    limits = Feasibility(constraints, count_costs(judge), bare=strategy.nested)
    _check_continuous(registry, settings, strategy, evaluator)
    fronts = Fronts(evaluator, objectives, limits) if strategy.nested else None
    problem = SearchProblem(
        space=space,
        objectives=len(objectives),
        surrogate=surrogate_factory(registry, settings.surrogates),
        seed=settings.seed,
        initial=settings.search.initial,
        progress=progress,
        judge=predict_objectives(judge, objectives, limits),
        front=fronts.feasible if fronts else None,
        limits=limits.limits,
        structure=limits.structure if limits.structural else None,
    )
    return Composition(
        workbench=workbench,
        evaluator=evaluator,
        strategy=strategy,
        problem=problem,
        fronts=fronts,
        objectives=objectives,
        limits=limits,
        executor=make("executor", settings.executor),
        setter=make("threshold setter", settings.final_thresholds),
        exporters=tuple(make("exporter", component) for component in _exporters(settings)),
        remarks=loaded.remarks,
    )


def _exporters(settings: Settings) -> tuple[Component, ...]:
    """Return the exporters of the settings after `WRITER`, which is always the first."""
    exports = settings.exports
    writers = [each for each in exports if each.name == WRITER] or [Component(WRITER)]
    return (*writers, *(each for each in exports if each.name != WRITER))


def _check_heads(
    registry: Registry, settings: Settings, provider: SupernetProvider, classifier: ExitClassifier
) -> None:
    """Check that heads can read the output of the supernet's stages.

    Raises:
        ConfigError: They cannot.
    """
    if classifier.reads != provider.passes:
        entries = registry.entries("exit classifier")
        others = [each.name for each in entries if getattr(each.factory, "reads", "") == provider.passes]
        raise ConfigError(
            f"classifier: '{settings.classifier.name}' reads {classifier.reads}, and the stages of supernet "
            f"'{settings.supernet.name}' pass on {provider.passes}; allowed: {', '.join(others) or 'nothing'}"
        )


def _check_teacher(registry: Registry, settings: Settings, evaluator: Evaluator) -> None:
    """Check that the settings use a teacher that they name.

    Raises:
        ConfigError: The evaluation trains no supernet, or distillation has no weight.
    """
    if not settings.teacher:
        return
    if not evaluator.trains_supernet:
        others = " or ".join(f"'{name}'" for name in supernet_trainers(registry))
        raise ConfigError(
            f"teacher: found '{settings.teacher}', and evaluation '{settings.evaluation.name}' trains no "
            f"supernet; allowed: evaluation {others}, or an empty teacher"
        )
    if not settings.training.distillation:
        raise ConfigError(
            f"training.distillation: found 0 with teacher '{settings.teacher}'; allowed: a number > 0 and "
            "<= 1, or an empty teacher"
        )


def supernet_trainers(registry: Registry) -> list[str]:
    """Return the names of the evaluations that train a supernet, as far as their factories declare it."""
    entries = registry.entries("evaluation")
    return [each.name for each in entries if getattr(each.factory, "trains_supernet", False)]


def _check_continuous(
    registry: Registry, settings: Settings, strategy: SearchStrategy, evaluator: Evaluator
) -> None:
    """Check that thresholds, strategy and evaluation agree on whether thresholds are continuous.

    Raises:
        ConfigError: They do not.
    """
    continuous = settings.thresholds == CONTINUOUS
    name = settings.strategy.name
    if continuous != strategy.nested:
        others = [n for n in registry.names("search strategy") if _is_nested(registry, n) == continuous]
        present = f'"{CONTINUOUS}"' if continuous else "a list"
        required = "a list" if continuous else f'"{CONTINUOUS}"'
        raise ConfigError(
            f"strategy: '{name}' works where thresholds are {required}, and here they are {present}; "
            f"allowed: {', '.join(others) or 'none that is installed'}, or thresholds that are {required}"
        )
    if continuous and not evaluator.keeps_profiles:
        raise ConfigError(
            f"evaluation: '{settings.evaluation.name}' keeps no exit profiles, which continuous thresholds "
            "need; allowed: an evaluation that keeps them, or thresholds that are a list"
        )


def _is_nested(registry: Registry, name: str) -> bool:
    return bool(getattr(registry.entry("search strategy", name).factory, "nested", False))


def make_loggers(registry: Registry, settings: Settings) -> dict[Plugin, Logger]:
    """Return the loggers of the settings, each under a plugin of its own, which errors can name.

    Raises:
        ConfigError: The package of a logger is not installed or cannot be used.
    """
    chosen = settings.loggers
    return {
        replace(registry.entry("logger", each.name).plugin, name=f"logger '{label}'"): registry.create(
            "logger", each.name, each.options
        )
        for each, label in zip(chosen, labels(chosen), strict=True)
    }


def surrogate_factory(registry: Registry, chosen: Sequence[Component]) -> Callable[[int], SurrogateModel]:
    """Return a function from a seed to a surrogate of one objective, which switches among several choices."""

    def single(component: Component, seed: int) -> SurrogateModel:
        options = {"seed": seed, **component.options}
        return cast(SurrogateModel, registry.create("surrogate model", component.name, options))

    models: Mapping[str, Callable[[int], SurrogateModel]] = {
        label: functools.partial(single, component)
        for component, label in zip(chosen, labels(chosen), strict=True)
    }
    if len(models) == 1:
        return next(iter(models.values()))
    return lambda seed: AdaptiveSwitching(models, seed)


def _largest_side(space: SearchSpace) -> int:
    return int(space.largest()["resolution"])
