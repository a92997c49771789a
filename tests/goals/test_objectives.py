"""Each objective against its definition, computed by hand."""

from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_packages import installed_registry

from edanas.core.errors import ConfigError, CostError
from edanas.core.types import Metrics
from edanas.evaluation.predicted_metrics import measure_of

METRICS = Metrics(
    accuracy=0.75,
    utilization=(0.5, 0.0, 0.3, 0.2),
    exit_accuracy=(1.0, None, 0.5, 0.5),
    ada_macs=10.5,
    executed_macs=11.5,
    backbone_accuracy=0.8,
    backbone_macs=20,
    params=1234,
    activations=99,
    outputs=500,
    exit_macs=(5.0, None, 15.0, 25.0),
    exit_figures={"nanoseconds on cortex-m4-80mhz": (2e6, None, 4e6, 8e6)},
    ram=3000,
    flash=7000,
    exit_ram=(2000, None, 3000, 3000),
)


@pytest.fixture(scope="module")
def objective():
    registry = installed_registry()
    return lambda name, **options: registry.create("objective", name, options)


@pytest.mark.parametrize(
    ("name", "options", "value", "maximise", "unit", "structural"),
    [
        ("accuracy", {}, 0.75, True, "%", False),
        ("error", {}, 0.25, False, "%", False),
        ("ada-macs", {}, 10.5, False, "MACs", False),
        ("executed-macs", {}, 11.5, False, "MACs", False),
        ("backbone-macs", {}, 20.0, False, "MACs", True),
        ("worst-case-macs", {}, 25.0, False, "MACs", True),
        ("params", {}, 1234.0, False, "parameters", True),
        ("model-bytes", {}, 4 * 1234.0, False, "bytes", True),
        ("model-bytes", {"precision": "int8"}, 1234.0, False, "bytes", True),
        ("model-bytes", {"precision": "int4"}, 617.0, False, "bytes", True),
        ("activations", {}, 99.0, False, "elements", True),
        ("ram", {}, 3000.0, False, "bytes", True),
        ("ram", {"measure": "first"}, 2000.0, False, "bytes", True),
        ("flash", {}, 7000.0, False, "bytes", True),
        ("device-latency", {"profile": "cortex-m4-80mhz"}, 3.8, False, "ms", False),
        ("device-energy", {"profile": "cortex-m4-80mhz"}, 3.8 * 50 / 1000, False, "mJ", False),
        ("activations", {"measure": "sum"}, 500.0, False, "elements", True),
        # The costliest tenth all leave last; of the costliest 40%, half do, and half one exit before.
        ("tail", {"share": 0.1}, 25.0, False, "MACs", False),
        ("tail", {"share": 0.4}, (0.2 * 25 + 0.2 * 15) / 0.4, False, "MACs", False),
        ("tail", {"share": 1.0}, 0.5 * 5 + 0.3 * 15 + 0.2 * 25, False, "MACs", False),
        ("tail", {"share": 0.1, "measure": "threshold"}, 25.0, False, "MACs", False),
        ("tail", {"share": 0.2, "measure": "threshold"}, 15.0, False, "MACs", False),
        ("tail", {"share": 0.5, "measure": "threshold"}, 5.0, False, "MACs", False),
        ("tail", {"share": 1.0, "measure": "threshold"}, 5.0, False, "MACs", False),
        ("weighted", {"of": ["params"], "weights": [2]}, 2468.0, False, "", True),
        ("weighted", {"of": ["accuracy", "ada-macs"], "weights": [2, 0.1]}, 1.05 - 1.5, False, "", False),
    ],
)
def test_a_value_equals_a_calculation_by_hand(objective, name, options, value, maximise, unit, structural):
    created = objective(name, **options)
    number = created.value(METRICS)
    assert number == pytest.approx(value, rel=1e-12)
    assert type(number) is float
    assert (created.maximise, created.unit, created.structural) == (maximise, unit, structural)


@pytest.mark.parametrize(
    ("chosen", "measure"),
    [
        ([("accuracy", {}), ("ada-macs", {})], "ada"),
        ([("accuracy", {}), ("weighted", {"of": ["ada-macs", "params"], "weights": [1, 1]})], "ada"),
        ([("ada-macs", {}), ("weighted", {"of": ["ada-macs", "tail"], "weights": [1, 1]})], "executed"),
        ([("ada-macs", {}), ("latency", {})], "executed"),
        ([("accuracy", {}), ("params", {})], "executed"),
    ],
)
def test_the_measure_of_thresholds_follows_the_objectives(objective, chosen, measure):
    assert measure_of([objective(name, **options) for name, options in chosen]) == measure


@given(st.lists(st.integers(0, 20), min_size=2, max_size=5).filter(sum), st.integers(1, 40))
def test_the_tail_equals_that_of_all_samples(counts, dearest):
    """The tail against a sorted list of every sample's cost."""
    registry = installed_registry()
    exits = [float(macs) for macs in accumulate(range(1, len(counts) + 1))]
    total = sum(counts)
    dearest = min(dearest, total)
    metrics = replace(METRICS, utilization=tuple(n / total for n in counts), exit_macs=tuple(exits))
    samples = np.sort(np.repeat(exits, counts))[::-1]
    mean = registry.create("objective", "tail", {"share": dearest / total})
    assert mean.value(metrics) == pytest.approx(samples[:dearest].mean())
    threshold = registry.create("objective", "tail", {"share": dearest / total, "measure": "threshold"})
    assert threshold.value(metrics) == (samples[dearest] if dearest < total else samples[-1])


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        (
            "weighted",
            {"of": ["accuracy"], "weights": [1, 2]},
            "objectives.weights: found .* for 1 objectives in `of`",
        ),
        ("weighted", {"of": ["params"], "weights": [0]}, "a number above 0"),
        (
            "weighted",
            {"of": ["parms"], "weights": [1]},
            "objectives.of: unknown objective .* Did you mean 'params'",
        ),
        (
            "weighted",
            {"of": [{"name": "tail", "share": 2}], "weights": [1]},
            "^objectives.of.share: found 2.0; allowed",
        ),
        ("tail", {"share": 0.0}, "objectives.share: found 0.0; allowed: above 0 and at most 1"),
        ("model-bytes", {"precision": "int7"}, "objectives.precision: 'int7' is not allowed"),
    ],
)
def test_an_error_of_an_option_names_the_allowed_values(objective, name, options, text):
    with pytest.raises(ConfigError, match=text):
        objective(name, **options)


def test_a_metric_that_was_not_counted_is_refused(objective):
    bare = replace(METRICS, outputs=None, exit_macs=())
    for name, options in (("activations", {"measure": "sum"}), ("worst-case-macs", {}), ("tail", {})):
        with pytest.raises(CostError):
            objective(name, **options).value(bare)
