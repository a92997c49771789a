"""Plain networks of a run: their plan, their training, their rows and files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import parts, workbench

import edanas
from edanas.core.errors import RunError
from edanas.core.progress import Silent
from edanas.core.types import DataParts, ImageSet, Task
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation import plain_networks
from edanas.evaluation.plain_networks import (
    PLAN,
    PlainNetworks,
    PlainPlan,
    plain_side,
    plain_training,
    with_calibration,
)
from edanas.training import label_training
from edanas.training.pace import Pace

PLANNED = {"networks": ["plain-8-16-32", "plain-12-24-48"], "epochs": 2}


def networks_of(folder: Path, data: DataParts | None = None) -> PlainNetworks:
    return PlainNetworks(workbench(folder, data), [SafetensorsExporter()])


def planned(folder: Path, data: DataParts | None = None) -> PlainNetworks:
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models" / PLAN).write_text(json.dumps(PLANNED))
    return networks_of(folder, data)


SECONDS = {"small": 0.1, "middle": 0.2, "large": 0.7}


@pytest.mark.parametrize(
    ("budget", "networks", "epochs"),
    [
        (1000.0, ("small", "middle", "large"), 60),
        (45.0, ("small", "middle", "large"), 40),
        (3.0, ("small", "middle", "large"), 3),
        (2.9, ("small", "middle"), 8),
        (0.29, ("small",), 2),
        (0.1, ("small",), 1),
        (0.09, (), 0),
        (0.0, (), 0),
    ],
)
def test_a_plan_has_as_many_networks_and_epochs_as_the_time_allows(budget, networks, epochs):
    plan = PlainPlan.within(budget, 60, SECONDS)
    assert (plan.networks, plan.epochs) == (networks, epochs)
    assert plan.epochs * sum(SECONDS[name] for name in plan.networks) <= budget


def test_a_plan_keeps_a_limit_of_epochs_that_is_not_on_the_ladder():
    assert PlainPlan.within(1000.0, 37, SECONDS).epochs == 37
    assert PlainPlan.within(1000.0, 1, SECONDS) == PlainPlan(tuple(SECONDS), 1)


def test_networks_are_judged_on_validation_and_test_part_and_can_be_loaded(tmp_path):
    rows, failures = planned(tmp_path).finish(0.0, Silent())
    assert ([row.id for row in rows], failures) == (PLANNED["networks"], [])
    for row in rows:
        network = edanas.load(tmp_path / row.model)
        for part, accuracy in (
            (parts().validation, row.validation_accuracy),
            (parts().test, row.test_accuracy),
        ):
            labels = network.predict(part.images).label
            assert (labels == part.labels).double().mean().item() == pytest.approx(accuracy)
        assert row.executed_macs == row.backbone_macs == sum(row.stage_macs) + row.last_macs
    # 8x8 pixels, one channel: 64 * 9 * 8 + 16 * 9 * 8 * 16 + 4 * 9 * 16 * 32 + 32 * 10
    assert rows[0].backbone_macs == 41_792
    assert not list((tmp_path / "models").glob("*.pt"))


def test_an_interrupted_training_ends_as_one_without_interruption(tmp_path, monkeypatch):
    whole, _ = planned(tmp_path / "whole").finish(0.0, Silent())
    step = label_training.LabelTraining.make_step

    def stop(self, images, labels):
        if self.step == 5:
            self._save()
            raise KeyboardInterrupt
        return step(self, images, labels)

    monkeypatch.setattr(label_training.LabelTraining, "make_step", stop)
    with pytest.raises(KeyboardInterrupt):
        planned(tmp_path / "cut").finish(0.0, Silent())
    monkeypatch.setattr(label_training.LabelTraining, "make_step", step)
    first = networks_of(tmp_path / "cut")
    # Another time and another measurement do not change a plan that is stored.
    monkeypatch.setattr(label_training.LabelTraining, "seconds_per_epoch", lambda self: 1e9)
    reported = []
    resumed, _ = first.finish(1e9, Silent(), reported.append)
    assert resumed == whole == reported
    reported.clear()
    again, _ = networks_of(tmp_path / "cut").finish(0.0, Silent(), reported.append)
    assert (again, reported) == (whole, [])
    for row in whole:
        one, two = (edanas.load(tmp_path / name / row.model).state_dict() for name in ("whole", "cut"))
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_plan_that_is_measured_is_stored_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(label_training.LabelTraining, "seconds_per_epoch", lambda self: 0.5)
    monkeypatch.setattr(PlainNetworks, "_finish", lambda *_: pytest.fail("trained"))
    networks_of(tmp_path).finish(4.0, Silent())  # a tenth of 4 s is less than an epoch
    plan = PlainPlan.read(tmp_path / "models" / PLAN)
    assert plan == PlainPlan((), 0)


def test_a_damaged_plan_is_named(tmp_path):
    networks = planned(tmp_path)
    (tmp_path / "models" / PLAN).write_text("{}")
    with pytest.raises(RunError, match=r"plain-plan.json: cannot be read .* delete the file"):
        networks.finish(0.0, Silent())


def test_a_network_that_fails_is_recorded_and_the_others_are_finished(tmp_path, monkeypatch):
    judge = PlainNetworks._judge

    def fail(self, name, *rest):
        if name == "plain-8-16-32":
            raise ValueError("no judge")
        return judge(self, name, *rest)

    monkeypatch.setattr(PlainNetworks, "_judge", fail)
    rows, failures = planned(tmp_path).finish(0.0, Silent())
    assert [row.id for row in rows] == ["plain-12-24-48"]
    assert failures == [{"id": "plain-8-16-32", "error": "ValueError: no judge"}]


@pytest.mark.parametrize(
    ("shape", "side"),
    [((1, 8, 8), 8), ((3, 5, 9), 5), ((1, 3, 3), 4), ((3, 20, 31), 20), ((3, 224, 200), 200)],
)
def test_networks_read_images_at_their_own_shorter_side(shape, side, tmp_path):
    images = ImageSet(torch.zeros(4, *shape, dtype=torch.uint8), torch.arange(4) % 2, ("a", "b"))
    data = replace(parts(), train=images, calibration=images)
    assert plain_side(data) == side
    assert len(with_calibration(data).train) == 8
    assert plain_training(1, 8, data.task).augment == ("shift", "flip" if shape[0] == 3 else "rotate")


def test_every_number_of_images_has_a_batch_size():
    sizes = [plain_training(60, count, Task(1, 10)).batch_size for count in (2, 60, 1168, 5000, 10**6)]
    assert sizes == [16, 16, 64, 256, 256]


def test_the_networks_train_on_calibration_images_and_never_on_held_out_ones(tmp_path, monkeypatch):
    trained = []
    make = plain_networks.LabelTraining

    def record(network, data, *rest):
        trained.append(data.train)
        return make(network, data, *rest)

    monkeypatch.setattr(plain_networks, "LabelTraining", record)
    planned(tmp_path).finish(0.0, Silent())
    for images in trained:
        assert len(images) == len(parts().train) + len(parts().calibration)
        assert torch.equal(images.labels[len(parts().train) :], parts().calibration.labels)


class Timing:
    """The plan of a run with a time limit, whose remaining time is a number."""

    def __init__(self, left, stored=None):
        self.left, self.stored, self.limits = left, dict(stored or {}), {}

    def remaining(self):
        return self.left

    def decided(self, name, decide):
        return self.stored.setdefault(name, decide()) if name not in self.stored else self.stored[name]

    def network_pace(self, candidate, limit):
        self.limits[candidate] = limit
        return Pace(limit, {0: 3}, fixed=True)


def test_a_time_limit_bounds_the_trainings_and_repeats_their_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(label_training.LabelTraining, "seconds_per_epoch", lambda self: 0.2)
    trained = []

    def judge(self, name, network, progress):
        trained.append(name)
        raise ValueError("not judged")

    monkeypatch.setattr(PlainNetworks, "_judge", judge)
    timing = Timing(2.7)
    networks_of(tmp_path / "first").finish(1e9, Silent(), timing=timing)
    # Of 2.7 s, 3 x 0.5 s are for validation, test and files; 1.2 s make three epochs of two networks.
    plan = timing.stored["plain"]
    first, second = plan["networks"]
    assert plan["epochs"] == 3
    assert timing.limits == {first: pytest.approx(0.6), second: pytest.approx(0.6)}
    late = Timing(0.9, {"plain": {"networks": [first], "epochs": 5, "seconds": [1.0]}})
    networks_of(tmp_path / "late").finish(0.0, Silent(), timing=late)
    assert late.limits == {first: pytest.approx(0.4)}
    assert trained == [first, second, first]
