import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import CPU, OPTIONS, PLAIN, THRESHOLDS, Recorded, equal_states, parts, provider, space

from edanas.core.contracts import TrainingScheme
from edanas.core.errors import RunError
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.supernets.baselines import EECNN
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.training.phased import Distill, Layerwise
from edanas.training.sandwich import SandwichTrainer, SupernetWithExits
from edanas.training.schedule import Segment
from edanas.training.schemes import Joint, JointCombined, Mixed
from edanas.training.steps import Batches

SETTINGS = replace(PLAIN, epochs=3, batch_size=32, augment=("shift", "erase"), label_smoothing=0.1, ema=0.9)


def fresh(made=None, dropout=0.3):
    made = made or provider()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        task = parts().task
        return SupernetWithExits(made.supernet(task), made, PoolLinear(dropout=dropout), task)


def trainer(path, network=None, settings=SETTINGS, scheme=None, over=None, seed=5, save_every=60.0):
    return SandwichTrainer(
        network or fresh(),
        over or space(),
        parts(),
        settings,
        scheme or Joint(),
        ScoreMargin(),
        seed,
        path,
        save_every,
    )


class CutError(Exception):
    """What stops a training in the middle of a step."""


class CutShort(Joint):
    """Raises after so many losses."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def loss(self, batch):
        self.left -= 1
        if self.left < 0:
            raise CutError
        return super().loss(batch)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    made = trainer(tmp_path_factory.mktemp("whole") / "supernet.pt")
    made.run(Silent())
    return made.network


STEPS = 2  # 64 samples in batches of 32
LOSSES = 3 * STEPS  # an epoch's: largest, smallest, random in each step


@pytest.mark.parametrize("losses", [1, 4, LOSSES + 4, 2 * LOSSES, 2 * LOSSES + 1])
def test_a_cut_training_goes_on_to_the_same_weights(losses, uninterrupted, tmp_path):
    path = tmp_path / "supernet.pt"
    with pytest.raises(CutError):
        trainer(path, scheme=CutShort(losses), save_every=0.0).run(Silent())
    assert path.exists() == (losses >= 3)
    torch.rand(3)
    resumed = trainer(path)
    assert resumed.run(Silent())
    assert equal_states(resumed.network, uninterrupted)
    assert [p.name for p in tmp_path.iterdir()] == ["supernet.pt"]


def test_segments_of_no_time_but_for_a_step_go_on_to_the_same_weights(uninterrupted, tmp_path):
    class OneStep(Segment):
        left = 1

        def is_over(self):
            self.left -= 1
            return self.left < 0

    path, done = tmp_path / "supernet.pt", []
    while not done or done[-1] < 3 * STEPS:
        made = trainer(path)
        assert made.run(Silent(), OneStep()) == (made.step == 3 * STEPS)
        done.append(made.step)
    assert done == list(range(1, 3 * STEPS + 1))
    assert equal_states(made.network, uninterrupted)


def test_a_segment_without_time_does_nothing_and_says_so(tmp_path):
    made = trainer(tmp_path / "supernet.pt")
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    assert not made.run(Silent(), Segment(0.0))
    assert all(torch.equal(value, before[name]) for name, value in made.network.state_dict().items())


def test_the_average_lies_among_the_weights_that_were(tmp_path):
    """Of a training's weights, the average differs from the last, and lies between their extremes."""
    seen = []

    class Watched(Joint):
        def loss(self, batch):
            seen.append(made.network.head(0, 8)[-1].bias.detach().clone())
            return super().loss(batch)

    made = trainer(tmp_path / "supernet.pt", scheme=Watched())
    made.run(Silent())
    weights = torch.stack(seen)
    averaged = made.network.head(0, 8)[-1].bias
    assert not torch.equal(averaged, weights[-1])
    assert bool((averaged <= weights.max(0).values + 0.02).all())
    assert bool((averaged >= weights.min(0).values - 0.02).all())


def test_a_finished_training_is_read_back_without_a_step(uninterrupted, tmp_path):
    path = tmp_path / "supernet.pt"
    trainer(path).run(Silent())
    again = trainer(path, scheme=CutShort(0))
    again.run(Silent())
    assert equal_states(again.network, uninterrupted)
    assert not any(module.training for module in again.network.modules())


def test_another_seed_gives_other_weights(uninterrupted, tmp_path):
    other = trainer(tmp_path / "supernet.pt", seed=6)
    other.run(Silent())
    assert not equal_states(other.network, uninterrupted)


