import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import parts, space, workbench

import edanas
from edanas.core.errors import ConfigError, EdanasError, WeightsError
from edanas.core.types import SelectionScheme
from edanas.deploy.loading import load_network
from edanas.deploy.safetensors_export import FORMAT_VERSION, SafetensorsExporter


def make(folder, dtype=torch.float32, seed=0, placed=(0, 2, 3)):
    """An EENN as a run finishes it, with the weights and statistics of one that was trained."""
    bench = workbench(folder)
    backbone = space().sample_backbone(np.random.default_rng(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, placed)
    scheme = SelectionScheme(tuple(0.02 * (at + 1) if at in placed else None for at in range(4)))
    network = bench.network(staged, heads, scheme)
    with torch.no_grad():
        for head in (*network.heads.values(), network.backbone.head):
            for parameter in head.parameters():
                parameter.mul_(3.0)  # spreads the confidences
    bench.recalibrate(network)
    network.description = bench.describe(backbone)
    return network.to(dtype)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    network = make(folder)
    return network, *SafetensorsExporter().export(network, folder / "eenn-3.v1")


@pytest.fixture
def saved(exported, tmp_path):
    """A network, its description and its weights; the files are the test's own."""
    network, *paths = exported
    return network, *(shutil.copy(path, tmp_path / path.name) for path in paths)


def same_answers(one, other):
    images = parts().test.images
    first, second = one(images), other(images)
    assert len(set(first.exit.tolist())) > 2
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(one.all_exits(images), other.all_exits(images), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_network_comes_back_as_it_was(which, kind, saved):
    network = saved[0]
    loaded = edanas.load(kind(saved[which]))
    same_answers(network, loaded)
    assert loaded.scheme == network.scheme
    assert loaded.points == network.points
    assert loaded.classes == network.classes
    assert (loaded.mean, loaded.std) == (network.mean, network.std)
    assert loaded.resolution == network.resolution
    assert not any(module.training for module in loaded.modules())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_comes_back_too(dtype, tmp_path):
    network = make(tmp_path, dtype)
    described, _ = SafetensorsExporter().export(network, tmp_path / "net")
    loaded = edanas.load(described)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    if dtype == torch.float64:
        same_answers(network, loaded)


@pytest.mark.parametrize("placed", [(), (1,)])
def test_any_number_of_exits(placed, tmp_path):
    network = make(tmp_path, placed=placed)
    loaded = edanas.load(SafetensorsExporter().export(network, tmp_path / "net")[0])
    assert loaded.scheme == network.scheme
    for a, b in zip(network(parts().test.images), loaded(parts().test.images), strict=True):
        assert torch.equal(a, b)


def test_a_loaded_network_can_be_saved_again(saved, tmp_path):
    _, described, weights = saved
    again = SafetensorsExporter().export(edanas.load(described), tmp_path / "again")
    assert again[1].read_bytes() == weights.read_bytes()
    first, second = (json.loads(path.read_text()) for path in (described, again[0]))
    assert {**first, "weights": "", "checksum": ""} == {**second, "weights": "", "checksum": ""}


def test_the_files_may_move_together(saved, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = [shutil.move(path, tmp_path / "elsewhere") for path in saved[1:]]
    same_answers(saved[0], edanas.load(moved[0]))


def test_loading_leaves_torch_s_generator_as_it_was(saved):
    state = torch.get_rng_state()
    edanas.load(saved[1])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("gone", "opened"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_a_missing_file_is_named(gone, opened, saved):
    saved[gone].unlink()
    with pytest.raises(WeightsError) as caught:
        edanas.load(saved[opened])
    assert str(caught.value) == f"{saved[gone]}: cannot be read: No such file or directory"


def test_a_runs_folder_is_no_network(tmp_path):
    with pytest.raises(WeightsError, match=r"is a folder; expected a network's \.safetensors or \.json file"):
        load_network(tmp_path, pytest.fail)


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_damaged_weights_are_named(damage, saved):
    _, described, weights = saved
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(WeightsError, match=r"eenn-3\.v1\.safetensors: damaged, or not what eenn-3\.v1\.json"):
        edanas.load(described)


def test_weights_of_another_network_are_named(saved, tmp_path):
    other = SafetensorsExporter().export(make(tmp_path, seed=1), tmp_path / "other")
    shutil.copy(other[1], saved[2])
    with pytest.raises(WeightsError, match=r"eenn-3\.v1\.safetensors: damaged, or not what .* was written"):
        edanas.load(saved[1])


@pytest.mark.parametrize("text", ["", "{", "[1]", '"text"', "7", "null", "{}", "\udcff"])
def test_an_invalid_description_is_named(text, saved):
    saved[1].write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WeightsError, match=r"eenn-3\.v1\.json: is not a network's description"):
        edanas.load(saved[1])


def change(path, **values):
    """The description with other values; `...` takes one out."""
    content = json.loads(path.read_text()) | {"checksum": ...} | values
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, "1"])
def test_another_format_version_is_told(version, saved):
    change(saved[1], format_version=version)
    with pytest.raises(WeightsError) as caught:
        edanas.load(saved[1])
    assert str(caught.value) == (
        f"{saved[1]}: format version {version!r}; this edanas reads version {FORMAT_VERSION}"
    )


KEYS = (
    *("supernet", "classifier", "criterion", "backbone", "in_channels", "num_classes", "thresholds"),
    *("heads", "classes", "mean", "std", "dtype", "weights", "weights_sha256"),
)


@pytest.mark.parametrize("name", KEYS)
def test_a_description_that_lacks_something_says_what(name, saved):
    change(saved[1], **{name: ...})
    with pytest.raises(WeightsError) as caught:
        edanas.load(saved[1])
    assert str(caught.value) == f"{saved[1]}: {name} is missing from the description"


@pytest.mark.parametrize("name", [*KEYS, "format_version"])
@pytest.mark.parametrize("value", [None, -1, "a\nb", [], {}, [[]], {"name": 3, "options": 4}, [99, "x"]])
def test_no_wrong_value_gets_through_without_the_file_s_name(name, value, saved):
    change(saved[1], **{name: value})
    with pytest.raises(EdanasError) as caught:
        edanas.load(saved[1])
    assert str(saved[1].parent) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "name", "near"),
    [
        ("supernet", "ofa-mbv4", "ofa-mbv3"),
        ("classifier", "pool-linaer", "pool-linear"),
        ("criterion", "score-margins", "score-margin"),
    ],
)
def test_a_plugin_that_is_not_there_is_named_with_file_and_near_miss(key, name, near, saved):
    change(saved[1], **{key: {"name": name, "options": {}}})
    with pytest.raises(ConfigError) as caught:
        edanas.load(saved[1])
    message = str(caught.value)
    assert message.startswith(f"{saved[1]}: {key}: unknown")
    assert f"'{name}'" in message
    assert f"Did you mean '{near}'?" in message


