"""External teachers of a supernet: kinds, losses and refusals."""

import hashlib
from contextlib import closing
from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file
from small_runs import equal_states, parts, workbench
from supernet_trainings import Steps

from edanas.core.config import to_plain
from edanas.core.errors import ConfigError, RunError, WeightsError
from edanas.core.preprocess import prepare
from edanas.core.progress import Silent
from edanas.core.types import SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation.initial_weights import HEADS, SUPERNET
from edanas.evaluation.shared import SharedEvaluation
from edanas.evaluation.teachers import load_teacher
from edanas.run.binding import bind_inputs
from edanas.run.folder import RunFolder
from edanas.run.provenance import digest_of_teacher
from edanas.training.schemes import Joint
from edanas.training.supernet_file import write

SHARE, SMOOTHING = 0.3, 0.1


def bench_for(teacher, folder, **settings):
    taught = {"training__distillation": SHARE, "training__label_smoothing": SMOOTHING}
    return workbench(folder, teacher=str(teacher), **taught, **settings)


def trainer_of(bench):
    return SharedEvaluation(bench).trainer(Silent())


@pytest.fixture(scope="module")
def supernet(tmp_path_factory):
    """The file of a supernet that was trained for an epoch."""
    folder = tmp_path_factory.mktemp("supernet")
    bench = workbench(folder)
    training = trainer_of(bench)
    training.run(Silent())
    data = bench.parts
    recipe = {
        "settings": to_plain(bench.settings),
        "classes": list(data.train.classes),
        "in_channels": data.task.in_channels,
        "num_classes": data.task.num_classes,
    }
    modules = {SUPERNET: training.network.supernet, HEADS: training.network.heads}
    write(folder / "net.safetensors", modules, recipe, data.train, half=False)
    return folder / "net.safetensors"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An early-exit network with another normalisation, its weights and its description."""
    folder = tmp_path_factory.mktemp("finished")
    bench = workbench(folder, parts(140, seed=1))
    backbone = bench.space.smallest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, (1,))
        network = bench.network(staged, heads, SelectionScheme((None, 0.1, None, None)))
    bench.recalibrate(network)
    network.description = bench.describe(backbone)
    assert (network.mean, network.std) != (parts().mean, parts().std)
    described, weights = SafetensorsExporter().export(network, folder / "eenn-2.some")
    return network, weights, described


def timm_file(path, classes=10, channels=1, name="test_resnet"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=classes, in_chans=channels).eval()
    save_file(model.state_dict(), path)
    return model


IMAGES = parts().train.images[:16]


def images_of(side=12):
    """Train images as the run's largest backbone gets them."""
    return prepare(IMAGES, side, parts().mean, parts().std)


@torch.no_grad()
def test_a_supernet_teaches_with_the_logits_of_its_largest_backbone(supernet, tmp_path):
    teacher, message = load_teacher(bench_for(supernet, tmp_path))
    assert message == f"Teacher: {supernet}, at 12 pixels, for 30% of the largest backbone's loss"
    own = SharedEvaluation(workbench(tmp_path, weights=str(supernet), training__epochs=0))
    own.prepare(Silent())
    answers = teacher(images_of())
    torch.testing.assert_close(own.teacher()(images_of()), answers, rtol=1e-4, atol=1e-5)
    assert torch.allclose(answers.sum(1), torch.ones(16))


