import copy
import pickle
from collections import Counter

import pytest
import torch
from early_exit_nets import CLASSES, make_eenn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, StagedBackbone
from edanas.core.errors import ConfigError, DataError, EdanasError
from edanas.core.preprocess import prepare
from edanas.core.types import SelectionScheme
from edanas.model.eenn import EENN


class FirstPixel(ConfidenceCriterion):
    """The first logit as confidence, so that a test sets confidences to the last bit."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        return logits[:, 0]


class ReadPixel(nn.Module):
    """Logits (pixel, 0), where the pixel is the confidence of this exit."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        pixel = features[:, 0, 0, self.index]
        return torch.stack([pixel, torch.zeros_like(pixel)], dim=1)


class Counted(nn.Module):
    """An identity wrapper that records the number of samples of each call."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.batches: list[int] = []

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(features))
        out: torch.Tensor = self.inner(features)
        return out


def network_with_confidences(scheme: tuple[float | None, ...]) -> EENN:
    """Return an EENN in which the confidence of exit e is the pixel in column e of the image's first row."""
    count = len(scheme) + 1
    stages = [Counted(nn.Identity()) for _ in range(count)]
    heads = {index: Counted(ReadPixel(index)) for index in range(count - 1)}
    backbone = StagedBackbone(stages, Counted(ReadPixel(count - 1)), resolution=4)
    return EENN(backbone, heads, scheme, FirstPixel(), [0.0], [1.0], ["x", "y"]).eval()


def images_with_confidences(*confidences: tuple[float, ...]) -> torch.Tensor:
    images = torch.zeros(len(confidences), 1, 4, 4)
    for sample, row in enumerate(confidences):
        images[sample, 0, 0, : len(row)] = torch.tensor(row)
    return images


def samples_by_module(network: EENN) -> dict[str, list[int]]:
    return {name: module.batches for name, module in network.named_modules() if isinstance(module, Counted)}


thresholds = st.one_of(st.none(), st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0))


@settings(max_examples=60)
@given(
    scheme=st.lists(thresholds, min_size=0, max_size=4).map(tuple),
    count=st.integers(0, 9),
    seed=st.integers(0, 2**16),
    ties=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=4),
)
def test_a_call_equals_the_first_confident_column_of_all_exits(scheme, count, seed, ties):
    network = make_eenn((None,) * len(scheme), heads=range(len(scheme)), seed=seed)
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    labels, confidences = network.all_exits(images)
    scheme_with_ties = list(scheme)
    for sample, exit_ in ties:
        # Just below the confidence of one sample, which must exit; others depend on their own confidence.
        if sample < count and exit_ < len(scheme):
            scheme_with_ties[exit_] = max(0.0, float(confidences[sample, exit_]) - 1e-9)
    network.scheme = scheme_with_ties
    prediction = network(images)
    for sample in range(count):
        expected_exit = len(scheme_with_ties)
        for exit_, threshold in enumerate(scheme_with_ties):
            if threshold is not None and confidences[sample, exit_] >= threshold:
                expected_exit = exit_
                break
        assert prediction.exit[sample] == expected_exit
        assert prediction.label[sample] == labels[sample, expected_exit]
        confidence = prediction.confidence[sample].item()
        assert confidence == pytest.approx(float(confidences[sample, expected_exit]), abs=1e-6)
    assert prediction.label.shape == prediction.exit.shape == prediction.confidence.shape == (count,)


def test_a_confidence_equal_to_the_threshold_exits():
    network = network_with_confidences((0.1, 0.3))
    prediction = network(images_with_confidences((0.1, 0, 0.5), (0.0999, 0.3, 0.5), (0.0999, 0.2999, 0.5)))
    assert prediction.exit.tolist() == [0, 1, 2]
    assert prediction.confidence.tolist() == pytest.approx([0.1, 0.3, 0.5])


def test_a_removed_exit_fires_at_no_confidence():
    certain = images_with_confidences((1.0, 1.0, 1.0))
    assert network_with_confidences((None, None))(certain).exit.tolist() == [2]
    assert network_with_confidences((None, 1.0))(certain).exit.tolist() == [1]
    assert network_with_confidences((1.0, 1.0))(certain).exit.tolist() == [0]


