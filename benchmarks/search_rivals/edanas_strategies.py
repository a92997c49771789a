"""Our strategies, whatever is registered, with the surrogates and thresholds that settings default to."""

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
    """What is registered."""
    return Registry(load_plugins())


def names(*, nested: bool) -> list[str]:
    """The registered strategies: all, or those that choose thresholds with the backbone."""
    return [name for name in registry().names("search strategy") if nested or not is_nested(name)]


def is_nested(name: str) -> bool:
    """Whether the strategy chooses backbones alone."""
    return bool(registry().create("search strategy", name).nested)


def runner(name: str) -> Callable[..., None]:
    """The method that runs the strategy `name` with its default options."""

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
        asked = strategy.initial()
        while asked:
            genomes = np.stack([space.encode(candidate) for candidate in asked])
            values = record(genomes)
            strategy.tell(genomes, values, profiles(genomes))
            asked = strategy.ask(options.batch)

    return run
