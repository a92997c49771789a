"""Constraints as users write them, against values computed by hand."""

import re
import tomllib
from dataclasses import replace

import pytest

from edanas.core.config import parse_assignment, resolve, to_toml
from edanas.core.errors import ConfigError, CostError
from edanas.core.types import Candidate, Metrics, SelectionScheme
from edanas.goals.constraints import Choices
from edanas.testing.toy_search import toy_space

SPACE = toy_space()
CANDIDATE = SPACE.decode(SPACE.encode(SPACE.decode(SPACE.counts - 1)))
METRICS = Metrics(
    accuracy=0.75,
    utilization=(0.5, 0.5),
    exit_accuracy=(1.0, 0.5),
    ada_macs=10e6,
    executed_macs=11e6,
    backbone_accuracy=0.8,
    backbone_macs=20_000_000,
    params=1_200_000,
    activations=5_000,
    outputs=9_000,
    exit_macs=(5e6, 24e6),
    ram=30_000,
    flash=120_000,
    exit_ram=(15_000, 30_000),
)


SUM = {"name": "activations <= 6k", "measure": "sum"}
DEVICE = {"name": "tiny-ml", "max_params": 2e6, "max_macs": 48e6, "max_activations": 10e3}


def written(*constraints):
    return resolve([("--set", {"constraints": list(constraints)})]).constraints


@pytest.fixture(scope="module")
def constraint(registry):
    def made(text):
        (condition,) = written(text)
        created = registry.create("constraint", condition.name, condition.options)
        created.prepare(SPACE)
        return created

    return made


@pytest.mark.parametrize(
    ("text", "excess", "basis", "described"),
    [
        ("params <= 1M", 0.2, "costs", "params is 1.2M; allowed: at most 1M"),
        ("params<=1.2e6", 0.0, "costs", "params is 1.2M; allowed: at most 1.2M"),
        ("accuracy >= 90%", 1 / 6, "outcome", "accuracy is 75%; allowed: at least 90%"),
        ("accuracy >= 0.6", -0.25, "outcome", "accuracy is 75%; allowed: at least 60%"),
        ("worst-case-macs <= 12M", 1.0, "costs", "worst-case-macs is 24M; allowed: at most 12M"),
        (
            {"name": "activations <= 6k", "measure": "sum"},
            0.5,
            "costs",
            "activations is 9k; allowed: at most 6k",
        ),
        (
            {"name": "bound", "of": "executed-macs", "at_least": 1e6, "at_most": 5.5e6},
            1.0,
            "outcome",
            "executed-macs is 11M; allowed: at least 1M and at most 5.5M",
        ),
        (
            {"name": "bound", "of": "error", "at_most": 0},
            0.25,
            "outcome",
            "error is 25%; allowed: at most 0%",
        ),
        ("kernel in 3, 5", 1.0, "choices", "kernel is 7; allowed: 3, 5"),
        ("layer2.kernel in 5,7", 0.0, "choices", "layer2.kernel is 7; allowed: 5, 7"),
        ("depth in 1, 2", 1.0, "choices", "depth is 3; allowed: 1, 2"),
        (
            {
                "name": "tiny-ml",
                "max_params": 1e6,
                "max_macs": 16e6,
                "max_activations": 10e3,
                "weights": [1, 2, 5],
            },
            0.2 + 2 * 0.5,
            "costs",
            "tiny-ml: 1.2M parameters (allowed: at most 1M), 24M multiply-adds (allowed: at most 16M)",
        ),
        (DEVICE, -0.1, "costs", "tiny-ml: all amounts are within their maxima"),
        (
            {"name": "tiny-ml", "max_flash": 100e3, "max_macs": 48e6, "max_ram": 20e3, "weights": [3, 1, 2]},
            3 * 0.2 + 2 * 0.5,
            "costs",
            "tiny-ml: 120k bytes of flash (allowed: at most 100k), 30k bytes of RAM (allowed: at most 20k)",
        ),
        ("ram <= 64k", -34 / 64, "costs", "ram is 30k; allowed: at most 64k"),
        ("flash <= 60k", 1.0, "costs", "flash is 120k; allowed: at most 60k"),
        (
            {"name": "ram <= 10k", "measure": "first"},
            0.5,
            "costs",
            "ram is 15k; allowed: at most 10k",
        ),
        (
            {**DEVICE, "max_activations": 4e3, "measure": "peak"},
            0.25,
            "costs",
            "tiny-ml: 5k activations (allowed: at most 4k)",
        ),
    ],
)
def test_an_excess_equals_a_calculation_by_hand(constraint, text, excess, basis, described):
    created = constraint(text)
    assert created.excess(CANDIDATE, METRICS) == pytest.approx(excess, abs=1e-12)
    assert created.basis == basis
    assert created.describe(CANDIDATE, METRICS) == described