@torch.no_grad()
@pytest.mark.parametrize("which", [1, 2])
def test_a_finished_network_normalises_images_as_in_its_training(which, finished, tmp_path):
    network, path = finished[0], finished[which]
    teacher, _ = load_teacher(bench_for(path, tmp_path))
    answers = teacher(prepare(IMAGES, network.resolution, parts().mean, parts().std))
    own = prepare(IMAGES, network.resolution, network.mean, network.std)
    torch.testing.assert_close(answers, network.prepared_logits(own)[-1].softmax(1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_model_of_timm_uses_the_weights_in_the_file(tmp_path):
    model = timm_file(tmp_path / "m.safetensors")
    teacher, _ = load_teacher(bench_for(f"timm:test_resnet@{tmp_path / 'm.safetensors'}", tmp_path))
    torch.testing.assert_close(teacher(images_of()), model(images_of()).softmax(1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_published_model_of_timm_uses_its_size_and_normalisation(tmp_path, monkeypatch):
    model = timm_file(tmp_path / "unused.safetensors")
    about = {"input_size": (1, 16, 16), "num_classes": 10, "mean": (0.5,), "std": (0.25,)}
    model.pretrained_cfg = about
    monkeypatch.setattr(timm, "create_model", lambda name, **options: model)
    teacher, message = load_teacher(bench_for("timm:test_resnet", tmp_path))
    assert "at 16 pixels" in message
    # Images of 16 pixels are not resized, so that only the normalisation differs.
    expected = model(prepare(IMAGES, 16, (0.5,), (0.25,))).softmax(1)
    torch.testing.assert_close(teacher(images_of(16)), expected, rtol=1e-4, atol=1e-5)
    digest = digest_of_teacher("timm:test_resnet")
    assert digest == digest_of_teacher("timm:test_resnet")
    model.fc.bias[0] += 1
    assert digest_of_teacher("timm:test_resnet") not in (digest, None)


def test_the_largest_learns_from_labels_and_teacher_and_the_others_from_the_largest(supernet, tmp_path):
    batches = []

    class Watched(Joint):
        def loss(self, batch):
            batches.append((batch.targets, batch.label_smoothing, batch.logits[-1].detach()))
            return super().loss(batch)

    bench = replace(bench_for(supernet, tmp_path, training__augment=[]), scheme=Watched())
    training = trainer_of(bench)
    before = [p.detach().clone() for p in training.teacher.network.parameters()]
    steps, original = [], training.make_step
    training.make_step = lambda images, labels: steps.append((images, labels)) or original(images, labels)
    training.run(Silent())
    for (images, labels), large, *pupils in zip(
        steps, batches[::3], batches[1::3], batches[2::3], strict=True
    ):
        targets, smoothing, answers = large
        with torch.no_grad():
            teacher = training.teacher(images)
        for sample, label in enumerate(labels):
            hard = torch.full((10,), SMOOTHING / 10)
            hard[label] += 1 - SMOOTHING
            torch.testing.assert_close(targets[sample], (1 - SHARE) * hard + SHARE * teacher[sample])
        assert smoothing == 0.0
        assert all(torch.equal(each[0], answers.softmax(1)) for each in pupils)
    assert all(torch.equal(p, b) for p, b in zip(training.teacher.network.parameters(), before, strict=True))
    assert not any(module.training for module in training.teacher.network.modules())
    assert not any(p.requires_grad for p in training.teacher.network.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_in_steps_gives_the_same_weights(precision, supernet, tmp_path):
    for name in ("whole", "parts", "alone"):
        (tmp_path / name).mkdir()
    whole = trainer_of(bench_for(supernet, tmp_path / "whole", training__precision=precision))
    whole.run(Silent())
    while not (cut := trainer_of(bench_for(supernet, tmp_path / "parts", training__precision=precision))).run(
        Silent(), Steps(1)
    ):
        torch.rand(3)
    assert equal_states(whole.network, cut.network)
    alone = trainer_of(bench_for("", tmp_path / "alone", training__precision=precision))
    alone.run(Silent())
    assert not equal_states(whole.network, alone.network)


def test_a_teacher_may_be_missing_after_the_training(supernet, tmp_path):
    gone = tmp_path / "gone.safetensors"
    gone.write_bytes(supernet.read_bytes())
    trainer_of(bench_for(gone, tmp_path)).run(Silent())
    gone.unlink()
    assert trainer_of(bench_for(gone, tmp_path)).finished


def test_a_run_does_not_resume_with_another_teacher(supernet, tmp_path):
    file = tmp_path / "teacher.safetensors"
    file.write_bytes(supernet.read_bytes())
    bench = bench_for(file, tmp_path / "run")
    bench.folder.mkdir()
    with closing(RunFolder(bench.folder, bench.settings).open_archive()) as archive:
        inputs = bench.folder, bench.settings, archive, bench.space, bench.parts
        bind_inputs(*inputs)
        trainer_of(bench).run(Silent())
        bind_inputs(*inputs)
        file.write_bytes(supernet.read_bytes() + b" ")
        with pytest.raises(RunError, match=r"holds a run with another teacher in .*the file replaced"):
            bind_inputs(*inputs)
        file.unlink()
        bind_inputs(*inputs)


def refused(teacher, folder, error=WeightsError, **settings):
    with pytest.raises(error) as raised:
        trainer_of(bench_for(teacher, folder, **settings))
    text = str(raised.value)
    assert text.startswith("teacher: ")
    return text


def test_an_unusable_teacher_is_refused_with_the_reason(supernet, tmp_path, monkeypatch):
    file = tmp_path / "m.safetensors"
    timm_file(file, classes=7)
    assert "m.safetensors: is for 7 classes; allowed: 10, as in" in refused(
        f"timm:test_resnet@{file}", tmp_path
    )
    timm_file(file, channels=3)
    assert "is for 3 channels; allowed: 1, as in" in refused(f"timm:test_resnet@{file}", tmp_path)
    assert "The file is not of timm's 'test_resnet'" in refused(f"timm:test_resnet@{supernet}", tmp_path)
    assert "'no/such.file': no such file; allowed: a trained" in refused("no/such.file", tmp_path)
    assert "no such file" in refused(tmp_path, tmp_path)
    assert "Did you mean 'resnet18'" in refused("timm:resnet_18", tmp_path, ConfigError)
    assert "m.safetensors is not a readable trained supernet" in refused(file, tmp_path)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(supernet.read_bytes()[:-100])
    assert "damaged.safetensors is not a readable trained supernet" in refused(damaged, tmp_path)

    def offline(*names, **options):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    assert "timm cannot load the published weights of 'resnet18': OSError" in refused(
        "timm:resnet18", tmp_path
    )


def test_a_supernet_with_other_classes_or_held_out_images_is_refused(supernet, tmp_path):
    data = parts()
    train = data.train
    swapped = replace(
        data, train=replace(train, classes=(train.classes[1], train.classes[0], *train.classes[2:]))
    )
    with pytest.raises(WeightsError, match="is for the class '0' where this run's samples have '1'"):
        load_teacher(replace(bench_for(supernet, tmp_path), parts=swapped))
    other = replace(bench_for(supernet, tmp_path), parts=parts(140, seed=1))
    with pytest.raises(WeightsError, match=r"teacher: .*was trained on \d+% of this run's test samples"):
        load_teacher(other)


def test_the_digest_is_that_of_the_weights_file(supernet, finished, tmp_path):
    def sha256(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()

    _, weights, described = finished
    assert digest_of_teacher(str(supernet)) == sha256(supernet)
    assert digest_of_teacher(f"timm:resnet18@{supernet}") == sha256(supernet)
    assert digest_of_teacher(str(described)) == digest_of_teacher(str(weights)) == sha256(weights)
    assert digest_of_teacher("") is digest_of_teacher("no/such.file") is None


@pytest.mark.parametrize("choice", ["step", "kept"])
def test_the_run_s_teacher_teaches_the_results_too(supernet, tmp_path, choice):
    bench = bench_for(supernet, tmp_path, teacher_logits=choice)
    teacher, _ = load_teacher(bench)
    images = bench.parts.train.images
    prepared = prepare(images, bench.space.largest()["resolution"], bench.parts.mean, bench.parts.std)
    with torch.no_grad():
        expected = teacher(prepared)
    probabilities = SharedEvaluation(bench).teacher().probabilities(mirrored=False)
    torch.testing.assert_close(probabilities, expected, rtol=0, atol=2e-3)
