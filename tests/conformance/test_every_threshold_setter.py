from typing import Any

import pytest

from edanas.plugins.registry import Registry
from edanas.testing import check_setter

KIND = "threshold setter"

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "budget": [{"max_macs": 500}, {"max_macs": "0.2K"}, {"min_accuracy": "60%"}],
    "eero": [{"max_macs": 500}, {"max_macs": "0.2K", "beta": 1.0}],
    "nachos": [{}, {"max_macs": 600, "min_accuracy": "30%"}],
    "risk": [
        {"max_drop": 0.1},
        {"max_drop": "20%", "loss": "brier", "order": "shared"},
        {"max_drop": "20%", "form": "conformal"},
    ],
    "eenet": [{"max_macs": 500}],
    "big-little": [{}, {"accuracy_drop": 0.1, "period": 10}],
    "dynamic": [{"max_macs": 500}, {"max_macs": "0.3K", "horizon": 50}],
    "static": [{}, {"accuracy_drop": 0.05, "caution": 0}],
}
"""Options by name, for setters that need some or are checked with several."""


def test_conforms(registry: Registry, name: str) -> None:
    for options in OPTIONS.get(name, [{}]):
        check_setter(registry.create(KIND, name, options))


def test_a_budget_needs_a_limit(registry: Registry) -> None:
    with pytest.raises(Exception, match="'budget' with no option; allowed: one of max_macs, min_accuracy"):
        registry.create(KIND, "budget")
