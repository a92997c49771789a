"""Latencies of candidates from a table of layers, with the names of the table's authors."""

import functools
import random
from dataclasses import replace

import pytest
from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3
from ofa.nas.efficiency_predictor.latency_lookup_table import MBv3LatencyTable

from edanas.core.contracts import Specimen
from edanas.core.errors import ConfigError, CostError
from edanas.core.types import Backbone, Metrics, Task
from edanas.goals.latency_table import LatencyTable, LatencyTableMeter
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.testing.toy_networks import ToyProvider

TASK = Task(3, 10)
SIDE = 64


class Asked(dict):
    """A table that has every layer, and records the requested ones."""

    def __init__(self):
        self.names = []

    def __missing__(self, name):
        self.names.append(name)
        return {"mean": 1.0}


@functools.cache
def authors():
    return OFAMobileNetV3(
        n_classes=10,
        dropout_rate=0,
        width_mult=1.0,
        ks_list=[3, 5, 7],
        expand_ratio_list=[3, 4, 6],
        depth_list=[2, 3, 4],
    )


def provider():
    return OFAMobileNetV3Provider(resolutions=(SIDE,), widths=(1.0,), stem_stride=2)


def chosen(config):
    """A backbone from the authors' lists of kernels, expansions and depths."""
    choices = {"resolution": SIDE, "width": 1.0}
    for stage, depth in enumerate(config["d"], 1):
        choices[f"stage{stage}.depth"] = depth
        for layer in range(1, depth + 1):
            at = 4 * (stage - 1) + layer - 1
            choices[f"stage{stage}.layer{layer}.kernel"] = config["ks"][at]
            choices[f"stage{stage}.layer{layer}.expand"] = config["e"][at]
    return Backbone.of(choices)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_layers_have_the_names_of_the_published_tables(seed):
    random.seed(seed)
    config = authors().sample_active_subnet()
    table = MBv3LatencyTable.__new__(MBv3LatencyTable)  # whose constructor downloads one
    table.lut = Asked()
    theirs = authors().get_active_subnet(preserve_weight=False)
    table.predict_network_latency_given_config(theirs.config, SIDE)
    layers = provider().layers(chosen(config), TASK)
    assert [name for stage in layers for name in stage] == table.lut.names
    assert [len(stage) for stage in layers] == [config["d"][0] + 2, *config["d"][1:], 4]


def smallest():
    return chosen({"d": [2] * 5, "ks": [3] * 20, "e": [3] * 20})


def specimen():
    stages, last = provider().costs(smallest(), TASK)
    return Specimen(smallest(), provider(), TASK, stages, (), last, lambda: None)


def written(path, names):
    path.write_text("".join(f"{name}: {{mean: {ms}, count: 3}}\n" for name, ms in names.items()))
    return str(path)


def entries():
    layers = [name for stage in provider().layers(smallest(), TASK) for name in stage]
    heads = [f"Exit-input:{p.height}x{p.width}x{p.channels}-output:10" for p in specimen().points]
    return dict.fromkeys(layers, 0.5) | dict.fromkeys(heads, 0.25)


def test_the_latency_of_a_candidate_is_that_of_the_executed_layers(tmp_path):
    path = written(tmp_path / "phone.yaml", entries())
    times = LatencyTableMeter(path).figures(specimen())
    # 0.5 ms a layer: the stem and two blocks more in the first stage, and the last exit's four.
    assert times.stages == (2_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
    assert (times.heads, times.last) == ((250_000,) * 4, 2_000_000)
    objective = LatencyTable(path)
    (meter,) = objective.meters
    metrics = Metrics(
        accuracy=1.0,
        utilization=(0.75, 0.0, 0.25),
        exit_accuracy=(1.0, None, 1.0),
        ada_macs=1.0,
        executed_macs=1.0,
        backbone_accuracy=1.0,
        backbone_macs=1,
        params=1,
        activations=1,
        exit_figures={meter.name: (2_000_000.0, None, 6_000_000.0)},
    )
    assert objective.value(metrics) == pytest.approx(0.75 * 2 + 0.25 * 6)
    assert Metrics.from_dict(metrics.to_dict()) == metrics
    other = LatencyTable(written(tmp_path / "watch.yaml", entries()))
    with pytest.raises(CostError, match=r"no figures of 'latency table .*watch.yaml'; found: latency table"):
        other.value(metrics)


def test_a_layer_outside_the_table_is_named(tmp_path):
    known = entries()
    gone = next(name for name in known if name.startswith("Exit-"))
    del known[gone]
    with pytest.raises(
        CostError, match=f"phone.yaml: has no entry for the layer '{gone}'.* Did you mean 'Exit-"
    ):
        LatencyTableMeter(written(tmp_path / "phone.yaml", known)).figures(specimen())


def test_networks_without_described_layers_are_refused(tmp_path):
    other = replace(specimen(), provider=ToyProvider())
    with pytest.raises(CostError, match="does not describe its layers"):
        LatencyTableMeter(written(tmp_path / "phone.yaml", entries())).figures(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("", "does not map layers to numbers"),
        ("- 1\n", "does not map layers to numbers"),
        ("{}", "holds no layer"),
        ("a: [", "is not valid YAML"),
        (
            "a: {mean: fast}",
            "'a': found {'mean': 'fast'}; expected an entry with `mean`, a number of milliseconds, 0 or more",
        ),
        ("a: {mean: -1}", "expected an entry with `mean`"),
        ("a: {count: 1}", "expected an entry with `mean`"),
        ("a: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, text, message):
    path = tmp_path / "table.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"objectives\.path: .*table\.yaml") as caught:
        LatencyTable(str(path))
    assert message in str(caught.value)