def test_an_excess_is_the_share_of_layers_that_violate_it(constraint):
    genome = SPACE.encode(CANDIDATE)
    names = [variable.name for variable in SPACE.variables]
    genome[names.index("layer1.kernel")] = 0
    two_of_three = constraint("kernel in 3, 5").excess(SPACE.decode(genome), None)
    assert two_of_three == pytest.approx(2 / 3)


def test_a_metric_that_was_not_counted_is_refused(constraint):
    tiny = constraint({"name": "tiny-ml", "max_params": 1, "max_macs": 1, "max_activations": 1})
    for bare in (replace(METRICS, outputs=None), replace(METRICS, exit_macs=())):
        with pytest.raises(CostError):
            tiny.excess(CANDIDATE, bare)


def test_toml_and_back_is_the_same():
    text = 'constraints=["params <= 1M", "kernel in 3, 5", {name="activations <= 9k", measure="sum"}]'
    settings = resolve([("--set", parse_assignment(text))])
    assert settings == resolve([("--set", parse_assignment(text.replace("9k", "9K")))])
    assert resolve([("a file", tomllib.loads(to_toml(settings)))]) == settings
    assert settings.constraints == written(
        {"name": "bound", "of": "params", "at_most": 1e6},
        {"name": "choices", "of": "kernel", "allowed": [3, 5]},
        {"name": "bound", "of": {"name": "activations", "measure": "sum"}, "at_most": 9000},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params < 1M", "constraints[1]: 'params < 1M' from --set: expected a bound like"),
        ("params <= 1m", "'1m' is not a number"),
        ("params <= 1.2.3", "'1.2.3' is not a number"),
        ("kernel in small", "'small' is not a number"),
        ("params <= 1M <= 2M", "expected a bound like"),
        ("1M >= params >= 2", "expected a bound like"),
        (3, "constraints[1]: 3 from --set: expected a bound like"),
    ],
)
def test_a_text_that_is_not_a_constraint_is_refused(text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        written(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parms <= 1M", "constraints.of: unknown objective 'parms'. Did you mean 'params'?"),
        ("tiny-lm", "constraints: unknown constraint 'tiny-lm'. Did you mean 'tiny-ml'?"),
        ("tiny-ml", "constraints.max_macs: constraint 'tiny-ml' needs it: expected a number"),
        ({"name": "bound", "of": "params"}, "constraints.at_most: missing"),
        (
            {"name": "bound", "of": "params", "at_most": 1, "at_least": 2},
            "constraints.at_least: found 2; allowed: at most 1, the value of `at_most`",
        ),
        ({"name": "params <= 1M", "measure": "sum"}, "objective 'params' has no such option"),
        (
            "kernels in 3",
            "constraints.of: found 'kernels', which no variable of a backbone has as its name. "
            "Did you mean 'kernel'?",
        ),
        ("kernel in 9", "found 9, but layer1.kernel has no such choice; allowed: 3, 5, 7"),
        (
            {"name": "tiny-ml", "max_params": 0, "max_macs": 1, "max_activations": 1},
            "constraints: found 'tiny-ml' with maxima 0, 1, 1",
        ),
        (
            {"name": "tiny-ml", "max_params": 1, "max_flash": 1, "max_macs": 1, "max_ram": 1},
            "constraints: found 'tiny-ml' with two maxima of one amount",
        ),
    ],
)
def test_an_error_of_a_constraint_names_the_allowed_values(constraint, text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        constraint(text)


def test_the_number_of_stages_can_be_limited_for_whole_networks_too() -> None:
    space = toy_space(cut=True)
    constraint = Choices("stages", (1, 2))
    constraint.prepare(space)
    no_exits = SelectionScheme((None, None))
    whole, short = (Candidate(backbone, no_exits) for backbone in (space.largest(), space.smallest()))
    assert constraint.excess(short, None) == 0
    assert constraint.excess(whole, None) == 1
    assert constraint.describe(whole, None) == "stages is 3; allowed: 1, 2"
    with pytest.raises(ConfigError, match="found 'stages', which no variable"):
        Choices("stages", (1, 2)).prepare(space.whole())
