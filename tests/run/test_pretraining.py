"""A supernet trained by itself: in segments, killed, and as what runs begin with."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pretrainer
import pytest
import torch
from pretrainer import registry, tiny_order
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from waiting import PATIENCE

from edanas.core.errors import ConfigError, RunError, WeightsError
from edanas.core.progress import Silent
from edanas.core.settings import Component, FinetuneSettings, TrainingSettings
from edanas.evaluation.shared import SharedEvaluation
from edanas.run.compose import compose
from edanas.run.pretraining import Order, Trained, portable, train_supernet
from edanas.training.supernet_file import find, image_digests, read_recipe


def train(out: Path, **changes: object) -> Trained:
    return train_supernet(registry(), replace(tiny_order(out), **changes), Silent())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "digits.safetensors"
    done = train(out, half=False)
    assert done.finished
    assert done.images_per_second > 0
    assert 0 < done.input_share < 1
    return out


def same_tensors(one: Path, other: Path) -> bool:
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_killed_in_an_epoch_it_goes_on_to_the_same_file(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed.safetensors"
    state = out.with_name(f"{out.name}.work") / "supernet.pt"
    child = subprocess.Popen([sys.executable, pretrainer.__file__, str(out)])
    end = time.monotonic() + PATIENCE
    while not state.exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    step = int(torch.load(state, weights_only=True)["step"])
    done = train(out, half=False)
    assert 0 < step < done.steps[1]
    assert same_tensors(out, trained)


def test_segments_end_in_good_order_and_lead_to_the_same_file(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts.safetensors"
    first = train(out, time_limit=0.0, half=False)
    assert not first.finished
    assert first.steps[0] == 0
    assert not out.exists()
    assert train(out, half=False).finished
    assert same_tensors(out, trained)
    # What was in the making is gone, and a further call reads what is there.
    assert not [path for path in out.with_name(f"{out.name}.work").iterdir() if "lock" not in path.name]
    assert train(out).finished


def test_a_total_time_decides_how_long(tmp_path: Path) -> None:
    order = tiny_order(tmp_path / "timed.safetensors")
    endless = replace(order.settings.training, epochs=100_000)
    order = replace(order, settings=replace(order.settings, training=endless), total_time=1.0)
    done = train_supernet(registry(), order, Silent())
    assert done.finished
    assert 0 < done.steps[1] < endless.epochs
    assert read_recipe(done.out)["total_time"] == 1.0


def test_other_settings_do_not_go_on_with_it(tmp_path: Path) -> None:
    out = tmp_path / "one.safetensors"
    train(out, time_limit=0.0)
    other = replace(tiny_order(out).settings, seed=8)
    with pytest.raises(RunError, match=r"the training of another supernet. Changed: seed: was 7, now 8"):
        train(out, settings=other)


def test_a_finished_file_of_other_settings_is_not_overwritten(trained: Path) -> None:
    before = trained.read_bytes()
    with pytest.raises(RunError, match=r"holds another supernet. Changed: seed: was 7, now 8"):
        train(trained, settings=replace(tiny_order(trained).settings, seed=8))
    assert trained.read_bytes() == before


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of timm, trained as a supernet of its own: how one comes by a teacher."""
    out = tmp_path_factory.mktemp("teacher") / "timm.safetensors"
    supernet = Component("timm", {"model": "test_resnet", "resolutions": [16]})
    settings = tiny_order(out).settings
    short = replace(settings.training, epochs=1)
    assert train(out, settings=replace(settings, supernet=supernet, training=short)).finished
    return out


def taught(out: Path, teacher: Path) -> Order:
    settings = tiny_order(out).settings
    learning = replace(settings.training, distillation=0.5)
    return replace(tiny_order(out), settings=replace(settings, teacher=str(teacher), training=learning))


