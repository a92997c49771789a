from edanas.core.settings import Component
from edanas.plugins.registry import Registry
from edanas.run.compose import surrogate_factory
from edanas.testing import check_surrogate

KIND = "surrogate model"


def test_conforms(registry: Registry, name: str) -> None:
    check_surrogate(lambda seed: registry.create(KIND, name, {"seed": seed}))


def test_switching_among_several_models_conforms(registry: Registry) -> None:
    check_surrogate(surrogate_factory(registry, [Component("rbf"), Component("gp")]))
