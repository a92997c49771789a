"""Trainings that diverge: the step that ends them, and the files that they do not write."""

import math
from dataclasses import replace

import pytest
import torch
from small_runs import PLAIN, equal_states, parts
from supernet_trainings import SETTINGS, trainer
from torch import nn

from edanas.core.errors import TrainingError, WeightsError
from edanas.core.finite import check_finite
from edanas.core.progress import Silent
from edanas.core.records import CHECKSUM
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.supernets.weights import fill, read_tensors
from edanas.testing.evaluations import toy_network
from edanas.training.finite_steps import FiniteSteps
from edanas.training.schemes import Joint
from edanas.training.supernet_file import load, write


class Spoiled(Joint):
    """A loss that is not finite at some of its calls."""

    def __init__(self, *calls, value=math.nan):
        super().__init__()
        self.calls, self.value, self.count = calls, value, 0

    def loss(self, batch):
        self.count += 1
        loss = super().loss(batch)
        return loss * self.value if self.count - 1 in self.calls else loss


CALLS = 3
"""Losses of a step: the largest, the smallest and a random backbone."""


@pytest.mark.parametrize("clip", [0.0, 5.0])
@pytest.mark.parametrize(
    ("call", "value", "cause"), [(0, math.nan, "loss is nan"), (1, math.inf, "gradient is")]
)
def test_the_first_step_that_is_not_finite_ends_a_supernets_training(tmp_path, call, value, cause, clip):
    scheme = Spoiled(CALLS * 3 + call, value=value)
    settings = replace(SETTINGS, gradient_clip=clip)
    training = trainer(tmp_path / "supernet.pt", settings=settings, scheme=scheme)
    with pytest.raises(TrainingError, match=cause) as raised:
        training.run(Silent())
    assert "the supernet" in str(raised.value)
    assert "in epoch 2, step 2 of 2, at the learning rate 0.0" in str(raised.value)
    assert "learning_rate (found 0.01)" in str(raised.value)
    check_finite(training.network.state_dict(), "the weights")
    assert not (tmp_path / "supernet.pt").exists()


def test_a_skipped_step_leaves_weights_and_statistics_as_they_were(tmp_path):
    settings = replace(SETTINGS, skip_nonfinite=1, ema=0.0)
    training = trainer(tmp_path / "supernet.pt", settings=settings, scheme=Spoiled(CALLS * 2))
    before = []

    def step(images, labels, make=training.make_step):
        before.append({name: t.clone() for name, t in training.network.state_dict().items()})
        return make(images, labels)

    training.make_step = step
    assert training.run(Silent())
    assert training.finite.skipped == 1
    skipped, after = before[2], before[3]
    assert all(torch.equal(after[name], tensor) for name, tensor in skipped.items())
    assert any(not torch.equal(before[4][name], tensor) for name, tensor in after.items())


def test_steps_that_a_measurement_skips_do_not_count(tmp_path):
    settings = replace(SETTINGS, skip_nonfinite=1)
    training = trainer(tmp_path / "supernet.pt", settings=settings, scheme=Spoiled(0))
    training.fit(60.0)
    assert training.finite.skipped == 0


def test_more_steps_than_allowed_end_a_training(tmp_path):
    settings = replace(SETTINGS, skip_nonfinite=1)
    scheme = Spoiled(0, CALLS * 4)
    with pytest.raises(TrainingError, match="after 1 skipped steps"):
        trainer(tmp_path / "supernet.pt", settings=settings, scheme=scheme).run(Silent())


def test_an_interruption_does_not_forget_skipped_steps(tmp_path):
    settings = replace(SETTINGS, skip_nonfinite=1)
    first = trainer(tmp_path / "supernet.pt", settings=settings, scheme=Spoiled(0))
    first.schedule = replace(first.schedule, steps=4)
    first._network.train()
    first._seeded_step(*next(first._rest_of_epoch()))
    first._save()
    again = trainer(tmp_path / "supernet.pt", settings=settings, scheme=Spoiled(0))
    with pytest.raises(TrainingError, match="step 2 of 2"):
        again.run(Silent())


