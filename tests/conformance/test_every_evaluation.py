from functools import partial

from series_networks import series_bench

from edanas.plugins.registry import Registry
from edanas.testing import check_evaluation

KIND = "evaluation"


def test_conforms(registry: Registry, name: str) -> None:
    check_evaluation(lambda workbench: registry.create(KIND, name, {}, workbench))


def test_conforms_on_series(registry: Registry, name: str) -> None:
    tiny = {"resolutions": [10, 20], "depths": [1], "kernels": [3], "expansions": [1], "channels": [4] * 5}
    check_evaluation(
        lambda workbench: registry.create(KIND, name, {}, workbench), partial(series_bench, **tiny)
    )
