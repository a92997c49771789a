"""`train_teacher`: the file, its logits, resuming, and a supernet that learns from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pretrainer import TINY, registry

from edanas.core.errors import ConfigError, RunError, WeightsError
from edanas.core.preprocess import prepare
from edanas.core.progress import Silent
from edanas.core.settings import FLIPS
from edanas.evaluation import teacher_targets
from edanas.evaluation.teachers import load_teacher
from edanas.run.compose import compose
from edanas.run.layers import layered_settings
from edanas.run.pretraining import Order, train_supernet
from edanas.run.teacher_training import TeacherOrder, train_teacher
from edanas.training.sandwich import SandwichTraining
from edanas.training.supernet_file import read_recipe


def settings_of(**changes):
    return layered_settings(registry(), [("tiny", TINY), ("test", changes)])


def order_of(out, **changes):
    values = {"epochs": 2, "channels": (4, 8, 8), "half": False, **changes}
    return TeacherOrder(settings_of(), out, **values)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    assert train_teacher(registry(), order_of(out), Silent()).finished
    return out


def test_the_logits_are_those_of_each_training_image(teacher, tmp_path):
    settings = settings_of(**{"teacher": str(teacher), "training.distillation": 0.5})
    bench = compose(registry(), settings, tmp_path, Silent()).workbench
    network, _ = load_teacher(bench)
    (file,) = teacher.parent.glob("teacher.logits-*.npy")
    logits = np.load(file, mmap_mode="r")
    images = prepare(bench.parts.train.images, 8, bench.parts.mean, bench.parts.std)
    with torch.inference_mode():
        expected = network.network(images).numpy()
    assert logits.shape == (len(images), 1, 10)
    assert np.allclose(logits[:, 0], expected, atol=2e-2)
    assert (read_recipe(teacher)["recipe"], read_recipe(teacher)["mirrored"]) == ("train-teacher", False)


def test_a_teacher_in_pieces_equals_one_in_a_single_call(teacher, tmp_path):
    out = tmp_path / "pieces.safetensors"
    state = train_teacher(registry(), order_of(out, time_limit=0.0), Silent())
    assert (state.finished, out.exists()) == (False, False)
    with pytest.raises(RunError, match=r"training of another teacher\. Changed: training\.epochs: was 2"):
        train_teacher(registry(), order_of(out, epochs=3), Silent())
    assert train_teacher(registry(), order_of(out), Silent()).finished
    one, two = (read_recipe(path) for path in (teacher, out))
    assert one["order"] == two["order"]
    (first,), (second,) = (path.parent.glob(f"{path.stem}.logits-*.npy") for path in (teacher, out))
    assert np.array_equal(np.load(first), np.load(second))


def test_a_finished_teacher_is_reported_or_refused(teacher):
    before = teacher.read_bytes()
    state = train_teacher(registry(), order_of(teacher), Silent())
    assert (state.finished, state.steps) == (True, (state.steps[1], state.steps[1]))
    with pytest.raises(RunError, match=r"another teacher\. Changed: supernet"):
        train_teacher(registry(), order_of(teacher, channels=(4, 4, 8)), Silent())
    with pytest.raises(RunError, match=r"another teacher\. Changed: seed: was 7, now 8"):
        train_teacher(registry(), replace(order_of(teacher), settings=settings_of(seed=8)), Silent())
    assert teacher.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs: found 0; allowed: 1 or more"),
        ({"channels": (4, 8)}, "supernet.channels: found .* three numbers"),
        ({"side": 3}, "supernet.resolutions: found 3"),
        ({"total_time": -1.0}, "--total-time: found -1"),
    ],
)
def test_wrong_values_are_named(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train_teacher(registry(), order_of(tmp_path / "a.safetensors", **changes), Silent())


def test_a_supernet_learns_from_the_kept_logits(teacher, tmp_path, monkeypatch):
    targets = []
    step = SandwichTraining.make_step

    def record(self, images, labels):
        targets.append((self.teacher, labels, self.settings.label_smoothing))
        return step(self, images, labels)

    monkeypatch.setattr(SandwichTraining, "make_step", record)
    changes = {"teacher": str(teacher), "training.distillation": 0.5}
    out = tmp_path / "supernet.safetensors"
    monkeypatch.setattr(
        "edanas.evaluation.kept_logits._compute", lambda *_: pytest.fail("computed a second time")
    )
    assert train_supernet(registry(), Order(settings_of(**changes), out), Silent()).finished
    for network, labels, smoothing in targets:
        assert (network, smoothing, labels.shape[1]) == (None, 0.0, 10)
        assert torch.allclose(labels.sum(1), torch.ones(len(labels)))
        # Half of a target is the smoothed label: 0.5 * (0.9 + 0.1 / 10) at least.
        assert (labels.max(1).values >= 0.455 - 1e-4).all()
    assert read_recipe(out)["settings"]["teacher_logits"] == "auto"


@pytest.mark.parametrize("augment", [(), *((each,) for each in FLIPS)])
def test_kept_logits_have_the_mirror_where_a_training_mirrors(augment, teacher, tmp_path, monkeypatch):
    changes = {"teacher": str(teacher), "training.distillation": 0.5, "training.augment": augment}
    views, original = [], teacher_targets.kept_logits

    def kept_logits(network, path, images, *, mirrored, progress):
        views.append(mirrored)
        return original(network, path, images, mirrored=False, progress=progress)

    monkeypatch.setattr(teacher_targets, "kept_logits", kept_logits)
    compose(registry(), settings_of(**changes), tmp_path, Silent()).evaluator.trainer(Silent())
    assert views == [bool(augment)]


def test_the_setting_chooses_between_kept_logits_and_each_step(teacher):
    choices = {name: teacher_targets.keeps_logits(str(teacher), name) for name in ("auto", "kept", "step")}
    assert choices == {"auto": True, "kept": True, "step": False}
    assert not teacher_targets.keeps_logits("timm:resnet18", "auto")


def test_kept_logits_need_a_file(tmp_path, monkeypatch):
    changes = {"teacher": "timm:resnet18", "teacher_logits": "kept", "training.distillation": 0.5}
    bench = compose(registry(), settings_of(**changes), tmp_path, Silent()).workbench
    monkeypatch.setattr(teacher_targets, "load_teacher", lambda _: (None, ""))
    with pytest.raises(ConfigError, match="teacher_logits: found 'kept' with teacher 'timm:resnet18'"):
        teacher_targets.attach_teacher(bench, None, Silent())


def test_a_teacher_of_held_out_images_is_refused(teacher, tmp_path):
    changes = {"teacher": str(teacher), "training.distillation": 0.5, "seed": 8}
    with pytest.raises(WeightsError, match=r"was trained on .* of this run's test samples"):
        train_supernet(registry(), Order(settings_of(**changes), tmp_path / "s.safetensors"), Silent())
