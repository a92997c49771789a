"""The composition of a run: the only module that makes the objects of a run from registry and settings."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from edanas.core.contracts import (
    ConfidenceCriterion,
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
from edanas.core.types import CONTINUOUS, DataParts
from edanas.core.variables import distinct_thresholds
from edanas.data.class_sizes import unequal_classes
from edanas.data.duplicates import Duplicates, find_duplicates
from edanas.data.group_split import group_sentences
from edanas.data.splits import parts_of, split_indices
from edanas.evaluation.predicted_metrics import count_costs, judge_of, measure_of, predict_objectives
from edanas.evaluation.workbench import Workbench
from edanas.plugins.data_sets import data_component
from edanas.plugins.manager import Plugin
from edanas.plugins.registry import Registry
from edanas.run.correction_check import check_corrections
from edanas.run.image_sizes import enlargement_sentences
from edanas.run.memory_limits import check_limits, limit_components, profile_of
from edanas.run.sample_check import check_exporters, check_layers, check_samples
from edanas.run.setter_check import check_setter
from edanas.surrogates.adaptive import AdaptiveSwitching
from edanas.surrogates.counted_costs import CountedCosts
from edanas.training.augmented_parts import with_copies

WRITER = "safetensors"
"""The name of the exporter that writes every result; `edanas.load` reads its files."""


@dataclass(frozen=True)
class Composition:
    """The objects of one run.

    Args:
        workbench: The data, networks and settings that evaluations use.
        evaluator: The evaluation mode, not yet prepared.
        strategy: The search strategy, not yet started.
        problem: The search problem that the strategy starts with.
        fronts: The Pareto-optimal selection schemes of backbones; `None` unless thresholds are continuous.
        objectives: The objectives of the search.
        limits: The constraints on every result.
        executor: The executor that runs evaluations.
        setter: The threshold setter that every result gets its thresholds from.
        exporters: The exporters that write every result, `WRITER` first.
        remarks: Sentences to print on the preparation of the images, on duplicates and on unequal classes.
        duplicates: Images that are in two parts or two classes at once.
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
    duplicates: Duplicates


def make_space(registry: Registry, settings: Settings) -> tuple[SupernetProvider, SearchSpace]:
    """Return the supernet provider, and the search space of its backbones, the heads and the thresholds.

    Thresholds that the criterion does not tell apart are one choice.

    Raises:
        ConfigError: An option of the supernet, of the exit classifier or of the criterion is out of range.
    """
    supernet, head = settings.supernet, settings.classifier
    provider: SupernetProvider = registry.create("supernet provider", supernet.name, supernet.options)
    classifier: ExitClassifier = registry.create("exit classifier", head.name, head.options)
    named = settings.criterion
    criterion: ConfidenceCriterion = registry.create("confidence criterion", named.name, named.options)
    thresholds = distinct_thresholds(settings.thresholds, criterion.levels)
    heads = classifier.variables(provider.exit_points)
    return provider, SearchSpace.of(provider, thresholds, cut=settings.search.cut, heads=heads)