@pytest.mark.parametrize("place", ["../secret.safetensors", "/etc/passwd", "a/b", "", 3])
def test_weights_lie_beside_the_description_and_nowhere_else(place, saved):
    change(saved[1], weights=place)
    with pytest.raises(
        WeightsError, match=r"eenn-3\.v1\.json: weights: found .*; allowed: the name of a file"
    ):
        edanas.load(saved[1])


def test_weights_that_do_not_fit_the_description(saved):
    _, described, weights = saved
    tensors = load_file(weights)
    tensors.pop("heads.0.2.weight")
    save_file(tensors, weights)
    change(described, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(WeightsError, match=r"safetensors: does not fit the network of .*heads\.0\.2\.weight"):
        edanas.load(described)


def test_weights_in_another_format(saved):
    _, described, weights = saved
    weights.write_bytes(b"not safetensors at all")
    change(described, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(WeightsError, match=r"eenn-3\.v1\.safetensors: does not fit the network of"):
        edanas.load(described)


def test_any_builder_will_do(saved):
    """The registry is the caller's; here the network is the builder's own."""
    network, described, _ = saved
    blank = make(described.parent, seed=0)
    with torch.no_grad():
        for value in blank.state_dict().values():
            value.zero_()
    descriptions = []
    loaded = load_network(described, lambda description: descriptions.append(description) or blank)
    assert loaded is blank
    same_answers(network, loaded)
    assert descriptions[0]["backbone"] == dict(network.description["backbone"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mean", [float("nan")]),
        ("mean", [1e300]),
        ("std", [float("nan")]),
        ("std", [float("inf")]),
        ("std", [1e-320]),
        ("thresholds", [float("nan")] * 4),
        ("in_channels", float("nan")),
        ("preprocessing", {"image_size": [10**9, 8]}),
    ],
)
def test_numbers_of_a_description_that_give_no_finite_confidence_are_refused(saved, field, value):
    _, described, _ = saved
    described = Path(described)
    content = json.loads(described.read_text())
    del content["checksum"]
    described.write_text(json.dumps({**content, field: value}))
    with pytest.raises(EdanasError, match=f"{described.name}: .*"):
        edanas.load(described)
