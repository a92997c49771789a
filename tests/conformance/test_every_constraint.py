from edanas.plugins.registry import Registry
from edanas.testing import check_constraint

KIND = "constraint"
OPTIONS = {
    "bound": {"of": "params", "at_most": 60},
    "choices": {"of": "kernel", "allowed": [3, 5]},
    "tiny-ml": {"max_params": 80, "max_macs": 3e4, "max_activations": 900},
}


def test_conforms(registry: Registry, name: str) -> None:
    check_constraint(registry.create(KIND, name, OPTIONS.get(name)))


def test_a_bound_on_a_measured_metric_conforms(registry: Registry) -> None:
    check_constraint(registry.create(KIND, "bound", {"of": "accuracy", "at_least": 0.93, "at_most": 0.99}))
