"""Collection of exit profiles from a network."""

import numpy as np
import pytest
import torch
from early_exit_nets import CLASSES, make_eenn

from edanas.core.errors import CandidateError, DataError
from edanas.core.types import ImageSet
from edanas.model.profiling import collect_profile
from edanas.thresholds.profiles import exit_columns, outcome


def image_set(count: int, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.randint(0, 3, (count,), generator=generator), CLASSES)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_a_profile_holds_the_outputs_of_all_exits(batch_size):
    network = make_eenn((None, None, None), heads=[0, 2])
    data = image_set(9)
    profile = collect_profile(network, data, batch_size=batch_size, device="cpu")
    labels, confidence = network.all_exits(data.images)
    assert profile.points == (0, 2)
    assert profile.confidence.dtype == np.float32
    np.testing.assert_allclose(profile.confidence, confidence.numpy(), atol=1e-6)
    np.testing.assert_array_equal(profile.correct, (labels == data.labels[:, None]).numpy())


def test_a_profile_predicts_exits_and_accuracy_of_the_network():
    network = make_eenn((0.4, None, 0.6), heads=[0, 1, 2], seed=3).float()
    data = image_set(40)
    profile = collect_profile(network, data)
    thresholds = [float(np.median(profile.confidence[:, e])) for e in range(3)]
    for scheme in ((thresholds[0], None, thresholds[2]), (None, thresholds[1], None), (None, None, None)):
        # A little lower than the sample at the median, whose last bits depend on the batch.
        network.scheme = tuple(None if t is None else max(0.0, t - 1e-5) for t in scheme)
        prediction = network(data.images)
        column = exit_columns(profile, network.scheme)
        assert prediction.exit.tolist() == [(*profile.points, 3)[c] for c in column]
        accuracy = float((prediction.label == data.labels).float().mean())
        assert outcome(profile, network.scheme).accuracy == pytest.approx(accuracy)


def test_collecting_restores_the_mode_of_every_module():
    network = make_eenn((None, None)).train()
    frozen = network.backbone.stages[0][1]
    frozen.eval()
    statistics = frozen.running_mean.clone()
    modes = {name: module.training for name, module in network.named_modules()}
    collect_profile(network, image_set(4))
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert torch.equal(frozen.running_mean, statistics)


def test_a_confidence_of_nan_is_a_failed_candidate():
    network = make_eenn((None, None), heads=[1])
    with torch.no_grad():
        network.heads["1"][-1].weight.fill_(float("nan"))
    with pytest.raises(CandidateError, match="confidence of exit 2 is not a number"):
        collect_profile(network, image_set(4))
    with torch.no_grad():
        network.backbone.stages[0][0].weight.fill_(float("nan"))
        network.heads["1"][-1].weight.fill_(0.0)
    with pytest.raises(CandidateError, match=r"exit 2|the last exit"):
        collect_profile(network, image_set(4))


def test_no_samples_is_an_error():
    with pytest.raises(DataError, match="no samples"):
        collect_profile(make_eenn((None,)), image_set(0))


def test_many_samples_run_through_a_fused_copy_with_equal_confidences(monkeypatch):
    network, data = make_eenn((None, None, None), heads=[0, 2], seed=3).float(), image_set(600)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    frozen = []
    freeze = type(network).freeze
    monkeypatch.setattr(type(network), "freeze", lambda self: frozen.append(freeze(self)) or frozen[-1])
    profile = collect_profile(network, data)
    assert len(frozen) == 1
    _, confidence = network.all_exits(data.images)
    np.testing.assert_allclose(profile.confidence, confidence.detach().numpy(), atol=1e-4)
    assert not network.frozen
    collect_profile(network, image_set(20))
    assert len(frozen) == 1
