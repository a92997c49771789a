"""All registered strategies, with the default surrogates and thresholds of the settings."""

from collections.abc import Callable
from functools import cache

import numpy as np

from edanas.core.contracts import SearchProblem
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import surrogate_factory
from search_rivals import Options, Recorder


@cache
def registry() -> Registry:
    """Return the registry of all plugins."""
    return Registry(load_plugins())


def names(*, nested: bool) -> list[str]:
    """Return the names of all registered strategies, or of those that are not nested."""
    return [name for name in registry().names("search strategy") if nested or not is_nested(name)]


def is_nested(name: str) -> bool:
    """True if the strategy chooses backbones alone."""
    return bool(getattr(registry().entry("search strategy", name).factory, "nested", False))


def runner(name: str) -> Callable[..., None]:
    """Return the method that runs the strategy `name` with its default options."""

    def run(function, record: Recorder, seed: int, options: Options) -> None:
        strategy = registry().create("search strategy", name)
        space = function.space
        judge, front, profiles = function.insight()
        strategy.start(
            SearchProblem(
                space=space,
                objectives=2,
                surrogate=surrogate_factory(registry(), Settings().surrogates),
                seed=seed,
                initial=options.initial,
                progress=Silent(),
                judge=judge,
                front=front if strategy.nested else None,
            )
        )
        candidates = strategy.initial()
        while candidates:
            genomes = np.stack([space.encode(candidate) for candidate in candidates])
            values = record(genomes)
            strategy.tell(genomes, values, profiles(genomes))
            candidates = strategy.ask(options.batch)

    return run
