from edanas.plugins.registry import Registry
from edanas.testing import check_strategy

KIND = "search strategy"


def test_conforms(registry: Registry, name: str) -> None:
    short = {"generations": 3} if "generations" in registry.parameters(KIND, name) else {}
    check_strategy(lambda: registry.create(KIND, name, short))
