"""Registry and settings -> the objects of a run: the only place where a name becomes an object."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from edanas.core.config import Layer, resolve
from edanas.core.contracts import (
    Constraint,
    DataSource,
    Evaluator,
    Executor,
    Exporter,
    Logger,
    Objective,
    SearchProblem,
    SearchStrategy,
    SupernetProvider,
    SurrogateModel,
    ThresholdSetter,
)
from edanas.core.errors import ConfigError, near_miss, unknown
from edanas.core.feasible import Feasibility
from edanas.core.fronts import Fronts
from edanas.core.machine import usable_cores
from edanas.core.progress import Progress
from edanas.core.settings import Component, Settings, labels
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS
from edanas.data.splits import split
from edanas.data.suiting import suited, survey
from edanas.evaluation.judging import counting, in_numbers, judge_of
from edanas.evaluation.workbench import Workbench
from edanas.plugins.manager import Plugin
from edanas.plugins.registry import SETTING, Registry
from edanas.surrogates.adaptive import AdaptiveSwitching

TAKEN = {"evaluation": 1}
"""Kinds whose factories get something from the run before their options."""

AUTO = "auto"
"""The preset that what is in a folder of images is laid over."""

WRITER = "safetensors"
"""The exporter that every result goes through: what `edanas.load` reads."""


def layered_settings(registry: Registry, layers: Sequence[Layer]) -> Settings:
    """The settings of a run: defaults, the bundle, its preset, then `layers`.

    Args:
        registry: Knows the bundles.
        layers: The user's, e.g. a file, `--set` and flags; the last one that says so names bundle and preset.

    Raises:
        ConfigError: A layer is wrong, or the bundle or preset is unknown.
    """
    # Alone, the user's layers need not be complete: shares, say, may only sum to 1 with the bundle's.
    named = resolve([(origin, _only(table, ("plugin", "preset"))) for origin, table in layers])
    bundle = registry.bundle(named.plugin)
    presets = list(bundle.presets)
    preset = named.preset or (presets[0] if presets else "")
    if preset and preset not in bundle.presets:
        raise ConfigError(f"preset: {unknown(f'preset of bundle {named.plugin!r}', preset, presets)}")
    below: list[Layer] = [(f"bundle '{named.plugin}'", bundle.settings)]
    if preset:
        below.append((f"preset '{preset}'", bundle.presets[preset]))
    own: Layer = ("the preset's name", {"preset": preset})
    settings = resolve([*below, *layers, own])
    if preset == AUTO:
        settings = resolve([*below, _suited(registry, settings), *layers, own])
    settings = _spelled_out(registry, settings)
    check_names(registry, settings)
    return settings


def _suited(registry: Registry, settings: Settings) -> Layer:
    """What suits the images of the folder that the settings name; nothing where they name a data set.

    Raises:
        DataError: It is no folder of class folders.
    """
    data = data_component(registry, settings.data)
    if data.name != "folder":
        return f"preset '{AUTO}'", {}
    folder = Path(str(data.options["path"])).expanduser()
    return f"what suits {folder}", suited(survey(folder), settings.split.train)


def _spelled_out(registry: Registry, settings: Settings) -> Settings:
    """The settings with every `name:argument` as a name and an option, so that equal ones compare equal."""

    def spelled(kind: str, component: Component) -> Component:
        if kind == "data set" and Path(component.name).expanduser().exists():
            return component
        return registry.spelled_out(kind, component, TAKEN.get(kind, 0))

    changes: dict[str, Any] = {}
    for kind, path in SETTING.items():
        value = getattr(settings, path)
        if isinstance(value, Component):
            changes[path] = spelled(kind, value)
        elif isinstance(value, tuple):
            changes[path] = tuple(spelled(kind, each) for each in value)
    return replace(settings, **changes)


def _only(table: Any, names: Sequence[str]) -> Any:
    """What a layer says about `names`; what is no table at all stays, to be refused with its layer's name."""
    return {name: table[name] for name in names if name in table} if isinstance(table, Mapping) else table


def check_names(registry: Registry, settings: Settings) -> None:
    """Every name and option of `settings` exists, the device too.

    Raises:
        ConfigError: One does not.
    """
    components = (
        ("supernet provider", settings.supernet),
        ("exit classifier", settings.classifier),
        ("confidence criterion", settings.criterion),
        ("inference rule", settings.inference),
        ("threshold setter", settings.final_thresholds),
        ("search strategy", settings.strategy),
        ("training scheme", settings.scheme),
        ("executor", settings.executor),
        ("evaluation", settings.evaluation),
        ("data set", data_component(registry, settings.data)),
    )
    for kind, component in components:
        registry.check(kind, component.name, component.options, TAKEN.get(kind, 0))
    for kind, several in (
        ("surrogate model", settings.surrogates),
        ("objective", settings.objectives),
        ("constraint", settings.constraints),
        ("exporter", settings.exports),
        ("logger", settings.loggers),
    ):
        for component in several:
            registry.check(kind, component.name, component.options)
    device_of(settings)


def data_component(registry: Registry, data: Component) -> Component:
    """`data` as a registered data set; a path becomes the set `folder`.

    Raises:
        ConfigError: It is neither a name nor the path of something that exists.
    """
    if data.name in registry.names("data set"):
        return data
    path = Path(data.name).expanduser()
    if path.exists() or len(path.parts) > 1:
        return Component("folder", {"path": str(path), **data.options})
    hint = near_miss(data.name, registry.names("data set"))
    raise ConfigError(f"data: '{data.name}' is neither a data set nor a folder that exists.{hint}")


def device_of(settings: Settings) -> torch.device:
    """Where networks run; see `named_device`."""
    return named_device(settings.device)


def named_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as torch has it.

    Raises:
        ConfigError: The device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: found '{name}'; allowed: auto, cpu, cuda or cuda:N") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f"device: '{name}' is not there; found {count} CUDA devices; try 'auto'")
    return device


def threads_of(settings: Settings) -> int:
    """How many threads torch uses: as set, or one for each core this process may run on."""
    return settings.threads or usable_cores()


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
        classifier=make("exit classifier", settings.classifier),
        criterion=make("confidence criterion", settings.criterion),
        inference=make("inference rule", settings.inference),
        scheme=make("training scheme", settings.scheme),
        space=space,
        parts=split(loaded, settings.split, settings.seed),
        device=device_of(settings),
        folder=folder,
        meters=tuple({meter.name: meter for meter in asked}.values()),
    )
    # Asked here, so that a scheme that does not fit the supernet's exits says so before anything is trained.
    workbench.scheme.phases(tuple(range(provider.exit_points + 1)))
    evaluator: Evaluator = make("evaluation", settings.evaluation, workbench)
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
    if continuous and type(evaluator).schemes is Evaluator.schemes:
        raise ConfigError(
            f"evaluation: '{settings.evaluation.name}' keeps no exit profiles, and continuous thresholds are "
            "found on them"
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