def test_threshold_zero_fires_for_all_samples_and_a_nan_confidence_for_none():
    network = network_with_confidences((0.0, 0.0))
    assert network(images_with_confidences((0.0, 0.0, 0.0))).exit.tolist() == [0]
    network.heads["0"].inner = _Broken()
    assert network(images_with_confidences((1.0, 1.0, 1.0))).exit.tolist() == [1]


class _Broken(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.full((len(features), 2), float("nan"))


def test_samples_that_exited_are_not_computed_further():
    network = network_with_confidences((0.5, None, 0.5))
    network(images_with_confidences((0.9, 0, 0, 0), (0.1, 1, 0.9, 0), (0.1, 1, 0.1, 1), (0.8, 0, 0, 0)))
    assert samples_by_module(network) == {
        "backbone.stages.0": [4],
        "heads.0": [4],
        "backbone.stages.1": [2],
        "heads.1": [],  # not placed
        "backbone.stages.2": [2],
        "heads.2": [2],
        "backbone.stages.3": [1],
        "backbone.head": [1],
    }


def test_no_stage_runs_without_samples():
    network = network_with_confidences((0.5, 0.5))
    network(images_with_confidences((0.9,), (0.1, 0.9)))
    counts = samples_by_module(network)
    assert counts["backbone.stages.2"] == counts["backbone.head"] == []
    empty = network_with_confidences((0.5, 0.5))
    assert empty(torch.zeros(0, 1, 4, 4)).label.shape == (0,)
    assert Counter(map(tuple, samples_by_module(empty).values())) == {(): 6}


def test_features_are_moved_only_if_a_sample_exited():
    network = network_with_confidences((0.5, 0.5))
    features = []
    network.backbone.stages[1].register_forward_pre_hook(lambda _, args: features.append(args[0]))
    network.backbone.stages[0].register_forward_hook(lambda _, __, out: features.append(out))
    network(images_with_confidences((0.1, 0.9), (0.2, 0.9)))
    assert features[0] is features[1]


def test_logits_are_those_of_every_head_and_carry_gradients():
    network = make_eenn((0.5, None, 0.5), heads=[2, 0]).train()
    prepared = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    logits = network.prepared_logits(prepared)
    assert network.points == (0, 2)
    assert [tuple(each.shape) for each in logits] == [(4, 3)] * 3
    sum(each.square().sum() for each in logits).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    assert torch.equal(network.prepared_logits(prepared)[-1], network.backbone(prepared))


@pytest.mark.parametrize("kind", ["bytes", "floats", "numpy"])
def test_logits_of_images_are_those_of_prepared_images_and_carry_gradients(kind):
    network = make_eenn((0.5, None), channels=3).train()
    images = torch.randint(0, 256, (5, 3, 11, 9), dtype=torch.uint8)
    expected = network.prepared_logits(prepare(images, 8, network.mean, network.std).double())
    form = {"bytes": images, "floats": images.float() / 255, "numpy": images.permute(0, 2, 3, 1).numpy()}
    logits = network.logits(form[kind])
    assert len(logits) == len(network.points) + 1
    for one, other in zip(logits, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    sum(each.square().sum() for each in logits).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_logits_are_differentiable_in_the_images():
    network = make_eenn((0.5,))
    images = torch.rand(2, 1, 9, 9)
    network.predict(images)  # what it keeps for later calls must not be tensors of inference mode
    images.requires_grad_()
    sum(each.square().sum() for each in network.logits(images)).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_call_takes_arrays_of_numpy():
    network = make_eenn((0.5, None))
    images = torch.rand(4, 1, 8, 8)
    for one, other in zip(network(images.numpy()), network(images), strict=True):
        assert torch.equal(one, other)


def test_images_of_any_size_and_type_are_prepared_by_the_one_rule():
    network = make_eenn((None, None), channels=3)
    images = torch.randint(0, 256, (2, 3, 11, 17), dtype=torch.uint8)
    expected = network.backbone(prepare(images, 8, network.mean, network.std).double())
    prediction = network(images)
    assert prediction.label.tolist() == expected.argmax(1).tolist()
    as_floats = network(images.double() / 255)
    assert as_floats.confidence.tolist() == pytest.approx(prediction.confidence.tolist(), abs=1e-5)
    single = network(images[1])
    assert single.label.tolist() == prediction.label[1:].tolist()
    assert single.confidence.tolist() == pytest.approx(prediction.confidence[1:].tolist(), abs=1e-6)
    assert not prediction.confidence.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_network_computes_in_its_own_precision(dtype):
    network = make_eenn((0.5, None)).to(dtype)
    prediction = network(torch.rand(3, 1, 8, 8, dtype=torch.float64))
    assert prediction.confidence.dtype == torch.float32
    assert ((prediction.confidence >= 0) & (prediction.confidence <= 1)).all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 8, 8), r"shape \(2, 3, 8, 8\).*allowed: \(B, 1, H, W\) or \(1, H, W\)"),
        (torch.zeros(8, 8), r"shape \(8, 8\)"),
        (torch.zeros(3, 8, 8), r"shape \(3, 8, 8\)"),
        (torch.zeros(1, 1, 0, 8), r"shape \(1, 1, 0, 8\)"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.int64), "int64; allowed: uint8, or floats"),
        (torch.full((1, 1, 8, 8), 255.0), r"floats from 255 to 255; allowed: 0 to 1"),
        (torch.full((1, 1, 8, 8), float("nan")), "nan"),
        ([[0.0]], "a list; allowed: a torch tensor"),
    ],
)
def test_unusable_images_are_one_clear_error(images, message):
    with pytest.raises(DataError, match=message):
        make_eenn((0.5,))(images)