def test_torch_s_generator_is_left_as_it_was(tmp_path):
    state = torch.get_rng_state()
    trainer(tmp_path / "supernet.pt", settings=replace(SETTINGS, epochs=1)).run(Silent())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_training_lowers_the_loss_of_every_exit_of_every_backbone(tmp_path):
    settings = replace(PLAIN, epochs=16, learning_rate=0.02)
    before, after = fresh(dropout=0.0), fresh(dropout=0.0)
    trainer(tmp_path / "supernet.pt", after, settings).run(Silent())
    rng = np.random.default_rng(0)
    drawn = [space().sample_backbone(rng) for _ in range(8)]
    for backbones in ([space().smallest()], [space().largest()], drawn):
        old, new = (sum(exit_losses(network, each) for each in backbones) for network in (before, after))
        assert old.shape == (5,)
        assert ((old - new) / len(backbones) > 0.1).all(), backbones


@torch.no_grad()
def exit_losses(network, backbone):
    """Cross-entropy (5,) of a backbone's exits on all train images, with the batch's own statistics."""
    network.train()
    side = int(backbone["resolution"])
    batches = Batches(parts(), replace(PLAIN, batch_size=64), side, CPU)
    images, labels = next(batches.epoch(torch.Generator()))
    logits = network.logits(backbone, images)
    return torch.stack([torch.nn.functional.cross_entropy(each, labels) for each in logits])


def gradients(backbone):
    """Names of the parameters that one step on `backbone` alone would train."""
    network = fresh().train()
    side = int(backbone["resolution"])
    images = torch.randn(4, 1, side, side, generator=torch.Generator().manual_seed(0))
    sum(each.square().sum() for each in network.logits(backbone, images)).backward()
    return {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}


def test_each_of_the_three_gets_its_gradient(tmp_path, monkeypatch):
    """In one step: the largest learns from labels, the smallest and a random one from the largest."""
    seen, network = [], fresh()
    made = trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, epochs=1))
    original = network.logits

    def logits(backbone, images, phase):
        seen.append((backbone, tuple(images.shape)))
        return original(backbone, images, phase)

    targets = []
    monkeypatch.setattr(network, "logits", logits)
    monkeypatch.setattr(
        made.scheme,
        "loss",
        lambda batch: targets.append((batch.targets, batch.label_smoothing)) or Joint().loss(batch),
    )
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    made.run(Silent())
    assert len(seen) == 3 * STEPS
    for step in range(STEPS):
        (large, shape), (small, _), (drawn, _) = seen[3 * step : 3 * step + 3]
        assert (large, small) == (space().largest(), space().smallest())
        assert drawn.id not in (large.id, small.id)
        assert shape == (32, 1, 12, 12)
        for backbone, size in seen[3 * step : 3 * step + 3]:
            assert size[2:] == (backbone["resolution"],) * 2
        (labels, smoothing), *students = targets[3 * step : 3 * step + 3]
        assert (labels.dtype, smoothing) == (torch.int64, 0.1)
        for teacher, none in students:
            assert none == 0.0
            assert torch.allclose(teacher.sum(1), torch.ones(32))
            assert not teacher.requires_grad
    expected = set.union(*(gradients(backbone) for backbone, _ in seen))
    changed = {name for name, p in network.named_parameters() if not torch.equal(p.detach(), before[name])}
    assert changed == expected
    # Heads of both widths, and the kernel transforms that only smaller kernels use, are among them.
    assert {name.split(".")[1] for name in changed if name.startswith("heads.")} == set(network.heads)
    assert any(name.endswith("_matrix") for name in changed)


def test_the_teacher_is_the_largest_backbone_s_last_exit(tmp_path, monkeypatch):
    network, told = fresh(dropout=0.0), []
    made = trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, epochs=1, batch_size=64))
    original, last = network.logits, []

    def logits(backbone, images, phase):
        out = original(backbone, images, phase)
        last.append(out[-1].detach())
        return out

    monkeypatch.setattr(network, "logits", logits)
    monkeypatch.setattr(made.scheme, "loss", lambda batch: told.append(batch.targets) or Joint().loss(batch))
    made.run(Silent())
    assert torch.equal(told[1], last[0].softmax(1))
    assert torch.equal(told[2], told[1])


