"""Registry and settings -> the objects of a run: the only place where a name becomes an object."""

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
from edanas.evaluation.predicted_metrics import counting, in_numbers, judge_of, measure_of
from edanas.evaluation.workbench import Workbench
from edanas.plugins.data_sets import data_component
from edanas.plugins.manager import Plugin
from edanas.plugins.registry import Registry
from edanas.surrogates.adaptive import AdaptiveSwitching

WRITER = "safetensors"
"""The exporter that every result goes through: what `edanas.load` reads."""


@dataclass(frozen=True)
class Composition:
    """The objects of one run.

    Args:
        workbench: What evaluations work with.
        evaluator: Not yet prepared.
        strategy: Not yet started.
        problem: What the strategy is to be started on.
        fronts: What a backbone is worth where thresholds are continuous; otherwise `None`.
        objectives: What is optimised.
        limits: What every result must keep.
        executor: Where evaluations run.
        setter: Sets the thresholds of each result.
        exporters: What is written of each result.
        remarks: What was done to the images on the way in.
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
    """The supernet's provider, and the search space with the thresholds."""
    supernet = settings.supernet
    provider: SupernetProvider = registry.create("supernet provider", supernet.name, supernet.options)
    return provider, SearchSpace(provider.variables(), settings.thresholds, provider.exit_points)


def compose(registry: Registry, settings: Settings, folder: Path, progress: Progress) -> Composition:
    """Make everything a run needs; the data is read here.

    Args:
        registry: The plugins' offers.
        settings: Checked by `layered_settings`.
        folder: The run's folder; it exists.
        progress: Where the strategy shows what takes long.

    Raises:
        EdanasError: What the chosen implementations raise on wrong options or data.
    """

    def make(kind: str, component: Component, *args: Any) -> Any:
        return registry.create(kind, component.name, component.options, *args)

    provider, whole = make_space(registry, settings)
    classifier: ExitClassifier = make("exit classifier", settings.classifier)
    _check_heads(registry, settings, provider, classifier)
    strategy: SearchStrategy = make("search strategy", settings.strategy)
    space = strategy.confine(whole)
    source: DataSource = make("data set", data_component(registry, settings.data))
    loaded = source.load(_largest_side(space), settings.seed)
    objectives = tuple(make("objective", component) for component in settings.objectives)
    constraints: tuple[Constraint, ...] = tuple(make("constraint", each) for each in settings.constraints)
    asked = [meter for each in (*objectives, *constraints) for meter in each.meters]
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
        meters=tuple({meter.name: meter for meter in asked}.values()),
        measure=measure_of(objectives),
    )
    # Asked here, so that a scheme that does not fit the supernet's exits says so before anything is trained.
    workbench.scheme.phases(tuple(range(provider.exit_points + 1)))
    evaluator: Evaluator = make("evaluation", settings.evaluation, workbench)
    _check_teacher(registry, settings, evaluator)
    for constraint in constraints:
        constraint.prepare(space)
    judge = judge_of(workbench, evaluator)
    limits = Feasibility(constraints, counting(judge), bare=strategy.nested)
    _check_continuous(registry, settings, strategy, evaluator)
    fronts = Fronts(evaluator, objectives, limits) if strategy.nested else None
    problem = SearchProblem(
        space=space,
        objectives=len(objectives),
        surrogate=surrogate_factory(registry, settings.surrogates),
        seed=settings.seed,
        initial=settings.search.initial,
        progress=progress,
        judge=in_numbers(judge, objectives, limits),
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
    """What is asked for, after the one that `edanas.load` reads."""
    asked = settings.exports
    writers = [each for each in asked if each.name == WRITER] or [Component(WRITER)]
    return (*writers, *(each for each in asked if each.name != WRITER))


def _check_heads(
    registry: Registry, settings: Settings, provider: SupernetProvider, classifier: ExitClassifier
) -> None:
    """Heads can read what the supernet's stages pass on.

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
    """A teacher that is named has somebody to teach, and something to say.

    Raises:
        ConfigError: It has not.
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
            f"training.distillation: found 0, and '{settings.teacher}' is to teach; allowed: a number > 0 "
            "and <= 1, or an empty teacher"
        )


def supernet_trainers(registry: Registry) -> list[str]:
    """Return the names of the evaluations that train a supernet, as far as their factories declare it."""
    entries = registry.entries("evaluation")
    return [each.name for each in entries if getattr(each.factory, "trains_supernet", False)]


def _check_continuous(
    registry: Registry, settings: Settings, strategy: SearchStrategy, evaluator: Evaluator
) -> None:
    """Thresholds, strategy and evaluation go together.

    Raises:
        ConfigError: They do not.
    """
    continuous = settings.thresholds == CONTINUOUS
    name = settings.strategy.name
    if continuous != strategy.nested:
        other = [n for n in registry.names("search strategy") if _nested(registry, n) == continuous]
        held = f'"{CONTINUOUS}"' if continuous else "a list"
        wanted = "a list" if continuous else f'"{CONTINUOUS}"'
        raise ConfigError(
            f"strategy: '{name}' works where thresholds are {wanted}, and here they are {held}; "
            f"allowed: {', '.join(other) or 'none that is installed'}, or thresholds that are {wanted}"
        )
    if continuous and not evaluator.keeps_profiles:
        raise ConfigError(
            f"evaluation: '{settings.evaluation.name}' keeps no exit profiles, and continuous thresholds are "
            "found on them; allowed: an evaluation that keeps them, or thresholds that are a list"
        )


def _nested(registry: Registry, name: str) -> bool:
    return bool(getattr(registry.entry("search strategy", name).factory, "nested", False))


def make_loggers(registry: Registry, settings: Settings) -> dict[Plugin, Logger]:
    """The loggers that a run asks for, each as a plugin of its own.

    Raises:
        ConfigError: What one of them writes with is not installed or cannot be used.
    """
    chosen = settings.loggers
    return {
        replace(registry.entry("logger", each.name).plugin, name=f"logger '{label}'"): registry.create(
            "logger", each.name, each.options
        )
        for each, label in zip(chosen, labels(chosen), strict=True)
    }


def surrogate_factory(registry: Registry, chosen: Sequence[Component]) -> Callable[[int], SurrogateModel]:
    """What makes a surrogate for one objective from a seed: the one named, or switching among several."""

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