def test_a_teacher_changes_the_weights_and_is_recorded(teacher: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "taught.safetensors"
    done = train_supernet(registry(), replace(taught(out, teacher), half=False), Silent())
    assert done.finished
    assert not same_tensors(out, trained)
    recipe = read_recipe(out)
    assert recipe["teacher_sha256"] == hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert recipe["settings"]["teacher"] == teacher.name
    assert read_recipe(trained)["teacher_sha256"] is None


def test_nobody_goes_on_with_another_teacher(teacher: Path, trained: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "taught.safetensors", tmp_path / "teacher.safetensors"
    other.write_bytes(teacher.read_bytes())
    order = replace(taught(out, other), time_limit=0.0)
    assert not train_supernet(registry(), order, Silent()).finished
    other.write_bytes(trained.read_bytes())
    with pytest.raises(RunError, match=r"teacher '.*teacher\.safetensors' has changed since the training"):
        train_supernet(registry(), order, Silent())
    with pytest.raises(RunError, match=r"Changed: teacher: was '.*, now ''\. Use"):
        train(out, settings=replace(order.settings, teacher=""))


def test_a_teacher_who_comes_late_is_noted(teacher: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "taught.safetensors", tmp_path / "teacher.safetensors"
    order = replace(taught(out, other), time_limit=0.0)
    with pytest.raises(WeightsError, match=r"teacher: '.*teacher\.safetensors': no such file"):
        train_supernet(registry(), order, Silent())
    other.write_bytes(teacher.read_bytes())
    assert train_supernet(registry(), replace(order, time_limit=math.inf), Silent()).finished
    assert read_recipe(out)["teacher_sha256"] == hashlib.sha256(teacher.read_bytes()).hexdigest()


def test_the_weights_that_it_began_with_are_noted_and_not_replaced(trained: Path, tmp_path: Path) -> None:
    out, first = tmp_path / "second.safetensors", tmp_path / "first.safetensors"
    first.write_bytes(trained.read_bytes())
    order = replace(
        tiny_order(out), settings=replace(tiny_order(out).settings, weights=str(first)), time_limit=0.0
    )
    assert not train_supernet(registry(), order, Silent()).finished
    with safe_open(trained, "pt") as file:
        save_file({name: 2 * tensor for name, tensor in load_file(trained).items()}, first, file.metadata())
    with pytest.raises(RunError, match=r"weights '.*first\.safetensors' has changed since the training"):
        train_supernet(registry(), order, Silent())
    first.write_bytes(trained.read_bytes())
    assert train_supernet(registry(), replace(order, time_limit=math.inf), Silent()).finished
    assert read_recipe(out)["begun_with_sha256"] == hashlib.sha256(trained.read_bytes()).hexdigest()
    assert read_recipe(trained)["begun_with_sha256"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"^training\.distillation: found 0 with teacher 'x'; allowed: a number > 0"),
        ({"training": TrainingSettings(epochs=0)}, r"^finetune\.distillation: found 0 with teacher 'x'"),
        ({"evaluation": Component("finetune")}, r"teacher: found 'x', but evaluation 'finetune' trains no"),
    ],
)
def test_a_teacher_without_a_word_or_a_pupil_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    settings = replace(tiny_order(tmp_path / "out").settings, teacher="x", **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        compose(registry(), settings, tmp_path, Silent())


def test_a_teacher_of_the_results_alone_is_allowed(tmp_path: Path) -> None:
    settings = replace(
        tiny_order(tmp_path / "out").settings,
        teacher="x",
        training=TrainingSettings(epochs=0),
        finetune=FinetuneSettings(distillation=0.5),
    )
    assert compose(registry(), settings, tmp_path, Silent()).workbench.settings.teacher == "x"


def test_only_the_shared_evaluation_has_a_supernet_to_train(tmp_path: Path) -> None:
    settings = replace(tiny_order(tmp_path / "x.safetensors").settings, evaluation=Component("finetune"))
    with pytest.raises(
        ConfigError, match="evaluation: found 'finetune', which trains no supernet; allowed: 'shared'"
    ):
        train(tmp_path / "x.safetensors", settings=settings)


def evaluation(order: Order, folder: Path, **changes: object) -> SharedEvaluation:
    """As a run makes it that begins with the weights and trains nothing."""
    idle = replace(order.settings.training, epochs=0)
    settings = replace(order.settings, **{"training": idle, "weights": str(order.out), **changes})
    folder.mkdir(exist_ok=True)
    return SharedEvaluation(compose(registry(), settings, folder, Silent()).workbench)


def test_a_run_begins_with_supernet_and_heads_as_they_were_trained(trained: Path, tmp_path: Path) -> None:
    evaluator = evaluation(tiny_order(trained), tmp_path / "run")
    evaluator.prepare(Silent())
    stored = load_file(trained)
    own = evaluator._network.state_dict()  # type: ignore[union-attr]
    assert {name for name in stored if name != "trained_on"} == set(own)
    assert all(torch.equal(own[name], stored[name]) for name in own)


def test_a_name_is_looked_up_among_the_user_s_weights(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "tiny.safetensors").write_bytes(trained.read_bytes())
    assert find("tiny") == tmp_path / "weights" / "tiny.safetensors"
    evaluation(tiny_order(trained), tmp_path / "run", weights="tiny").prepare(Silent())
    with pytest.raises(WeightsError, match=r"weights 'tinny'.*weights"):
        evaluation(tiny_order(trained), tmp_path / "other", weights="tinny").prepare(Silent())


def test_half_precision_is_near_and_half_as_large(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "half.safetensors"
    train(out)
    full, half = load_file(trained), load_file(out)
    weights = [name for name in full if full[name].ndim > 1]
    assert all(half[name].dtype == torch.float16 for name in weights)
    assert all(torch.allclose(half[name].float(), full[name], rtol=1e-3, atol=1e-6) for name in weights)
    assert all(torch.equal(half[name], full[name]) for name in full if name not in weights)
    recipe = json.loads(out.with_suffix(".json").read_text())
    assert recipe["train_images"] == len(full["trained_on"])
    assert {k: recipe[k] for k in read_recipe(out)} == read_recipe(out)


def test_a_recipe_names_files_and_not_where_they_lie() -> None:
    settings = tiny_order(Path("x")).settings
    away = replace(settings, data=Component("~/photos/birds/"), weights="/srv/first.safetensors")
    carried = portable(replace(away, teacher="timm:resnet18@/srv/big.pth"))
    assert (carried.data.name, carried.weights, carried.warm_start) == ("birds", "first.safetensors", "")
    assert carried.teacher == "timm:resnet18@big.pth"
    folder = portable(replace(away, data=Component("folder", {"path": "/srv/birds", "channels": "rgb"})))
    assert folder.data.options == {"path": "birds", "channels": "rgb"}
    assert portable(replace(away, plan="/srv/plan.json")).plan == "plan.json"
    assert portable(carried) == carried
    assert portable(settings) == settings


def test_a_supernet_trained_on_test_images_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"was trained on \d+% of this run's test samples.*seed 7"):
        evaluation(tiny_order(trained), tmp_path / "run", seed=3).prepare(Silent())


def test_a_supernet_of_another_kind_is_refused_by_name(trained: Path, tmp_path: Path) -> None:
    supernet = tiny_order(trained).settings.supernet
    wider = replace(supernet, options={**supernet.options, "kernels": [3, 5, 7]})
    with pytest.raises(WeightsError, match=r"supernet.kernels: was \[3, 5\], now \[3, 5, 7\]"):
        evaluation(tiny_order(trained), tmp_path / "run", supernet=wider).prepare(Silent())


def test_a_damaged_file_is_one_clear_error(trained: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    half.write_bytes(trained.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"half\.safetensors"):
        evaluation(tiny_order(trained), tmp_path / "run", weights=str(half)).prepare(Silent())


def test_equal_images_have_one_digest() -> None:
    data = compose(registry(), tiny_order(Path("x")).settings, Path("x"), Silent()).workbench.parts.train
    twice = replace(data, images=torch.cat([data.images, data.images]), labels=data.labels.repeat(2))
    assert (image_digests(twice) == image_digests(data)).all()
    assert len(image_digests(data)) <= len(data)
