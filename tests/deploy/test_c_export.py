"""The exporter `c`: the compiled program equals the reference in whole numbers, bit for bit."""

import copy
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import exported_nets
import numpy as np
import pytest
import torch
from c_programs import equal_rows, in_integers, needs_gcc
from small_networks import SMALL
from small_runs import parts, workbench
from test_looking_back import network as toy_with
from torch import nn

from edanas.core.errors import ExportError
from edanas.core.space import SearchSpace
from edanas.core.types import SelectionScheme
from edanas.data.digits import Digits
from edanas.deploy.c_code.decision import ONE, decisions_of, log2
from edanas.deploy.c_code.network import quantised
from edanas.deploy.c_export import CExporter
from edanas.deploy.export_check import export_checked
from edanas.deploy.int8.network import int8_network
from edanas.exits.classifiers import CarriedLogits
from edanas.exits.criteria import Entropy, MaxProbability, Patience, ScoreMargin
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop
from edanas.model.eenn import EENN
from edanas.model.temperature import apply_temperatures
from edanas.plugins.registry import Registry
from edanas.testing.toy_networks import toy_images


def digits(count: int) -> torch.Tensor:
    return Digits().load(8, 0).samples.images[:count]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c")


@needs_gcc
def test_the_program_equals_the_reference_on_200_images(tmp_path: Path) -> None:
    # Squeeze-and-excitation, hard-swish, depthwise convolutions, residual connections, and resized images.
    integers = in_integers(exported_nets.network(), digits(200))
    assert integers.pixels.resizes
    kinds = {type(layer).__name__ for layer in integers.layers}
    assert kinds >= {"Conv", "Pool", "Add", "Mul", "Table"}
    assert equal_rows(integers, digits(200), tmp_path).min() > 20


def provider_network(registry: Registry, name: str, folder: Path, **options: str) -> EENN:
    options = {**SMALL[name], **options}
    provider = registry.create("supernet provider", name, options)
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    bench = workbench(folder, supernet={"name": name, **options})
    classifier = CarriedLogits() if provider.passes == "logits" else bench.classifier
    bench = replace(bench, provider=provider, space=space, classifier=classifier)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        staged = provider.build(space.largest(), bench.parts.task)
        last = provider.exit_points - 1
        scheme = SelectionScheme((*(None for _ in range(last)), 0.5))
        network = bench.network(staged, bench.fresh_heads(staged, (last,)), scheme)
    bench.recalibrate(network)
    network.description = bench.describe(space.largest())
    return network.eval()


