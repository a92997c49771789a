from edanas.plugins.registry import Registry
from edanas.testing import check_objective

KIND = "objective"
OPTIONS = {"weighted": {"of": ["accuracy", {"name": "tail", "share": 0.1}], "weights": [1.0, 2e-8]}}


def test_conforms(registry: Registry, name: str) -> None:
    check_objective(registry.create(KIND, name, OPTIONS.get(name)))