def test_the_bar_starts_where_the_training_goes_on(tmp_path):
    path = tmp_path / "supernet.pt"
    with pytest.raises(CutError):
        trainer(path, scheme=CutShort(2 * LOSSES + 2), save_every=0.0).run(Silent())
    shown = Recorded()
    trainer(path).run(shown)
    assert shown.totals == [3 * STEPS]
    assert shown.moves == [2 * STEPS, 1, 1]
    assert shown.notes[-1].startswith("epoch 3/3, loss ")


def whole_checkpoint(path):
    trainer(path, settings=replace(SETTINGS, epochs=1)).run(Silent())
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"this is no checkpoint",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-40],
    ],
    ids=["empty", "other", "half", "tail"],
)
def test_a_damaged_checkpoint_is_one_clear_error(damage, tmp_path):
    path = tmp_path / "supernet.pt"
    path.write_bytes(damage(whole_checkpoint(path)))
    with pytest.raises(RunError) as caught:
        trainer(path).run(Silent())
    assert str(caught.value).startswith(f"{path}: the supernet's checkpoint is damaged or of another network")
    assert str(caught.value).endswith("delete the file to train anew")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 1}, {"epoch": None}, {"epoch": 1, "network": 3}])
def test_another_kind_of_content_is_one_clear_error(content, tmp_path):
    path = tmp_path / "supernet.pt"
    torch.save(content, path)
    with pytest.raises(RunError, match=r"supernet\.pt: the supernet's checkpoint is damaged or of another"):
        trainer(path).run(Silent())


def test_a_checkpoint_of_another_network_is_one_clear_error(tmp_path):
    path = tmp_path / "supernet.pt"
    whole_checkpoint(path)
    wider = OFAMobileNetV3Provider(**{**OPTIONS, "widths": [0.1, 0.5]})
    over = SearchSpace(wider.variables(), THRESHOLDS, wider.exit_points)
    with pytest.raises(RunError, match=r"supernet\.pt: the supernet's checkpoint .* of another network") as e:
        trainer(path, fresh(wider), over=over).run(Silent())
    assert len(str(e.value)) < 600


def test_a_disk_without_space_is_one_clear_error(tmp_path):
    path = tmp_path / "supernet.pt"
    made = trainer(path, settings=replace(SETTINGS, epochs=1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"supernet\.pt: cannot be written: File too large"):
            made.run(Silent())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_there_is_a_head_for_every_number_of_channels():
    network = fresh()
    expected = {f"{i}-{c}" for i, options in enumerate(provider().exit_channels()) for c in options}
    assert set(network.heads) == expected
    assert len({id(head) for head in network.heads.values()}) == len(expected)
    for index, options in enumerate(provider().exit_channels()):
        for channels in options:
            assert network.head(index, channels)(torch.zeros(2, channels, 3, 2)).shape == (2, 10)


def test_a_network_alone_is_trained_once_in_a_step(tmp_path):
    """Its smallest, random and largest member are one: a second pass would teach it what it just said."""
    alone = EECNN(resolutions=(8,), width=0.1)
    over = SearchSpace(alone.variables(), THRESHOLDS, alone.exit_points)
    settings = replace(SETTINGS, epochs=1)
    made = trainer(tmp_path / "supernet.pt", fresh(alone), settings, CutShort(STEPS), over)
    made.run(Silent())
    assert made.network.training is False


SCHEMES = {
    "layerwise": Layerwise(),
    "distill": Distill(),
    "mixed, learned": Mixed(weights="learned"),
    "soft-conditional": JointCombined("soft-conditional"),
}


class CutAt(TrainingScheme):
    """Another scheme, cut short after so many losses."""

    def __init__(self, scheme, after):
        self.scheme, self.left = scheme, after

    def phases(self, points):
        return self.scheme.phases(points)

    def learned(self, points):
        return self.scheme.learned(points)

    def loss(self, batch):
        self.left -= 1
        if self.left < 0:
            raise CutError
        return self.scheme.loss(batch)


@pytest.mark.parametrize("name", SCHEMES)
def test_phases_go_on_after_a_cut_to_the_same_weights(name, tmp_path):
    """Six steps; cut in the middle of an epoch, before and at the boundary of two phases."""
    scheme, settings = SCHEMES[name], replace(SETTINGS, ema=0.9)
    whole = trainer(tmp_path / "whole.pt", settings=settings, scheme=scheme)
    whole.run(Silent())
    path = tmp_path / "supernet.pt"
    for losses in (3 * 2 + 1, 3 * 1, 3 * 2):
        with pytest.raises(CutError):
            trainer(path, settings=settings, scheme=CutAt(scheme, losses), save_every=0.0).run(Silent())
    resumed = trainer(path, settings=settings, scheme=scheme)
    assert resumed.run(Silent())
    assert equal_states(resumed.network, whole.network)
    assert equal_states(resumed.learned, whole.learned)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_a_phase_does_not_train_stays_in_the_supernet(ema, tmp_path):
    """Parameters; BatchNorm's statistics are recomputed for each backbone anyway."""
    network, seen = fresh(), {}

    class Watched(Distill):
        def loss(self, batch):
            now = {name: p.detach().clone() for name, p in network.named_parameters()}
            seen.setdefault(batch.phase.name, now)
            return super().loss(batch)

    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, ema=ema), Watched()).run(Silent())
    start, after = seen["exits"], dict(network.named_parameters())
    for name, value in before.items():
        early = name.startswith("heads.")
        assert torch.equal(value, start[name]) or not early, name
        assert torch.equal(start[name], after[name]) or early, name
    assert any(not torch.equal(start[name], after[name]) for name in after if name.startswith("heads."))
    assert any(not torch.equal(before[name], start[name]) for name in before)