@needs_gcc
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ofa-proxyless", {}),
        ("ofa-resnet50", {}),
        ("elastic-resnet", {"downsampling": "pooled", "activation": "gelu"}),
        ("elastic-resnet", {"stem": "whitened", "pooling": "max"}),
        ("timm", {}),
        ("module", {}),
    ],
)
def test_networks_of_other_supernets_equal_the_reference(
    name: str, options: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    network = provider_network(registry, name, tmp_path, **options)
    pixels = parts().train.images[:24]
    equal_rows(in_integers(network, pixels), pixels, tmp_path)


@needs_gcc
def test_each_network_of_a_cascade_reads_the_image(registry: Registry, tmp_path: Path) -> None:
    network = provider_network(registry, "cascade", tmp_path)
    apply_temperatures(network, (2.0, 1.0))
    pixels = parts().train.images[:24]
    integers = in_integers(network, pixels)
    assert equal_rows(integers, pixels, tmp_path).min() > 5
    assert integers.segments[0].output is integers.segments[1].output is integers.pixels.output
    exact = network.answering_logits(pixels)
    for own, logits in zip(integers.logits(pixels.numpy()), exact, strict=True):
        error = own / 256 - logits.detach().numpy()
        assert np.sqrt(np.square(error).mean()) < 0.5 * float(logits.detach().std())


class Layers(nn.Module):
    """Layers that no supernet of the tests has."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
        self.padded = nn.ZeroPad2d((1, 2, 0, 1))
        self.same = nn.Conv2d(8, 8, (3, 5), padding="same")
        self.norm = nn.BatchNorm2d(16)
        self.line = nn.Conv1d(16, 6, 3, padding=1)
        self.offset = nn.Parameter(torch.linspace(-1, 1, 8)[:, None, None])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        grouped = nn.functional.leaky_relu(self.grouped(features), inplace=True)
        grouped = self.padded(grouped)
        both = torch.cat([grouped * self.offset, torch.tanh(self.same(grouped)) - 0.25], dim=1)
        both = nn.functional.max_pool2d(self.norm(both), (2, 3), stride=(2, 1), padding=(1, 1))
        line = nn.functional.adaptive_avg_pool2d(both, (1, 5)).squeeze(2)
        line = line + nn.functional.adaptive_max_pool2d(both, (1, 5)).squeeze(2)
        line = nn.functional.avg_pool1d(nn.functional.gelu(self.line(line)), 3, stride=2, padding=1)
        return (line + line.amax(2, keepdim=True)).unsqueeze(2)


@needs_gcc
def test_layers_of_users_networks_equal_the_reference(tmp_path: Path) -> None:
    network = toy_with(ScoreMargin(), EarlyStop())
    network = copy.deepcopy(network)
    torch.manual_seed(0)
    network.backbone.stages[-1] = nn.Sequential(network.backbone.stages[-1], nn.Conv2d(8, 4, 1), Layers())
    network.backbone.head = nn.Sequential(nn.Flatten(), nn.Hardswish(), nn.Linear(18, 4))
    network.eval()
    pixels = toy_images(40, seed=1).images
    equal_rows(in_integers(network, pixels), pixels, tmp_path)


FORMULAS = [
    (ScoreMargin(), ""),
    (MaxProbability(), "geometric"),
    (Entropy(), "mean"),
    (Entropy(), "learned"),
    (Patience(), ""),
    (Patience(), "geometric"),
]


@needs_gcc
@pytest.mark.parametrize(("criterion", "combine"), FORMULAS, ids=range(6))
def test_decisions_of_every_formula_equal_the_reference(criterion, combine: str, tmp_path: Path) -> None:
    network = toy_with(criterion, Aggregate(combine) if combine else EarlyStop())
    pixels = toy_images(40, seed=1).images
    integers = in_integers(network, pixels)
    equal_rows(integers, pixels, tmp_path)
    numbers = [
        np.round(each.detach().numpy() * 256).astype(np.int64) for each in network.answering_logits(pixels)
    ]
    labels, confidences = integers.answers(numbers)
    exact = network.all_exits(pixels)
    assert np.abs(confidences / ONE - exact[1].detach().numpy()).max() < 5e-3
    assert (labels == exact[0].numpy()).mean() > 0.95


def test_a_temperature_divides_the_logits() -> None:
    network = copy.deepcopy(exported_nets.network())
    plain = quantised(network, digits(40)).logits(digits(40).numpy())
    apply_temperatures(network, (0.5, 1.75, 3.0))
    tempered = quantised(network, digits(40)).logits(digits(40).numpy())
    for one, other, temperature in zip(plain, tempered, (0.5, 1.75, 3.0), strict=True):
        assert np.abs(one / temperature - other).max() <= 2


def test_integers_are_close_to_the_network() -> None:
    network = exported_nets.network()
    integers = quantised(network, digits(200)).logits(digits(60).numpy())
    exact = network.answering_logits(digits(60))
    for own, logits in zip(integers[:1], exact[:1], strict=True):
        error = own / 256 - logits.detach().numpy()
        assert np.sqrt(np.square(error).mean()) < 0.25 * float(logits.detach().std())


@needs_gcc
def test_an_export_sets_thresholds_by_which_as_many_images_leave(folder: Path) -> None:
    network, exporter = exported_nets.network(), CExporter()
    data = Digits().load(8, 0).samples
    exporter.prepare(data.subset(np.arange(200)), data.subset(np.arange(200, 300)))
    paths, check = export_checked(exporter, network, folder / "net", data.images[:50])
    assert check is not None
    assert [path.relative_to(folder).as_posix() for path in paths][:2] == [
        "net.c99.json",
        "net.c99/network.h",
    ]
    manifest = json.loads(paths[0].read_text())
    figures = manifest["int8"]
    original = torch.bincount(network(data.images[:200]).exit, minlength=5)[[1, 3, 4]] / 200
    runner = exporter.open(paths[0])
    exits = runner.predict(data.images[:200].numpy())[1]
    shares = np.bincount(exits, minlength=5)[[1, 3, 4]] / 200
    assert np.abs(shares - original.numpy()).max() <= 0.02
    validation = data.subset(np.arange(200, 300))
    labels = runner.predict(validation.images.numpy())[0]
    assert figures["accuracy"]["int8"] == (labels == validation.labels.numpy()).mean()
    runner.close()
    summary = exporter.summary(paths[0])
    assert f"{figures['arena_bytes']:,} bytes" in summary
    assert figures["arena_bytes"] <= figures["counted_bytes"][0] * 1.1
    assert 0.8 < figures["constant_bytes"] / figures["counted_bytes"][1] < 1.3


@needs_gcc
def test_as_many_images_leave_a_network_judged_in_integers_as_leave_its_integers(tmp_path: Path) -> None:
    network, exporter = copy.deepcopy(exported_nets.network()), CExporter()
    network.description["quantized"] = True
    data = Digits().load(8, 0).samples.subset(np.arange(200))
    exporter.prepare(data, data)
    floats, integers = (
        torch.bincount(each(data.images).exit, minlength=5)
        for each in (network, int8_network(network, data.images))
    )
    assert not torch.equal(floats, integers)
    runner = exporter.open(exporter.export(network, tmp_path / "net")[0])
    assert np.bincount(runner.predict(data.images.numpy())[1], minlength=5).tolist() == integers.tolist()
    runner.close()


@needs_gcc
def test_make_builds_a_program_that_reads_images(folder: Path) -> None:
    stem = folder / "made"
    exporter = CExporter()
    data = Digits().load(8, 0).samples.subset(np.arange(40))
    exporter.prepare(data, data)
    exporter.export(exported_nets.network(), stem)
    where = folder / "made.c99"
    subprocess.run(["make", "--quiet"], cwd=where, check=True)
    image = data.images[:3].numpy().tobytes()
    done = subprocess.run(["./classify"], input=image, cwd=where, check=True, capture_output=True)
    assert len(done.stdout.splitlines()) == 3
    wrong = subprocess.run(["./classify"], input=image[:70], cwd=where, check=False, capture_output=True)
    assert wrong.returncode == 1
    assert b"found 70 bytes; allowed: a multiple of 64 bytes" in wrong.stderr


def exported(network: EENN, folder: Path, count: int = 40) -> None:
    exporter, data = CExporter(), toy_images(count, seed=1)
    exporter.prepare(data, data)
    exporter.export(network, folder / "net")


class Odd(MaxProbability):
    """A criterion that inherits a formula and computes something else."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        return super().__call__(logits) ** 2


class Attention(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        flat = features.flatten(2)
        return ((flat @ flat.transpose(1, 2)).softmax(2) @ flat).reshape(features.shape)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"count": 15},
            r"net: the calibration part is too small: found 15 samples; .* 16 samples or more",
        ),
        ({"criterion": LearnedGate()}, "criterion: found 'LearnedGate', .* allowed: score-margin, "),
        ({"criterion": Odd()}, "states the formulas early-stop and max-probability, and computes other"),
        ({"layer": Attention()}, r"layer '1' of stage 2: found .*; allowed: convolutions"),
        ({"layer": nn.LayerNorm([8, 6, 6])}, r"layer '1' of stage 2: found operator `layer_norm`"),
        ({"layer": nn.ConvTranspose2d(8, 8, 1)}, "found operator `conv_transpose2d`"),
    ],
    ids=["few images", "criterion", "formula", "attention", "norm", "transposed"],
)
def test_wrong_inputs_are_one_clear_error_and_no_files(change: dict, message: str, tmp_path: Path) -> None:
    network = copy.deepcopy(toy_with(change.get("criterion", ScoreMargin()), EarlyStop()))
    if "layer" in change:
        network.backbone.stages[1] = nn.Sequential(network.backbone.stages[1], change["layer"]).eval()
    with pytest.raises(ExportError, match=message):
        exported(network, tmp_path, change.get("count", 40))
    assert list(tmp_path.iterdir()) == []


