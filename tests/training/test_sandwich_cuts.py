"""An interrupted training continues to the same weights; a damaged checkpoint is one error."""

import resource
from dataclasses import replace

import pytest
import torch
from small_runs import OPTIONS, THRESHOLDS, RecordedBars, equal_states
from supernet_trainings import LOSSES, SETTINGS, STEPS, CutError, CutShort, Steps, fresh, trainer

from edanas.core.contracts import TrainingScheme
from edanas.core.errors import RunError
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.training.phased_schemes import Distill, Layerwise
from edanas.training.schedule import TimeSlice
from edanas.training.schemes import JointCombined, Mixed


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    training = trainer(tmp_path_factory.mktemp("whole") / "supernet.pt")
    training.run(Silent())
    return training.network


@pytest.mark.parametrize("losses", [1, 4, LOSSES + 4, 2 * LOSSES, 2 * LOSSES + 1])
def test_an_interrupted_training_continues_to_the_same_weights(losses, uninterrupted, tmp_path):
    path = tmp_path / "supernet.pt"
    with pytest.raises(CutError):
        trainer(path, scheme=CutShort(losses), save_every=0.0).run(Silent())
    assert path.exists() == (losses >= 3)
    torch.rand(3)
    resumed = trainer(path)
    assert resumed.run(Silent())
    assert equal_states(resumed.network, uninterrupted)
    assert [p.name for p in tmp_path.iterdir()] == ["supernet.pt"]


def test_mirrored_images_alternate_across_a_cut(uninterrupted, tmp_path):
    settings = replace(SETTINGS, augment=(*SETTINGS.augment, "alternating-flip"))
    whole = trainer(tmp_path / "whole.pt", settings=settings)
    whole.run(Silent())
    assert not equal_states(whole.network, uninterrupted)
    trainer(tmp_path / "cut.pt", settings=settings).run(Silent(), Steps(STEPS + 1))
    cut = trainer(tmp_path / "cut.pt", settings=settings)
    assert cut.run(Silent())
    assert equal_states(cut.network, whole.network)


def test_time_slices_of_one_step_lead_to_the_same_weights(uninterrupted, tmp_path):
    path, done = tmp_path / "supernet.pt", []
    while not done or done[-1] < 3 * STEPS:
        training = trainer(path)
        assert training.run(Silent(), Steps(1)) == (training.step == 3 * STEPS)
        done.append(training.step)
    assert done == list(range(1, 3 * STEPS + 1))
    assert equal_states(training.network, uninterrupted)


def test_a_time_slice_of_0_seconds_does_no_step(tmp_path):
    training = trainer(tmp_path / "supernet.pt")
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    assert not training.run(Silent(), TimeSlice(0.0))
    assert all(torch.equal(value, before[name]) for name, value in training.network.state_dict().items())


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


def test_the_bar_starts_where_the_training_goes_on(tmp_path):
    path = tmp_path / "supernet.pt"
    with pytest.raises(CutError):
        trainer(path, scheme=CutShort(2 * LOSSES + 2), save_every=0.0).run(Silent())
    progress = RecordedBars()
    trainer(path).run(progress)
    assert progress.totals == [3 * STEPS]
    assert progress.moves == [2 * STEPS, 1, 1]
    assert progress.notes[-1].startswith("epoch 3/3, loss ")


def whole_checkpoint(path):
    trainer(path, settings=replace(SETTINGS, epochs=1)).run(Silent())
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not a checkpoint",
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
    assert str(caught.value).endswith("delete the file to train again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 1}, {"epoch": None}, {"epoch": 1, "network": 3}])
def test_another_kind_of_content_is_one_clear_error(content, tmp_path):
    path = tmp_path / "supernet.pt"
    torch.save(content, path)
    with pytest.raises(RunError, match=r"supernet\.pt: the supernet's checkpoint is damaged or of another"):
        trainer(path).run(Silent())


def test_a_state_that_lacks_something_is_one_clear_error(tmp_path):
    path = tmp_path / "supernet.pt"
    with pytest.raises(CutError):
        trainer(path, scheme=CutShort(4), save_every=0.0).run(Silent())
    state = torch.load(path, weights_only=True)
    assert {"step", "each", "schedule", "average"} < set(state)
    for missing in state:
        torch.save({name: value for name, value in state.items() if name != missing}, path)
        with pytest.raises(RunError, match=rf"supernet\.pt: .* is damaged .*KeyError: '{missing}'"):
            trainer(path).resume()


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
    training = trainer(path, settings=replace(SETTINGS, epochs=1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"supernet\.pt: cannot be written: File too large"):
            training.run(Silent())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


SCHEMES = {
    "layerwise": Layerwise(),
    "distill": Distill(),
    "mixed, learned": Mixed(weights="learned"),
    "soft-conditional": JointCombined("soft-conditional"),
}


class CutAt(TrainingScheme):
    """A scheme that is interrupted after a number of losses."""

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
    """Six steps, interrupted within an epoch, before and at the boundary of two phases."""
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


def test_a_training_is_planned_by_the_speed_of_its_latest_time_slice(tmp_path, monkeypatch):
    path, settings = tmp_path / "supernet.pt", replace(SETTINGS, epochs=500)
    clock = {"now": 0.0, "step": 100.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["now"])

    def timed(training):
        original = training.make_step

        def make_step(images, labels):
            clock["now"] += clock["step"]
            return original(images, labels)

        monkeypatch.setattr(training, "make_step", make_step)
        return training

    assert not timed(trainer(path, settings=settings)).run(Silent(), TimeSlice(400.0))
    clock["step"] = 1.0
    assert not timed(trainer(path, settings=settings)).run(Silent(), TimeSlice(6.0))
    then = trainer(path, settings=settings)
    then.fit(500.0)
    # 3 or 4 steps of 100 seconds, and a few of 1 second; the remaining time is planned with 1 second each.
    assert then.schedule.steps - then.step == pytest.approx(500 - then.seconds)
