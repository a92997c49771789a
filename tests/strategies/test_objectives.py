"""Each objective reads the field it names."""

import pytest

from edanas.core.types import Metrics
from edanas.strategies.objectives import edanas_objectives

METRICS = Metrics(
    accuracy=0.75,
    utilization=(0.5, 0.5),
    exit_accuracy=(1.0, 0.5),
    ada_macs=10.5,
    executed_macs=11.5,
    backbone_accuracy=0.8,
    backbone_macs=20,
    params=1234,
    activations=99,
)


@pytest.mark.parametrize(
    ("name", "value", "maximise", "unit"),
    [
        ("accuracy", 0.75, True, "%"),
        ("ada-macs", 10.5, False, "MACs"),
        ("executed-macs", 11.5, False, "MACs"),
        ("backbone-macs", 20.0, False, "MACs"),
        ("params", 1234.0, False, "parameters"),
        ("activations", 99.0, False, "elements"),
    ],
)
def test_an_objective_reads_its_metric(name: str, value: float, maximise: bool, unit: str) -> None:
    objective = edanas_objectives()[name]()
    found = objective.value(METRICS)
    assert (found, type(found)) == (value, float)
    assert (objective.maximise, objective.unit) == (maximise, unit)


def test_every_objective_has_its_line_of_documentation() -> None:
    assert len(edanas_objectives()) == 6
    assert all((factory.__doc__ or "").strip() for factory in edanas_objectives().values())
