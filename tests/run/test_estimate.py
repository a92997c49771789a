"""The estimate of a dry run, against figures worked out by hand."""

from pathlib import Path

import pytest
from pretrainer import TINY, registry

from edanas.core.progress import Silent
from edanas.core.tracing import trace
from edanas.run.compose import compose
from edanas.run.estimate import estimate
from edanas.run.layers import layered_settings

RUN = {
    "search": {"initial": 6, "iterations": 2, "per_iteration": 3, "results": 2, "max_evals": 0},
    "finetune": {"epochs": 1},
    "recalibration": 32,
}


def seconds_of(network, task, settings):
    """Seconds of a pass, not linear in the MACs, so that times of backbones cannot be mistaken."""
    stages, last = trace(network, task.in_channels)
    return seconds_at(sum(stage.macs for stage in stages) + last.macs)


def seconds_at(macs):
    return (macs / 1e5) ** 2


@pytest.mark.parametrize("drawn", [1, 3])
def test_the_totals_are_those_of_every_pass(drawn, monkeypatch):
    """An epoch trains the largest, the smallest and random ones; one in the middle stands for all else."""
    settings = layered_settings(
        registry(), [("tiny", TINY), ("run", RUN), ("test", {"training.random_backbones": drawn})]
    )
    monkeypatch.setattr("edanas.run.estimate.seconds_per_sample", seconds_of)
    output = estimate(registry(), settings)
    parts = compose(registry(), settings, Path(), Silent()).workbench.parts
    small, middle, large = (output[f"{name}_backbone_macs"] for name in ("smallest", "median", "largest"))
    assert small < middle < large
    # Forward and backward are three passes; 2 epochs of training, and 2 x 2 networks are finished.
    step = 3 * 2 * len(parts.train)
    later = 12 * (32 + len(parts.validation)) + 2 * 2 * 3 * len(parts.train)
    assert output["candidates"] == 12
    assert output["total_macs"] == pytest.approx(step * (small + drawn * middle + large) + later * middle)
    small, middle, large = map(seconds_at, (small, middle, large))
    expected = step * (small + drawn * middle + large) + later * middle
    assert expected > 10
    # The plain networks take their whole share of so long a run.
    assert output["plain_networks_seconds_here"] == pytest.approx(0.1 * expected, abs=0.06)
    assert output["seconds_here"] == pytest.approx(1.1 * expected, abs=0.11)


@pytest.mark.parametrize(("epochs", "share"), [(0, 0.1), (1, 1.0)])
def test_the_plain_networks_take_at_most_their_epochs(epochs, share, monkeypatch):
    baseline = {"epochs": epochs, "share": share}
    settings = layered_settings(registry(), [("tiny", TINY), ("run", RUN), ("test", {"baseline": baseline})])
    monkeypatch.setattr("edanas.run.estimate.seconds_per_sample", lambda *_: 1e-3)
    output = estimate(registry(), settings)
    parts = compose(registry(), settings, Path(), Silent()).workbench.parts
    trained = len(parts.train) + len(parts.calibration)
    # Three networks, and three passes for a step.
    assert output["plain_networks_seconds_here"] == pytest.approx(9e-3 * epochs * trained, abs=0.06)
