"""A finished network that names code is loaded only by users that trust it."""

from pathlib import Path

import pytest
import torch
import user_nets

import edanas
from edanas.cli import main
from edanas.core.errors import WeightsError
from edanas.core.trust import VARIABLE
from edanas.core.types import Backbone, Task
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.supernets.user_module import ModuleProvider

NETS = Path(user_nets.__file__)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network of a user's module, as a run writes it."""
    options = {"source": f"{NETS}:make", "resolutions": [8]}
    backbone = Backbone.of({"resolution": 8})
    staged = ModuleProvider(options["source"], resolutions=(8,)).build(backbone, Task(1, 2))
    network = EENN(staged, {}, (None, None), ScoreMargin(), [0.5], [0.5], ["no", "yes"]).eval()
    no_options = {"options": {}}
    network.description = {
        "supernet": {"name": "module", "options": options},
        "classifier": {"name": "pool-linear", **no_options},
        "criterion": {"name": "score-margin", **no_options},
        "inference": {"name": "early-stop", **no_options},
        "backbone": dict(backbone.choices),
        "in_channels": 1,
        "num_classes": 2,
    }
    return SafetensorsExporter().export(network, tmp_path / "eenn-0")[0]


def test_code_runs_only_after_consent(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(WeightsError, match=r"names code, .*user_nets.py:make.*trust_code=True"):
        edanas.load(model)
    images = torch.zeros(2, 1, 8, 8)
    trusted = edanas.load(model, trust_code=True)
    assert trusted(images).label.shape == (2,)
    monkeypatch.setenv(VARIABLE, "1")
    assert torch.equal(edanas.load(model)(images).label, trusted(images).label)


def test_commands_refuse_code_in_one_sentence(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main(["export", str(model)]) == 2
    assert f"set {VARIABLE}=1" in capsys.readouterr().err