def test_the_teacher_is_the_last_exit_that_the_phase_runs(tmp_path):
    told = []

    class Watched(Layerwise):
        def loss(self, batch):
            told.append((batch.phase.exits, batch.logits[-1].detach(), batch.targets))
            return super().loss(batch)

    trainer(tmp_path / "supernet.pt", settings=replace(SETTINGS, epochs=3), scheme=Watched()).run(Silent())
    assert [exits for exits, *_ in told[::3]][-1] == (4,)
    for step in range(0, len(told), 3):
        exits, taught, labels = told[step]
        assert (len(exits), labels.dtype) == (1, torch.int64)
        assert all(torch.equal(targets, taught.softmax(1)) for _, _, targets in told[step + 1 : step + 3])


def test_with_shrinking_the_first_step_trains_no_smaller_kernel_and_later_ones_do(tmp_path, monkeypatch):
    network, seen = fresh(), []
    settings = replace(SETTINGS, epochs=5, shrinking=True, ema=0.0)
    made = trainer(tmp_path / "supernet.pt", network, settings)
    original = network.logits
    monkeypatch.setattr(network, "logits", lambda b, i, p: seen.append(b) or original(b, i, p))
    made.run(Silent())
    largest = dict(space().largest().choices)
    first = [dict(each.choices) for each in seen[:3]]
    assert all({**each, "resolution": 0} == {**largest, "resolution": 0} for each in first)
    assert space().smallest() in seen


def test_more_random_backbones_in_a_step_are_other_ones_and_all_learn_from_the_largest(tmp_path, monkeypatch):
    network, seen = fresh(), []
    made = trainer(tmp_path / "supernet.pt", network, replace(SETTINGS, random_backbones=3))
    original = network.logits
    monkeypatch.setattr(network, "logits", lambda b, i, p: seen.append(b) or original(b, i, p))
    made.run(Silent())
    steps = [seen[first : first + 5] for first in range(0, len(seen), 5)]
    assert len(steps) == 3 * STEPS
    assert all(step[:2] == [space().largest(), space().smallest()] for step in steps)
    assert len({backbone.id for step in steps for backbone in step[2:]}) > 3 * STEPS


def test_a_training_is_planned_by_the_speed_of_its_latest_segment(tmp_path, monkeypatch):
    path, settings = tmp_path / "supernet.pt", replace(SETTINGS, epochs=500)
    clock = {"now": 0.0, "step": 100.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["now"])

    def timed(made):
        original = made.make_step

        def make_step(images, labels):
            clock["now"] += clock["step"]
            return original(images, labels)

        monkeypatch.setattr(made, "make_step", make_step)
        return made

    assert not timed(trainer(path, settings=settings)).run(Silent(), Segment(400.0))
    clock["step"] = 1.0
    assert not timed(trainer(path, settings=settings)).run(Silent(), Segment(6.0))
    then = trainer(path, settings=settings)
    then.fit(500.0)
    # 3 or 4 steps of 100 seconds, and a few of one: what is left holds as many as it has seconds.
    assert then.schedule.steps - then.step == pytest.approx(500 - then.seconds)
