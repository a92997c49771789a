"""Compilation of the backbones in every step, here with torch's backend without kernels."""

from dataclasses import replace

import pytest
import torch
from small_runs import CPU, PLAIN, equal_states, parts, provider, space

from edanas.core.contracts import Phase
from edanas.core.progress import Silent
from edanas.core.types import Backbone
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.supernets.baselines import EECNN
from edanas.training.compilation import CompiledStages, backend_for
from edanas.training.phased_schemes import Distill
from edanas.training.sandwich import SandwichTraining, SupernetWithExits
from edanas.training.schemes import Joint
from edanas.training.steps import Batches

SETTINGS = replace(PLAIN, epochs=1, batch_size=32, augment=("shift",), ema=0.9)


def trainer(folder, backend=None, messages=None):
    space_provider = provider()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        task = parts().task
        network = SupernetWithExits(
            space_provider.supernet(task), space_provider, PoolLinear(dropout=0.3), task
        )
    folder.mkdir()
    file = folder / "supernet.pt"
    trainer = SandwichTraining(network, space(), parts(), SETTINGS, Joint(), ScoreMargin(), 5, file)
    if backend:
        trainer.kernels = CompiledStages(network.parts, (trainer.largest, trainer.smallest), backend)
        trainer.kernels.report = messages.append
    return trainer


@pytest.fixture(autouse=True)
def _no_kernels_of_other_tests():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_a_cpu_compiles_nothing_and_a_gpu_by_torch_s_own_compiler(tmp_path, monkeypatch):
    assert backend_for(CPU) is None
    assert backend_for(torch.device("cuda:1")) == "inductor"
    monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: pytest.fail("compiled on a CPU"))
    trainer(tmp_path / "cpu").run(Silent())


def gradients(training):
    """Sum of the gradients of one step's three backbones, by name, without an update."""
    images, labels = next(Batches(parts(), SETTINGS, 12, CPU).epoch(torch.Generator().manual_seed(3)))
    training.network.train()
    training.optimizer.step = lambda: None
    training.optimizer.zero_grad = lambda set_to_none: None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        training.make_step(images, labels)
    return {name: p.grad for name, p in training.network.named_parameters() if p.grad is not None}


def test_compiled_steps_have_the_gradients_of_others(tmp_path):
    compiled, messages = [], []

    def counting(graph, inputs):
        compiled.append(graph)
        return graph.forward

    plain, training = trainer(tmp_path / "plain"), trainer(tmp_path / "compiled", counting, messages)
    expected, actual = gradients(plain), gradients(training)
    assert not messages
    assert len(compiled) >= 2 * (len(provider().exit_channels()) + 1)
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-4, atol=1e-6)
    # Statistics as well: the trial run before the first step does not change them.
    for name, value in plain.network.named_buffers():
        torch.testing.assert_close(training.network.get_buffer(name), value, rtol=1e-5, atol=1e-6)
    known = len(compiled)
    gradients(training)
    assert len(compiled) == known


def test_a_failed_compilation_is_reported_once_and_training_continues(tmp_path):
    def broken(graph, inputs):
        raise RuntimeError("no compiler here\nand more")

    messages = []
    plain, training = trainer(tmp_path / "plain"), trainer(tmp_path / "broken", broken, messages)
    plain.run(Silent())
    training.run(Silent())
    assert len(messages) == 1
    assert messages[0].startswith(
        "Training runs uncompiled, since torch.compile failed: BackendCompilerFailed: "
    )
    assert "\n" not in messages[0]
    assert equal_states(training.network, plain.network)


def test_compiled_phases_keep_frozen_parts_frozen(tmp_path):
    alone, task = EECNN(resolutions=(8,), width=0.1), parts().task
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SupernetWithExits(alone.supernet(task), alone, PoolLinear(), task).train()
    backbone = Backbone.of({"resolution": 8})
    kernels = CompiledStages(network.parts, [backbone], "eager")
    kernels.report = pytest.fail
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for phase in (*Distill().phases((0, 1)), Phase.whole(2, rescale=True)):
        phase_gradients = []
        for run in (network.logits, kernels.logits):
            network.zero_grad()
            logits = run(backbone, images, phase)
            torch.stack([each.square().sum() for each in logits]).sum().backward()
            phase_gradients.append(
                [torch.zeros(0) if p.grad is None else p.grad for p in network.parameters()]
            )
        assert any(not len(gradient) for gradient in phase_gradients[0]) == (phase.rescale is False)
        torch.testing.assert_close(phase_gradients[1], phase_gradients[0], rtol=1e-4, atol=1e-5)
    assert kernels.logits(Backbone.of({"resolution": 16}), images, phase) is None
