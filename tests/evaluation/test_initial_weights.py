"""Initial weights from a trained supernet: loaded and random layers, and held-out images."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from small_runs import parts, workbench

from edanas.core.config import to_plain
from edanas.core.errors import ConfigError
from edanas.core.progress import Silent
from edanas.core.settings import Component
from edanas.evaluation.initial_weights import trained_parts
from edanas.evaluation.leakage import check_leakage
from edanas.evaluation.shared import SharedEvaluation
from edanas.evaluation.teachers import load_teacher
from edanas.exits.correctness import Correctness
from edanas.exits.gates import LearnedGate
from edanas.training.supernet_file import find, write

EIGHT = tuple("abcdefgh")
"""Names of classes, as many as the narrowest layers have channels."""


class Heard(Silent):
    def __init__(self):
        self.text = ""

    def say(self, text):
        self.text += text


def changed(data, change):
    return replace(
        data, **{name: change(getattr(data, name)) for name in ("train", "calibration", "validation", "test")}
    )


def digits(names=EIGHT):
    """The digits with these class names."""
    return changed(parts(), lambda each: replace(each, labels=each.labels % len(names), classes=tuple(names)))


def enlarged(data):
    """The same images at twice the size."""
    return changed(data, lambda each: replace(each, images=F.interpolate(each.images, scale_factor=2)))


def coloured(data):
    three = changed(data, lambda each: replace(each, images=each.images.expand(-1, 3, -1, -1)))
    return replace(three, mean=data.mean * 3, std=data.std * 3)


def bench_of(folder, data=None, judge=None, **settings):
    bench = workbench(folder, data or digits(), **settings)
    return bench if judge is None else replace(bench, criterion=judge)


GATED = {"criterion": "learned-gate"}


def written(folder, data=None, judge=None, has_shape=True, **settings):
    """The file of a supernet with weights unlike those of any new one."""
    bench = bench_of(folder, data, judge, seed=3, **settings)
    network = SharedEvaluation(bench).trainer(Silent()).network
    for tensor in network.state_dict().values():
        tensor.add_(1)
    train = bench.parts.train
    recipe = {
        "settings": to_plain(bench.settings),
        "classes": list(train.classes),
        "in_channels": train.task.in_channels,
        "num_classes": train.task.num_classes,
        "image_shape": list(train.images.shape[1:]),
    }
    if not has_shape:
        del recipe["image_shape"]
    write(folder / "net.safetensors", trained_parts(network), recipe, train, half=False)
    return folder / "net.safetensors"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return written(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    return written(tmp_path_factory.mktemp("gated"), judge=LearnedGate(), **GATED)


def begun(file, folder, data=None, judge=None, **settings):
    """The initial tensors of a run, and its messages."""
    heard = Heard()
    bench = bench_of(folder, data, judge, weights=str(file), **settings)
    return SharedEvaluation(bench).trainer(heard).network.state_dict(), heard.text


def afresh(own, file):
    tensors = load_file(file)
    return {name for name in own if name not in tensors or not torch.equal(own[name], tensors[name])}


@pytest.mark.parametrize("names", [EIGHT[::-1], ("a", "b", "c", "d", "e", "f", "h", "g"), EIGHT[:5]])
def test_only_layers_for_other_classes_start_with_random_weights(names, plain, tmp_path):
    own, message = begun(plain, tmp_path, digits(names))
    last = {name for name in own if name.startswith(("heads.", "supernet.classifier."))}
    assert afresh(own, plain) == last
    assert any(len(own[name]) == 8 for name in set(own) - last if own[name].ndim)
    assert f"{len(last)} tensors of the last layers keep fresh weights, since the classes differ" in message
    with pytest.raises(ConfigError, match=r"training\.epochs: found 0, and weights .*net\.safetensors leave"):
        begun(plain, tmp_path, digits(names), training__epochs=0)


def test_random_last_layers_without_training_are_refused_with_the_difference(plain, tmp_path):
    swapped = digits(("a", "c", "b", *EIGHT[3:]))
    for data, why in (
        (swapped, r"the last layers random \(class 2 was 'b', and is 'c' in this run\)"),
        (digits(EIGHT[:5]), r"the last layers random \(trained for 8 classes, and this run has 5\)"),
    ):
        with pytest.raises(ConfigError, match=why):
            begun(plain, tmp_path, data, training__epochs=0)
    own, message = begun(plain, tmp_path, training__epochs=0)
    assert not afresh(own, plain)
    assert message.endswith(f"tensors taken from {plain}")


def test_a_learned_criterion_keeps_its_weights(gated, tmp_path):
    own, _ = begun(gated, tmp_path, judge=LearnedGate(), **GATED, training__epochs=0)
    assert any(name.startswith("criterion.") for name in own)
    assert not afresh(own, gated)
    # A run with another criterion needs no gates.
    assert not afresh(begun(gated, tmp_path, training__epochs=0)[0], gated)


def test_untrained_gates_without_training_are_refused(plain, gated, tmp_path):
    with pytest.raises(ConfigError, match=r"the criterion random \(criterion: was 'score-margin', now 'lear"):
        begun(plain, tmp_path, judge=LearnedGate(), **GATED, training__epochs=0)
    own, message = begun(plain, tmp_path, judge=LearnedGate(), **GATED)
    assert {name.partition(".")[0] for name in afresh(own, plain)} == {"criterion"}
    assert "; the criterion has fresh weights (criterion: was 'score-margin'" in message
    wider = {"criterion": {"name": "learned-gate", "hidden": 3}}
    with pytest.raises(ConfigError, match=r"the criterion random \(criterion\.hidden: was .*, now 3"):
        begun(gated, tmp_path, judge=LearnedGate(3), **wider, training__epochs=0)


def test_a_criterion_that_is_fitted_later_needs_no_training_now(plain, tmp_path):
    own, message = begun(plain, tmp_path, judge=Correctness(), criterion="correctness", training__epochs=0)
    assert {name.partition(".")[0] for name in afresh(own, plain)} == {"criterion"}
    assert "fresh weights" not in message


DOUBT = "held-out samples, since the supernet's training samples had {}, and this run's samples have {}."


@pytest.mark.parametrize(
    ("change", "has_shape", "here"),
    [
        (enlarged, True, "16x16 pixels in grey"),
        (coloured, True, "8x8 pixels in colour"),
        (coloured, False, "8x8 pixels in colour"),
    ],
)
def test_images_of_another_size_cannot_be_checked_for_overlap(change, has_shape, here, tmp_path):
    file, data = written(tmp_path, has_shape=has_shape), change(digits())
    doubt = DOUBT.format("8x8 pixels in grey", here)
    assert doubt in begun(file, tmp_path / "run", data)[1]
    # With the same seed, split and data set, the held-out images are the same at any size.
    assert "cannot check" not in begun(file, tmp_path / "run", data, seed=3)[1]
    assert doubt in begun(file, tmp_path / "run", data, seed=3, split__test=0.25, split__train=0.5)[1]
    assert "cannot check" not in begun(file, tmp_path / "run")[1]


def test_a_teacher_on_images_of_another_size_cannot_be_checked_for_overlap(plain, tmp_path):
    learning = {"teacher": str(plain), "training__distillation": 0.5}
    _, message = load_teacher(bench_of(tmp_path, enlarged(digits()), **learning))
    assert DOUBT.format("8x8 pixels in grey", "16x16 pixels in grey") in message
    assert "cannot check" not in load_teacher(bench_of(tmp_path, **learning))[1]


def test_weights_trained_on_copies_of_a_data_set_are_reported(tmp_path):
    bench, packaged = bench_of(tmp_path, coloured(parts())), find("cifar10-mbv3")

    def message_of(data):
        return check_leakage(replace(bench, settings=replace(bench.settings, data=Component(data))), packaged)

    assert "cifar10-mbv3 was trained on copies of cifar10's training images" in message_of("cifar10")
    assert "may include this run's calibration and validation images, but not its test" in message_of(
        "cifar10"
    )
    assert "copies" not in message_of("cifar100")
    assert "copies" not in message_of("digits")
