"""Energy at the best frequency against a loop over frequencies and exits."""

import itertools

import numpy as np
import pytest

from edanas.core.contracts import Specimen
from edanas.core.errors import ConfigError
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Metrics, SegmentCost, Task
from edanas.goals.energy_table import EnergyTable
from edanas.goals.latency_table import LatencyTableMeter
from edanas.supernets.cascade import CascadeProvider
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider

LAYER = "Logits-input:1x1x8-output:10"


def table(folder, name, entries="{mean: 1.0, energy: 2.0}"):
    path = folder / f"{name}.yaml"
    path.write_text(f"{LAYER}: {entries}\n")
    return str(path)


def metrics_of(objective, figures, utilization):
    by_exit = dict(zip((meter.name for meter in objective.meters), figures, strict=True))
    costs = dict.fromkeys(("ada_macs", "executed_macs", "backbone_accuracy"), 1.0)
    sizes = dict.fromkeys(("backbone_macs", "params", "activations"), 1)
    exits = tuple(None if share == 0 else 1.0 for share in utilization)
    return Metrics(
        accuracy=1.0, utilization=utilization, exit_accuracy=exits, **costs, **sizes, exit_figures=by_exit
    )


@pytest.mark.parametrize("limit", [0.0, 3.0, 6.0, 1.0])
def test_the_frequency_is_the_best_of_all(tmp_path, limit):
    names = ("300", "600", "1200")
    paths = {name: table(tmp_path, name) for name in names}
    objective = EnergyTable(paths, max_latency=limit)
    energy = np.array([[1.0, 3.0], [1.5, 3.5], [4.0, 9.0]])
    latency = np.array([[4.0, 10.0], [2.0, 5.0], [1.0, 3.0]])
    for share in (0.0, 0.3, 0.9):
        weights = np.array([share, 1 - share])
        figures = [tuple(1e6 * row) for row in itertools.chain(energy, latency)]
        metrics = metrics_of(objective, figures, (share, 1 - share))
        fits = [at for at in range(3) if not limit or latency[at] @ weights <= limit]
        best = min(fits, key=lambda at: energy[at] @ weights) if fits else 2
        assert objective.frequency(metrics) == names[best]
        assert objective.value(metrics) == pytest.approx(energy[best] @ weights)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("{mean: 1.0}", "expected an entry with `energy`, a number of millijoules, 0 or more"),
        ("{mean: 1.0, energy: -1}", "expected an entry with `energy`"),
        ("{energy: 1.0}", "expected an entry with `mean`, a number of milliseconds"),
    ],
)
def test_a_table_without_an_entry_is_refused(tmp_path, entries, message):
    with pytest.raises(ConfigError, match=message):
        EnergyTable({"600": table(tmp_path, "600", entries)})


def test_the_energy_of_a_cascade_is_that_of_the_layers_of_its_networks(tmp_path):
    of = OFAMobileNetV3Provider(resolutions=(32,), widths=(0.5,), depths=(1, 2))
    provider, task = CascadeProvider(of), Task(3, 10)
    space = SearchSpace(provider.variables(), (0.5, None), provider.exit_points)
    small, large = (list(end.choices) for end in (space.smallest(), space.largest()))
    own = [each for each in small if not each[0].startswith("net2.")]
    backbone = Backbone((*own, *(each for each in large if each[0].startswith("net2."))))
    names = provider.layers(backbone, task)
    counts = [sum(map(len, of.layers(member, task))) for member in provider.members(backbone)]
    assert [len(each) for each in names] == [*counts, 0]
    table = tmp_path / "table.yaml"
    table.write_text("".join(f"{name}: {{mean: 1, energy: 2}}\n" for each in names for name in set(each)))
    stages, last = provider.costs(backbone, task)
    free = SegmentCost(0, 0, 0, (10, 1, 1), 0)
    specimen = Specimen(backbone, provider, task, stages, (free,), last, lambda: None)
    figures = LatencyTableMeter(str(table), "energy").figures(specimen)
    assert figures.stages == tuple(2_000_000 * count for count in counts)
    assert (figures.heads, figures.last) == ((0,), 0)


def test_options_out_of_range(tmp_path):
    with pytest.raises(ConfigError, match=r"objectives.paths: found no table"):
        EnergyTable({})
    with pytest.raises(ConfigError, match=r"objectives.max_latency: found -1; allowed"):
        EnergyTable({"600": table(tmp_path, "600")}, max_latency=-1)