def compose(registry: Registry, settings: Settings, folder: Path, progress: Progress) -> Composition:
    """Make all objects of a run, and read its data.

    Args:
        registry: The extensions by kind and name.
        settings: The settings, from `layered_settings`.
        folder: The run folder.
        progress: The display for the progress of the search strategy.

    Raises:
        EdanasError: An implementation does not accept an option or the data.
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
    indices = split_indices(loaded, settings.split, settings.seed)
    parts = parts_of(loaded, indices)
    check_samples(registry, settings, provider, parts)
    exporters = _exporters(registry, settings)
    enlarged = enlargement_sentences(loaded.samples.images, _largest_side(space))
    parts = with_copies(parts, settings.validation_copies, settings.training.augment, settings.seed)
    check_exporters(exporters, parts)
    duplicates = find_duplicates(loaded)
    groups = group_sentences(loaded.groups, indices)
    sentences = (*groups, *(() if settings.allow_duplicates else duplicates.sentences()))
    objectives = tuple(make("objective", component) for component in settings.objectives)
    profile = profile_of(settings)
    limited = (*settings.constraints, *limit_components(settings, profile))
    constraints: tuple[Constraint, ...] = tuple(make("constraint", each) for each in limited)
    meters = [meter for each in (*objectives, *constraints) for meter in each.meters]
    workbench = Workbench(
        settings=settings,
        provider=provider,
        classifier=classifier,
        criterion=make("confidence criterion", settings.criterion),
        inference=make("inference rule", settings.inference),
        scheme=make("training scheme", settings.scheme),
        space=space,
        parts=parts,
        device=device_of(settings),
        folder=folder,
        meters=tuple({meter.name: meter for meter in meters}.values()),
        measure=measure_of(objectives),
        footprints=any(each.footprints for each in (*objectives, *constraints, *meters)),
        device_profile=profile,
    )
    check_limits(workbench, constraints)
    check_layers(exporters, workbench)
    setter: ThresholdSetter = make("threshold setter", settings.final_thresholds)
    check_setter(registry, workbench, setter)
    # A training scheme that does not fit the supernet's exits raises its error here, before any training.
    workbench.scheme.phases(tuple(range(provider.exit_points + 1)))
    check_corrections(settings, workbench.inference, workbench.scheme, provider.exit_points)
    evaluator: Evaluator = make("evaluation", settings.evaluation, workbench)
    _check_teacher(registry, settings, evaluator)
    if settings.search.max_epochs and not evaluator.rungs:
        raise ConfigError(
            f"search.max_epochs: found {settings.search.max_epochs:g}, but evaluation "
            f"'{settings.evaluation.name}' trains no candidates; allowed: evaluation 'finetune', or 0"
        )
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
        executor=_executor(make, settings.executor, workbench),
        setter=setter,
        exporters=exporters,
        remarks=(
            *loaded.remarks,
            *enlarged,
            *sentences,
            *unequal_classes(parts.train),
            *_copies_remark(parts),
        ),
        duplicates=duplicates,
    )


def _executor(make: Callable[..., Any], chosen: Component, workbench: Workbench) -> Executor:
    """Return the executor of a run: `serial` for `auto` where another process would disturb this one."""
    executor: Executor = make("executor", chosen)
    alone = workbench.device.type != "cpu" or any(not meter.counted for meter in workbench.meters)
    if chosen.name == "auto" and alone:
        executor = make("executor", Component("serial", {"timeout": executor.timeout}))
    return executor


def _exporters(registry: Registry, settings: Settings) -> tuple[Exporter, ...]:
    """Return the exporters of a run: `WRITER`, then the other exporters in the settings."""
    exports = settings.exports
    writers = [each for each in exports if each.name == WRITER] or [Component(WRITER)]
    exporters = []
    for each in (*writers, *(each for each in exports if each.name != WRITER)):
        exporter: Exporter = registry.create("exporter", each.name, each.options)
        exporter.registered_name = each.name
        exporters.append(exporter)
    return tuple(exporters)


def _check_heads(
    registry: Registry, settings: Settings, provider: SupernetProvider, classifier: ExitClassifier
) -> None:
    """Check that the exit classifier reads the kind of tensor that the supernet's stages pass on.

    Raises:
        ConfigError: It reads another kind of tensor.
    """
    if classifier.reads != provider.passes:
        entries = registry.entries("exit classifier")
        others = [each.name for each in entries if getattr(each.factory, "reads", "") == provider.passes]
        raise ConfigError(
            f"classifier: '{settings.classifier.name}' reads {classifier.reads}, but the stages of supernet "
            f"'{settings.supernet.name}' pass on {provider.passes}; allowed: {', '.join(others) or 'nothing'}"
        )


def _check_teacher(registry: Registry, settings: Settings, evaluator: Evaluator) -> None:
    """Check that the run uses the teacher, if the settings name one.

    Raises:
        ConfigError: A teacher is named, but the evaluation trains no supernet, or
            `training.distillation` is 0; without training of the supernet, `finetune.distillation`.
    """
    if not settings.teacher:
        return
    if not evaluator.trains_supernet:
        others = " or ".join(f"'{name}'" for name in supernet_trainers(registry))
        raise ConfigError(
            f"teacher: found '{settings.teacher}', but evaluation '{settings.evaluation.name}' trains no "
            f"supernet; allowed: evaluation {others}, or an empty teacher"
        )
    trained = "training" if settings.training.trains else "finetune"
    if not getattr(settings, trained).distillation:
        raise ConfigError(
            f"{trained}.distillation: found 0 with teacher '{settings.teacher}'; allowed: a number > 0 and "
            "<= 1, or an empty teacher"
        )


def supernet_trainers(registry: Registry) -> list[str]:
    """Return the names of the evaluations whose factories declare that they train a supernet."""
    entries = registry.entries("evaluation")
    return [each.name for each in entries if getattr(each.factory, "trains_supernet", False)]


def _check_continuous(
    registry: Registry, settings: Settings, strategy: SearchStrategy, evaluator: Evaluator
) -> None:
    """Check that the strategy and the evaluation work with the thresholds, continuous or a list.

    Raises:
        ConfigError: The strategy needs the other kind of thresholds, or thresholds are continuous and the
            evaluation keeps no exit profiles.
    """
    continuous = settings.thresholds == CONTINUOUS
    name = settings.strategy.name
    if continuous != strategy.nested:
        entries = registry.entries("search strategy")
        others = [e.name for e in entries if bool(getattr(e.factory, "nested", False)) == continuous]
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


def make_loggers(registry: Registry, settings: Settings) -> dict[Plugin, Logger]:
    """Return the loggers of the settings, each by a plugin object of its own, whose name error messages use.

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
    """Return a function that makes the surrogate model of one objective from a seed.

    With several choices, the surrogate model is an `AdaptiveSwitching` between them. Costs are counted around
    models that learn from genes and values alone.

    Args:
        registry: The extensions by kind and name.
        chosen: The surrogate models in the settings, at least one.
    """

    def single(component: Component, seed: int) -> SurrogateModel:
        options = {"seed": seed, **component.options}
        model = cast(SurrogateModel, registry.create("surrogate model", component.name, options))
        return model if model.reads_profiles else CountedCosts(model)

    models: Mapping[str, Callable[[int], SurrogateModel]] = {
        label: functools.partial(single, component)
        for component, label in zip(chosen, labels(chosen), strict=True)
    }
    if len(models) == 1:
        return next(iter(models.values()))
    return lambda seed: AdaptiveSwitching(models, seed)


def _largest_side(space: SearchSpace) -> int:
    return int(space.largest()["resolution"])


def _copies_remark(parts: DataParts) -> tuple[str, ...]:
    """Return a sentence on augmented copies; an empty tuple if there are none."""
    if not parts.copies:
        return ()
    own = len(parts.validation) // (parts.copies + 1)
    return (
        f"The validation part has {parts.copies} augmented copies of each of its {own} samples, and so "
        "has the calibration part: with few samples, many networks would be equally accurate by chance.",
    )
