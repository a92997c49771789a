from edanas.plugins.registry import Registry
from edanas.testing import check_evaluation

KIND = "evaluation"


def test_conforms(registry: Registry, name: str) -> None:
    check_evaluation(lambda workbench: registry.create(KIND, name, {}, workbench))
