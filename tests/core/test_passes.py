"""A forward pass through the exits, against gradients of linear networks by hand."""

import pytest
import torch
from torch import nn

from edanas.core.contracts import Phase, StagedBackbone
from edanas.core.passes import exit_logits, exit_parts, frozen


def linear(number):
    with torch.random.fork_rng():
        torch.manual_seed(number)
        return nn.Linear(4, 4, bias=False).double()


def network(points=(0, 2), stages=4):
    """Return a backbone of linear stages, and its heads at `points`."""
    linears = [linear(index) for index in range(stages)]
    return StagedBackbone(linears, linear(99), 1), {point: linear(10 + point) for point in points}


IMAGES = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gradients(phase, points=(0, 2), stages=4):
    """Return gradients of the summed logits: for each stage, for each head by point, for the last head."""
    backbone, heads = network(points, stages)
    sum(each.sum() for each in exit_logits(exit_parts(backbone, heads), IMAGES, phase)).backward()
    at = [stage.weight.grad for stage in backbone.stages]
    return at, {point: head.weight.grad for point, head in heads.items()}, backbone.head.weight.grad


def test_a_part_spans_the_stages_between_two_exits():
    backbone, heads = network()
    first, second, last = exit_parts(backbone, heads)
    stages = list(backbone.stages)
    assert (list(first.segment), first.head) == (stages[:1], heads[0])
    assert (list(second.segment), second.head) == (stages[1:3], heads[2])
    assert (list(last.segment), last.head) == (stages[3:], backbone.head)


def test_logits_equal_those_of_a_plain_pass_in_every_phase():
    backbone, heads = network()
    features, expected = IMAGES, []
    for index, stage in enumerate(backbone.stages):
        features = stage(features)
        if index in heads:
            expected.append(heads[index](features))
    expected.append(backbone.head(features))
    parts = exit_parts(backbone, heads)
    plans = (None, Phase.whole(3), Phase.whole(3, rescale=True), Phase("", (0, 1, 2), (1,), ()))
    for phase in plans:
        assert all(
            torch.equal(a, b) for a, b in zip(exit_logits(parts, IMAGES, phase), expected, strict=True)
        )
    chosen = exit_logits(parts, IMAGES, Phase("", (0, 2), (0,), ()))
    assert [torch.equal(chosen[0], expected[0]), torch.equal(chosen[1], expected[2])] == [True, True]


def test_stages_after_the_last_exit_of_a_phase_do_not_run():
    backbone, heads = network()
    backbone.stages[3].forward = None
    assert len(exit_logits(exit_parts(backbone, heads), IMAGES, Phase("", (1,), (1,), (1,)))) == 1


@pytest.mark.parametrize("segments", [(), (0,), (1,), (0, 2)])
@pytest.mark.parametrize("heads", [(), (1,), (0, 2)])
def test_trained_parts_have_the_gradients_of_the_whole_network_and_frozen_parts_have_none(segments, heads):
    if not segments and not heads:
        return
    whole, of_phase = gradients(None), gradients(Phase("", (0, 1, 2), segments, heads))
    owner = [0, 1, 1, 2]
    for index, exit_index in enumerate(owner):
        if exit_index in segments:
            assert torch.equal(of_phase[0][index], whole[0][index])
        else:
            assert of_phase[0][index] is None
    for exit_index, (one, other) in enumerate(
        [(of_phase[1][0], whole[1][0]), (of_phase[1][2], whole[1][2]), (of_phase[2], whole[2])]
    ):
        assert torch.equal(one, other) if exit_index in heads else one is None


def test_a_frozen_module_is_restored_even_after_an_error():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    with pytest.raises(ZeroDivisionError), frozen([layer]):
        assert not layer.weight.requires_grad
        raise ZeroDivisionError
    assert (layer.weight.requires_grad, layer.bias.requires_grad) == (True, False)


def test_rescaled_gradients_by_hand_on_two_exits():
    """y1 = H1 W1 x, y2 = H2 W2 W1 x; W1 serves two exits and gets the mean of their gradients."""
    backbone, heads = network((0,), 2)
    w1, w2 = (stage.weight.detach() for stage in backbone.stages)
    h1, h2, ones = heads[0].weight.detach(), backbone.head.weight.detach(), torch.ones(5, 4).double()
    stages, early, last = gradients(Phase.whole(2, rescale=True), (0,), 2)
    by_first, by_last = (ones @ h1).T @ IMAGES, (ones @ h2 @ w2).T @ IMAGES
    assert torch.allclose(stages[0], (by_first + by_last) / 2)
    features = IMAGES @ w1.T
    assert torch.allclose(stages[1], (ones @ h2).T @ features)
    assert torch.allclose(early[0], ones.T @ features)
    assert torch.allclose(last, ones.T @ (features @ w2.T))


def test_rescaled_gradients_are_means_over_the_exits_that_a_segment_serves():
    plain, rescaled = gradients(None), gradients(Phase.whole(3, rescale=True))
    for served, a, b in zip((3, 2, 2, 1), plain[0], rescaled[0], strict=True):
        assert torch.allclose(a / served, b)
    for a, b in ((plain[1][0], rescaled[1][0]), (plain[1][2], rescaled[1][2]), (plain[2], rescaled[2])):
        assert torch.allclose(a, b)


def test_rescaling_counts_only_the_exits_that_run():
    phase = Phase("", (0, 2), (0, 1, 2), (0, 2))
    plain = gradients(phase)
    rescaled = gradients(Phase("", (0, 2), (0, 1, 2), (0, 2), rescale=True))
    for served, a, b in zip((2, 1, 1, 1), plain[0], rescaled[0], strict=True):
        assert torch.allclose(a / served, b)
