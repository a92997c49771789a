"""Views, extracted backbones and built backbones compute the same."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_spaces import SMALL, TASK, backbones, images, space
from torch import nn

from edanas.core.types import Task
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider


def lived_in(supernet, seed=0):
    """A supernet whose statistics, biases and kernel transforms differ from their initial values."""
    generator = torch.Generator().manual_seed(seed)
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.8, 1.2, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
    for name, parameter in supernet.named_parameters():
        if name.endswith("_matrix"):
            parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return supernet.eval()


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return lived_in(SMALL.supernet(TASK))


@pytest.mark.parametrize("backbone", backbones(SMALL, 6, seed=1), ids=lambda backbone: backbone.id)
def test_view_extract_and_build_agree(supernet, backbone):
    view, plain, fresh = supernet.view(backbone), supernet.extract(backbone), SMALL.build(backbone, TASK)
    logits = view(images(backbone))
    assert logits.shape == (3, TASK.num_classes)
    assert logits.abs().max() > 1e-3
    torch.testing.assert_close(plain(images(backbone)), logits, rtol=1e-5, atol=1e-6)
    shapes = {name: tensor.shape for name, tensor in plain.state_dict().items()}
    assert {name: tensor.shape for name, tensor in fresh.state_dict().items()} == shapes
    fresh.load_state_dict(plain.state_dict())
    torch.testing.assert_close(fresh.eval()(images(backbone)), logits, rtol=1e-5, atol=1e-6)


def test_grey_images_are_computed_in_channels_last(supernet):
    backbone = space(SMALL).smallest()
    for net in (supernet.view(backbone), supernet.extract(backbone), SMALL.build(backbone, TASK)):
        assert net.stages[0](images(backbone)).is_contiguous(memory_format=torch.channels_last)


def test_a_copied_view_is_independent_of_the_supernet(supernet):
    backbone = space(SMALL).largest()
    copied = copy.deepcopy(supernet.view(backbone))
    assert torch.equal(copied(images(backbone)), supernet.view(backbone)(images(backbone)))
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in supernet.parameters()}
    again = pickle.loads(pickle.dumps(supernet)).view(backbone)
    assert torch.equal(again(images(backbone)), copied(images(backbone)))


def test_views_do_not_disturb_each_other(supernet):
    chosen = backbones(SMALL, 4, seed=2)
    views = [supernet.view(backbone) for backbone in chosen]
    alone = [view(images(backbone)) for view, backbone in zip(views, chosen, strict=True)]
    features = [images(backbone) for backbone in chosen]
    for stage in range(5):
        features = [view.stages[stage](x) for view, x in zip(views, features, strict=True)]
    supernet.extract(chosen[0])
    for view, x, expected in zip(views, features, alone, strict=True):
        assert torch.equal(view.head(x), expected)


def test_each_view_has_its_own_mode(supernet):
    backbone = space(SMALL).largest()
    judging, learning = supernet.view(backbone), supernet.view(backbone)
    expected = judging(images(backbone))
    before = {name: value.clone() for name, value in supernet.named_buffers()}
    learning.train()
    assert torch.equal(judging.eval()(images(backbone)), expected)
    judging.eval()
    learning.train()
    assert not torch.allclose(learning(images(backbone)), expected)
    supernet.load_state_dict({**supernet.state_dict(), **before})
    assert torch.equal(judging.eval()(images(backbone)), expected)


def test_a_new_view_is_in_the_supernet_s_mode_whatever_another_left_its_layers_in():
    net, backbone = SMALL.supernet(TASK).train(), space(SMALL).largest()
    net.view(backbone).eval()(images(backbone))
    before = {name: value.clone() for name, value in net.named_buffers()}
    net.view(backbone)(images(backbone))
    assert any(not torch.equal(value, before[name]) for name, value in net.named_buffers())
    net.eval()
    before = {name: value.clone() for name, value in net.named_buffers()}
    net.view(backbone)(images(backbone))
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())


def test_training_a_view_trains_the_supernet_and_nothing_extracted():
    torch.manual_seed(1)
    provider = OFAMobileNetV3Provider(
        widths=(0.25,), resolutions=(16,), depths=(1, 2), stem_stride=1, dropout=0.2
    )
    net = provider.supernet(TASK)
    backbone = space(provider).sample_backbone(np.random.default_rng(0))
    view, plain = net.view(backbone), net.extract(backbone).eval()
    own = {id(p) for p in net.parameters()}
    assert {id(p) for p in view.parameters()} <= own
    assert not {id(p) for p in plain.parameters()} & own
    expected, old = plain(images(backbone)), net.view(backbone).eval()(images(backbone))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(view.train()(images(backbone, 8)), torch.arange(8) % 5)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert not torch.allclose(net.view(backbone).eval()(images(backbone)), old)
    assert torch.equal(plain(images(backbone)), expected)


def test_gradients_of_a_view_equal_those_of_the_plain_net(supernet):
    backbone = backbones(SMALL, 1, seed=4)[2]
    view, plain = supernet.view(backbone), supernet.extract(backbone)
    for net in (view, plain):
        net.zero_grad()
        net(images(backbone)).square().sum().backward()
    shared = supernet.classifier.linear.linear.weight.grad
    own = plain.head.classifier.linear.weight.grad
    torch.testing.assert_close(shared[:, : own.shape[1]], own, rtol=1e-4, atol=1e-6)
    stem, own_stem = supernet.first_conv.conv.conv.weight.grad, plain.stages[0][0].conv.weight.grad
    torch.testing.assert_close(stem[: len(own_stem)], own_stem, rtol=1e-3, atol=1e-5)
    supernet.zero_grad(set_to_none=True)


def test_fresh_weights_follow_torchs_generator_and_extracting_does_not_touch_it():
    torch.manual_seed(3)
    first = SMALL.supernet(TASK)
    torch.manual_seed(3)
    again = SMALL.supernet(TASK)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    state = torch.get_rng_state()
    first.extract(space(SMALL).largest())
    first.view(space(SMALL).largest())
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=12)
@given(
    st.sampled_from([(1,), (1, 3)]),
    st.sampled_from([(3,), (3, 5), (1, 5, 7)]),
    st.sampled_from([(2,), (1.5, 4)]),
    st.sampled_from([(0, 0), (0, 64), (64, 0), (64, 128)]),
    st.integers(1, 2),
    st.sampled_from([Task(1, 2), Task(3, 7)]),
    st.integers(8, 20),
)
def test_any_options_any_images_any_classes(depths, kernels, expansions, last, stem_stride, task, resolution):
    provider = OFAMobileNetV3Provider(
        widths=(0.25, 1.0),
        resolutions=(resolution,),
        depths=depths,
        kernels=kernels,
        expansions=expansions,
        stem_stride=stem_stride,
        stage_strides=(1, 2, 1, 1, 2),
        final_expand=last[0],
        last_width=last[1],
    )
    net = provider.supernet(task).eval()
    x = torch.randn(2, task.in_channels, resolution, resolution)
    for backbone in backbones(provider, 1):
        logits = net.view(backbone)(x)
        assert logits.shape == (2, task.num_classes)
        torch.testing.assert_close(net.extract(backbone)(x), logits, rtol=1e-4, atol=1e-5)
