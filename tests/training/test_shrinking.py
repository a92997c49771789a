"""Progressive shrinking: the published order, the backbones of each stage, the teacher, and resuming."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import OPTIONS, parts, space
from supernet_trainings import SETTINGS, STEPS, fresh, trainer

from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.supernets.elastic_1d import Elastic1dProvider
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.training.schemes import Joint
from edanas.training.shrinking import PUBLISHED, Shrinking

OFA = OFAMobileNetV3Provider(widths=[0.1, 0.2, 0.35], resolutions=[32, 40])
"""The choices of the source: kernels 3, 5, 7; depths 2, 3, 4; expansions 3, 4, 6."""

WIDE = SearchSpace(OFA.variables(), (0.5, None), OFA.exit_points)
OPEN = Shrinking(WIDE)
SHRINKING = replace(SETTINGS, epochs=9, shrinking=True, ema=0.0)


def choices(backbone, kind):
    return {each for name, each in backbone.choices if name.rpartition(".")[2] == kind}


def test_stages_have_the_published_order_lengths_and_networks():
    assert OPEN.stages == PUBLISHED
    full, kernel, *rest = PUBLISHED[:6]
    assert (full.epochs, kernel.epochs, kernel.networks) == (180, 125, 1)
    kinds = [stage.kind for stage in PUBLISHED]
    assert kinds == ["", "kernel", "depth", "depth", "expand", "expand", "width", "width"]
    assert [(stage.choices, stage.epochs) for stage in rest] == [(2, 25), (0, 125)] * 2
    assert [stage.networks for stage in rest] == [2, 2, 4, 4]
    assert [round(2.6 * stage.rate, 2) for stage in PUBLISHED[:6]] == [2.6, 0.96, 0.08, 0.24, 0.08, 0.24]


def test_the_smallest_backbone_of_each_stage():
    rows = []
    for stage in range(len(PUBLISHED)):
        smallest = OPEN.smallest(stage)
        rows.append([min(choices(smallest, kind)) for kind in ("kernel", "depth", "expand", "width")])
    assert rows == [
        [7, 4, 6, 0.35],
        [3, 4, 6, 0.35],
        [3, 3, 6, 0.35],
        [3, 2, 6, 0.35],
        [3, 2, 4, 0.35],
        [3, 2, 3, 0.35],
        [3, 2, 3, 0.2],
        [3, 2, 3, 0.1],
    ]
    assert OPEN.smallest(len(PUBLISHED) - 1) == WIDE.smallest()


@given(st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_random_backbones_have_open_choices_alone(stage, seed):
    drawn, smallest = OPEN.sample_backbone(np.random.default_rng(seed), stage), OPEN.smallest(stage)
    for kind in ("kernel", "depth", "expand", "width"):
        assert min(choices(drawn, kind)) >= min(choices(smallest, kind))


def test_stages_that_open_nothing_are_left_out():
    """The small space has two kernels, depths and widths, and a single expansion."""
    assert [stage.name for stage in Shrinking(space()).stages] == [
        "full network",
        "elastic kernel",
        "elastic depth, phase 2",
        "elastic width, phase 2",
    ]


@given(st.floats(0, 1))
def test_stages_follow_each_other_without_gaps(done):
    moment = OPEN.at(done)
    total = sum(stage.epochs for stage in PUBLISHED)
    before = sum(stage.epochs for stage in PUBLISHED[: moment.stage]) / total
    assert before + moment.done * moment.share == pytest.approx(done)
    assert moment.share == pytest.approx(PUBLISHED[moment.stage].epochs / total)


def test_later_stages_learn_from_labels_and_from_the_full_network_at_half_each(tmp_path, monkeypatch):
    network, targets, backbones = fresh(), [], []
    training = trainer(tmp_path / "supernet.pt", network, replace(SHRINKING, label_smoothing=0.0))
    original = network.logits
    monkeypatch.setattr(network, "logits", lambda b, i, p: backbones.append(b) or original(b, i, p))
    monkeypatch.setattr(
        training.scheme, "loss", lambda batch: targets.append(batch.targets) or Joint().loss(batch)
    )
    training.run(Silent())
    first = [each for each in targets if each.ndim == 1]
    share = training.shrinking.at(0).share
    assert len(first) == pytest.approx(share * 9 * STEPS, abs=1)
    largest = dict(space().largest().choices)
    for backbone in backbones[: len(first)]:
        assert {**dict(backbone.choices), "resolution": 0} == {**largest, "resolution": 0}
    later = torch.cat([each for each in targets if each.ndim == 2])
    assert torch.allclose(later.sum(dim=1), torch.ones(len(later)))
    assert (later.amax(dim=1) >= 0.5).all()
    teacher = training.full_teacher
    assert teacher is not None
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_an_interrupted_training_gives_the_same_weights(tmp_path):
    whole = trainer(tmp_path / "whole.pt", settings=SHRINKING)
    whole.run(Silent())
    for stop in (3, 11, 15):
        path = tmp_path / f"{stop}.pt"
        cut = trainer(path, settings=SHRINKING, save_every=0.0)
        cut.schedule = replace(cut.schedule)
        original = cut.make_step

        def until(images, labels, original=original, cut=cut, stop=stop):
            if cut.step == stop:
                raise KeyboardInterrupt
            return original(images, labels)

        cut.make_step = until
        with pytest.raises(KeyboardInterrupt):
            cut.run(Silent())
        again = trainer(path, settings=SHRINKING)
        again.run(Silent())
        pairs = zip(again.network.state_dict().values(), whole.network.state_dict().values(), strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)


def sortable(source):
    """Return a supernet with random statistics, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        supernet = source.supernet(parts().task).eval()
        for module in supernet.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return supernet


def backbone_of(source, expansion):
    largest = SearchSpace(source.variables(), (None,), source.exit_points).largest()
    own = {name: expansion if name.endswith("expand") else each for name, each in largest.choices}
    return type(largest).of(own)


SOURCES = {
    "mobile": OFAMobileNetV3Provider(**{**OPTIONS, "expansions": [2, 3, 4], "widths": [0.35]}),
    "series": Elastic1dProvider(expansions=(2, 3, 4), resolutions=(32,)),
}


@pytest.mark.parametrize("name", list(SOURCES))
@pytest.mark.parametrize(("trained", "same"), [(1, (4,)), (2, (4, 3))])
def test_sorting_changes_no_network_that_is_trained(name, trained, same):
    source = SOURCES[name]
    supernet = sortable(source)
    images = torch.randn(3, 1, 12, 12) if name == "mobile" else torch.randn(3, 1, 1, 32)
    before = {each: supernet.view(backbone_of(source, each))(images) for each in (4, 3, 2)}
    supernet.sort_channels(trained)
    for expansion, logits in before.items():
        after = supernet.view(backbone_of(source, expansion))(images)
        assert torch.allclose(logits, after, atol=1e-4) == (expansion in same)


def test_sorted_channels_have_falling_importance():
    supernet = sortable(SOURCES["mobile"])
    supernet.sort_channels()
    for block in supernet.blocks[1:]:
        importance = block.point_linear.conv.conv.weight.abs().sum(dim=(0, 2, 3))
        assert (importance.diff() <= 1e-6).all()