def test_a_rate_that_overflows_the_weights_in_the_last_step_writes_no_checkpoint(tmp_path):
    """Loss and gradient of the only step are finite; its update is not."""
    settings = replace(SETTINGS, epochs=1, batch_size=64, learning_rate=1e38, optimizer="sgd", ema=0.0)
    training = trainer(tmp_path / "supernet.pt", settings=replace(settings, weight_decay=1e4))
    with pytest.raises(TrainingError, match=r"learning_rate \(found 1e\+38\)"):
        training.run(Silent())
    assert not (tmp_path / "supernet.pt").exists()


def test_a_checkpoint_with_numbers_that_are_not_finite_is_refused(tmp_path):
    path = tmp_path / "supernet.pt"
    trainer(path, settings=replace(SETTINGS, epochs=1)).run(Silent())
    state = torch.load(path, weights_only=True)
    next(iter(state["network"].values())).fill_(math.inf)
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"supernet\.pt: 1 of \d+ tensors holds numbers"):
        trainer(path).run(Silent())


@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_a_supernet_file_neither_takes_nor_gives_numbers_that_are_not_finite(tmp_path, spoiled):
    layer, path = nn.Linear(2, 2), tmp_path / "net.safetensors"
    write(path, {"supernet": layer}, {}, parts().train, half=False)
    good = path.read_bytes()
    with torch.no_grad():
        layer.bias[0] = spoiled
    with pytest.raises(WeightsError, match=r"the first is 'supernet\.bias'"):
        write(path, {"supernet": layer}, {}, parts().train, half=False)
    assert path.read_bytes() == good
    target = nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    _overwrite(path, "supernet.bias", layer.bias.detach())
    with pytest.raises(WeightsError, match="not finite"):
        load(path, {"supernet": target})
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


def _overwrite(path, name, tensor):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        # Files of older versions have no checksum, which would be the first fault.
        metadata = {key: value for key, value in file.metadata().items() if key != CHECKSUM}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dictionary
    save_file({**tensors, name: tensor}, path, metadata)


def test_weights_too_large_for_float16_are_not_written_as_infinite(tmp_path):
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, 1e6)
    with pytest.raises(WeightsError, match="not finite"):
        write(tmp_path / "net.safetensors", {"supernet": layer}, {}, parts().train, half=True)
    assert not (tmp_path / "net.safetensors").exists()


def test_a_finished_network_is_not_written_with_numbers_that_are_not_finite(tmp_path):
    network = toy_network()
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    with pytest.raises(WeightsError, match="not finite"):
        SafetensorsExporter().export(network, tmp_path / "toy")
    assert not list(tmp_path.iterdir())


def test_weights_of_a_provider_must_be_finite(tmp_path):
    from edanas.core.types import Task
    from edanas.supernets.weights import TensorNames

    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    torch.save({**layer.state_dict(), "bias": torch.tensor([1.0, -math.inf])}, tmp_path / "weights.pt")
    names = TensorNames(canonical=str, classifier=(), stem="", misfit="")
    with pytest.raises(WeightsError, match=r"weights\.pt: 1 of 2 tensors"):
        fill(layer, Task(1, 2), read_tensors(tmp_path / "weights.pt"), "weights.pt", names)
    assert torch.equal(layer.weight, before)


def test_without_skipping_no_statistics_are_copied():
    steps = FiniteSteps("the network", nn.BatchNorm2d(2), PLAIN, 3)
    assert not steps._before


def test_checks_change_no_weights(tmp_path):
    plain = trainer(tmp_path / "a.pt")
    skipping = trainer(tmp_path / "b.pt", settings=replace(SETTINGS, skip_nonfinite=3))
    plain.run(Silent())
    skipping.run(Silent())
    assert equal_states(plain.network, skipping.network)
