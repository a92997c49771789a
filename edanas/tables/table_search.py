"""Search on a table with the same engine, surrogates and strategies as a search on images."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edanas.core.archive import Archive
from edanas.core.contracts import Constraint, Objective, SearchProblem, SearchStrategy
from edanas.core.convert import Place
from edanas.core.engine import Engine, SearchOutcome, SearchSetup
from edanas.core.errors import ConfigError, TableError
from edanas.core.feasible import Feasibility
from edanas.core.fronts import Fronts
from edanas.core.progress import Progress, Silent
from edanas.core.settings import Component, Condition, SearchSettings, Settings
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Thresholds
from edanas.evaluation.predicted_metrics import Judge, count_costs, measure_of, predict_objectives
from edanas.executors.serial import Serial
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import surrogate_factory
from edanas.tables.evaluation import TableEvaluation
from edanas.tables.reader import Table

_DEFAULTS = Settings()


def search(
    table: Table | TableEvaluation,
    strategy: str | Component = _DEFAULTS.strategy,
    *,
    objectives: Sequence[str | Component] = _DEFAULTS.objectives,
    surrogates: Sequence[str | Component] = _DEFAULTS.surrogates,
    constraints: Sequence[str | Mapping[str, Any] | Component] = (),
    thresholds: Thresholds | None = None,
    settings: SearchSettings = _DEFAULTS.search,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> SearchOutcome:
    """Search on a table with any registered strategy, as `edanas run` does on images.

    Args:
        table: A table, or a `TableEvaluation`. The latter sets the part of the data, and can estimate the
            metrics of backbones outside the table. Without estimates, candidates with these backbones fail.
            On a table that lacks backbones, and without estimates, surrogates that learn from exit profiles
            learn from genes and values instead.
        strategy: A registered search strategy, by name or with options.
        objectives: Registered objectives, by name or with options. They also set the cost by which a nested
            strategy computes threshold fronts on a `Table`. The cost is ADA_MACS if the objectives contain
            ADA_MACS and no other MACs, otherwise executed MACs.
        surrogates: Registered surrogate models, by name or with options.
        constraints: Constraints on candidates, written as in the settings, e.g. `"params <= 1M"`.
        thresholds: Choices for the threshold at an exit point. `None`, the default, takes the table's
            choices, or continuous thresholds if the strategy is nested.
        settings: Length of the search.
        seed: Determines all randomness.
        folder: Folder of the archive; an interrupted search continues from there. `None`, the default, takes
            a temporary folder.
        progress: Displays progress bars; `None`, the default, displays none.

    Returns:
        All evaluated candidates with their metrics and genomes, the hypervolume after each iteration, and the
        reason why the search ended.

    Raises:
        ConfigError: A name or option is invalid, or `thresholds` does not suit the strategy.
        TableError: The strategy is nested, and `table` estimates backbones.
        CandidateError: No candidate of the initial archive is in the table.

    Example:
        >>> from edanas.tables.example_table import example_table
        >>> outcome = search(
        ...     example_table(), "random", settings=SearchSettings(initial=4, iterations=1, per_iteration=2)
        ... )
        >>> len(outcome.evaluations)
        6
    """
    registry = Registry(load_plugins())
    chosen = Component.read(strategy, Place("strategy"))
    aims = [Component.read(each, Place("objectives")) for each in objectives]
    models = [Component.read(each, Place("surrogates")) for each in surrogates]
    searcher: SearchStrategy = registry.create("search strategy", chosen.name, chosen.options)
    goals: tuple[Objective, ...] = tuple(
        registry.create("objective", each.name, each.options) for each in aims
    )
    evaluator = (
        table if isinstance(table, TableEvaluation) else TableEvaluation(table, measure=measure_of(goals))
    )
    space = _space(evaluator, searcher, chosen.name, thresholds)
    judge = _judge(evaluator)
    limits = Feasibility(_constraints(registry, constraints, space), count_costs(judge), bare=searcher.nested)
    fronts = Fronts(evaluator, goals, limits) if searcher.nested else None
    for model in models:
        registry.check("surrogate model", model.name, model.options)
    progress = progress or Silent()
    problem = SearchProblem(
        space=space,
        objectives=len(goals),
        surrogate=surrogate_factory(registry, models),
        seed=seed,
        initial=settings.initial,
        progress=progress,
        judge=predict_objectives(judge, goals, limits),
        front=fronts.feasible if fronts else None,
        limits=limits.limits,
        structure=limits.structure if limits.structural else None,
    )
    searcher.start(problem)
    setup = SearchSetup(space, searcher, evaluator, Serial(), goals, settings, fronts, limits)
    return _run(setup, folder, progress)


def _constraints(registry: Registry, conditions: Sequence[Any], space: SearchSpace) -> tuple[Constraint, ...]:
    created = []
    for each in conditions:
        condition = Condition.read(each, Place("constraints"))
        constraint: Constraint = registry.create("constraint", condition.name, condition.options)
        constraint.prepare(space)
        created.append(constraint)
    return tuple(created)


def _judge(evaluator: TableEvaluation) -> Judge | None:
    """Return a function that computes metrics from predicted outcomes; `None` if some costs are unknown.

    Costs are unknown if the table lacks backbones and the evaluation does not estimate them.
    """
    if evaluator.outside is None and not evaluator.table.description.exhaustive:
        return None
    return evaluator.judge


def _space(
    evaluator: TableEvaluation, strategy: SearchStrategy, name: str, thresholds: Thresholds | None
) -> SearchSpace:
    """Return the search space for a strategy.

    Raises:
        ConfigError: A nested strategy has a list of thresholds, or another strategy continuous thresholds.
        TableError: The strategy needs exit profiles, but the evaluation estimates backbones, which have none.
    """
    if thresholds is None:
        thresholds = CONTINUOUS if strategy.nested else evaluator.table.description.thresholds
    continuous = thresholds == CONTINUOUS
    if continuous != strategy.nested:
        allowed, held = (f'"{CONTINUOUS}"', "a list") if strategy.nested else ("a list", f'"{CONTINUOUS}"')
        raise ConfigError(f"thresholds: found {held}; allowed with strategy '{name}': {allowed}")
    if continuous and evaluator.outside is not None:
        raise TableError(
            f"outside: found estimates, which have no exit profiles; strategy '{name}' needs exit profiles. "
            "Allowed: no estimates, or a strategy whose thresholds are a list"
        )
    return strategy.confine(evaluator.table.space(thresholds))


def _run(setup: SearchSetup, folder: str | Path | None, progress: Progress) -> SearchOutcome:
    with ExitStack() as stack:
        place = folder or stack.enter_context(TemporaryDirectory(prefix="edanas-"))
        archive = stack.enter_context(Archive(Path(place)))
        return Engine(setup, archive, lambda *_, **__: None, progress).run()
