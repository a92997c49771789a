import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import user_nets
from safetensors.torch import save_file

from edanas.core.errors import ConfigError, WeightsError
from edanas.core.types import Backbone, Task
from edanas.supernets.user_module import ModuleProvider
from edanas.testing.providers import check_provider

FILE = Path(user_nets.__file__)
TASK = Task(in_channels=1, num_classes=3)
AT_8 = Backbone.of({"resolution": 8})


def provider(function="make", **options):
    return ModuleProvider(f"{FILE}:{function}", **{"resolutions": (8,), **options})


@pytest.mark.parametrize("function", ["make", "sequential", "staged"])
def test_all_forms_of_the_function_give_the_same_network(function):
    network_provider = provider(function)
    assert (network_provider.exit_points, network_provider.exit_channels()) == (2, ((4,), (6,)))
    stages, last = network_provider.costs(AT_8, TASK)
    assert [stage.macs for stage in stages] == [16 * 9 * 4, 4 * 9 * 4 * 6, 9 * 6 * 8]
    assert last.macs == 8 * 3


def test_a_module_that_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(FILE.parent))
    assert ModuleProvider("user_nets:make").exit_points == 2


def test_another_process_can_read_its_networks(tmp_path):
    original = provider()
    content = pickle.dumps((original, original.supernet(TASK)))
    (tmp_path / "provider.pkl").write_bytes(content)
    program = (
        "import pickle, sys, torch; provider, net = pickle.load(open(sys.argv[1], 'rb'));"
        "from edanas.core.types import Backbone;"
        "print(tuple(net.view(Backbone.of({'resolution': 8}))(torch.zeros(2, 1, 8, 8)).shape))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "provider.pkl")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "(2, 3)"


def test_its_own_weights(tmp_path):
    first, second = provider().supernet(TASK), provider().supernet(TASK)
    save_file(first.state_dict(), tmp_path / "own.safetensors")
    provider().load_weights(second, str(tmp_path / "own.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with pytest.raises(WeightsError, match=r"tensor 'head.2.weight' has shape \(3, 8\); expected \(4, 8\)"):
        provider().load_weights(provider().supernet(Task(1, 4)), str(tmp_path / "own.safetensors"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nets.py", r"found 'nets\.py'; expected FILE\.py:FUNCTION or MODULE:FUNCTION"),
        ("no/nets.py:make", r"no/nets\.py: no such file"),
        ("no_such_module:make", r"module 'no_such_module' cannot be imported: ModuleNotFoundError"),
        (f"{FILE}:mkae", r"has no function 'mkae'\. Did you mean 'make'\?"),
        (
            f"{FILE}:text",
            r"the function returned a str; expected a StagedBackbone, \(stages, head\), or a sequence",
        ),
        (f"{FILE}:alone", r"the function returned 1 stage; expected two or more stages"),
        (
            f"{FILE}:without_classes",
            r"the function, called with in_channels=.*, raised TypeError",
        ),
        (f"{FILE}:misfit", r"stage 2 does not run on an input of shape \(2, 4, 16, 16\)"),
        (f"{FILE}:flat", r"stage 1 returns \(2, 3072\); expected features \(B, C, H, W\)"),
        (f"{FILE}:wrong_classes", r"the last exit returns \(2, 9\); expected logits \(2, 2\)"),
    ],
)
def test_a_wrong_source_is_one_clear_error(source, message):
    with pytest.raises(ConfigError, match=r"supernet\.source: .*" + message):
        ModuleProvider(source)


def test_a_file_that_fails_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
    with pytest.raises(ConfigError, match=r"broken\.py raised ModuleNotFoundError"):
        ModuleProvider(f"{tmp_path / 'broken.py'}:make")


def test_modules_with_one_dimensional_convolutions_are_counted(tmp_path):
    path = tmp_path / "nets1d.py"
    path.write_text(
        "from torch import nn\n"
        "def make(in_channels, num_classes):\n"
        "    first = nn.Sequential(nn.Conv1d(in_channels, 4, 5, padding=2), nn.BatchNorm1d(4), nn.ReLU())\n"
        "    second = nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(4, 6, 3, padding=1))\n"
        "    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, num_classes))\n"
        "    return [first, second], head\n"
    )
    network_provider = ModuleProvider(f"{path}:make", resolutions=(20,), series=True)
    at_20, task = Backbone.of({"resolution": 20}), Task(in_channels=2, num_classes=3)
    stages, last = network_provider.costs(at_20, task)
    assert [stage.macs for stage in stages] == [20 * 2 * 5 * 4, 10 * 4 * 3 * 6]
    assert [stage.shape for stage in stages] == [(4, 1, 20), (6, 1, 10)]
    assert last.macs == 6 * 3
    network = network_provider.build(at_20, task).eval()
    assert network(torch.zeros(5, 2, 1, 20)).shape == (5, 3)
    check_provider(network_provider, backbones=0)