def test_a_network_in_training_mode_does_not_classify():
    network = make_eenn((0.5,)).train()
    for call in (network, network.all_exits):
        with pytest.raises(EdanasError, match=r"training mode; call `\.eval\(\)`"):
            call(torch.zeros(1, 1, 8, 8))


def test_a_scheme_must_fit_the_heads():
    network = make_eenn((None, None, None), heads=[0, 2])
    network.scheme = SelectionScheme((0.5, None, 0.25))
    assert network.scheme.placed == (0, 2)
    with pytest.raises(ConfigError, match="exit 2 has a threshold but no head; exits with a head: 1, 3"):
        network.scheme = (None, 0.5, None)
    with pytest.raises(ConfigError, match="2 thresholds; allowed: 3"):
        network.scheme = (None, 0.5)
    with pytest.raises(ConfigError, match=r"threshold 1 is 1\.5; allowed: 0 to 1"):
        network.scheme = (1.5, None, None)
    assert network.scheme.thresholds == (0.5, None, 0.25)


def test_heads_and_normalisation_must_fit_the_backbone():
    with pytest.raises(ConfigError, match="exit point index 2; allowed: 0 to 1"):
        make_eenn((None, None), heads=[0, 1, 2][2:])
    network = make_eenn((None,))
    for mean, std, message in (
        ([0.5], [0.1, 0.2], "mean, std: found 1 and 2 numbers; allowed: one number per channel in both"),
        ([], [], "mean, std: found 0 and 0 numbers; allowed: one number per channel in both"),
        ([0.5], [0.0], r"std: found \[0\.0\]; allowed: finite numbers above 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            EENN(network.backbone, {}, (None,), network.criterion, mean, std, CLASSES)


def test_copies_pickles_and_state_dicts_give_equal_networks():
    network = make_eenn((0.3, None, 0.4), heads=[2, 0, 1])
    images = torch.rand(5, 1, 8, 8)
    expected = network(images)
    other = make_eenn((0.3, None, 0.4), heads=[0, 1, 2], seed=9)
    other.load_state_dict(network.state_dict())
    for same in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), other):
        assert all(torch.equal(a, b) for a, b in zip(same(images), expected, strict=True))