def test_without_images_the_error_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--data FOLDER"):
        CExporter().export(exported_nets.network(), tmp_path / "net")


def test_without_a_compiler_files_are_written_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    exporter = CExporter()
    assert not exporter.runs
    data = toy_images(20, seed=1)
    exporter.prepare(data, data)
    paths, check = export_checked(
        exporter, toy_with(ScoreMargin(), EarlyStop()), tmp_path / "net", data.images
    )
    assert check is None
    with pytest.raises(ExportError, match="found no C compiler; allowed: `cc`, `gcc` or `clang`"):
        exporter.open(paths[0])


def test_binary_logarithms_have_16_bits() -> None:
    numbers = np.unique(
        np.concatenate([2 ** np.arange(50), np.random.default_rng(0).integers(1, 2**50, 500)])
    )
    assert np.abs(log2(numbers) / 65536 - np.log2(numbers)).max() < 1e-4


def test_learned_weights_of_exits_belong_to_the_formula() -> None:
    decisions = decisions_of(toy_with(ScoreMargin(), Aggregate("learned")))
    assert len(decisions.shares) == 3
    assert max(decisions.shares) == 65536


def test_blank_images_do_not_end_the_export() -> None:
    blank = torch.zeros(20, 1, 12, 12, dtype=torch.uint8)
    integers = quantised(toy_with(ScoreMargin(), EarlyStop()), blank)
    assert len(integers.logits(blank.numpy())) == 3
