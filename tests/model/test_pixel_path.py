"""Files and bytes take one path to a network: in a run, in predictions and outside the package."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import odd_files, save
from small_runs import OPTIONS, THRESHOLDS, workbench

import edanas
from edanas.core.errors import WeightsError
from edanas.core.preprocess import PREPROCESSING, prepare
from edanas.core.progress import Silent
from edanas.core.records import unsealed
from edanas.core.settings import SplitSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Candidate, SelectionScheme
from edanas.data.decoding import decode_each
from edanas.data.folder import Folder
from edanas.data.image_array import fit
from edanas.data.splits import split
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation.finish import Finisher
from edanas.model.anatomy import Anatomy
from edanas.model.labelled_samples import read_labelled_samples
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.setters import Static

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "pixels.md"

SIZES = {
    "equal": [(12, 12)],
    "smaller": [(7, 7)],
    "larger": [(31, 31)],
    "wide": [(11, 6)],
    "large and wide": [(40, 17)],
    "mixed and small": [(5, 5), (9, 9), (8, 11)],
    "mixed": [(5, 9), (12, 12), (60, 30), (130, 140)],
    "photographs": [(400, 300), (90, 250), (769, 97)],
}


def write_folder(root, sizes, mode):
    number = 0
    for part, count in (("train", 12), ("test", 9)):
        for name in ("cat", "dog", "emu"):
            for _ in range(count):
                ending = "jpg" if number % 3 == 0 and mode != "RGBA" else "png"
                save(root / part / name / f"{number}.{ending}", sizes[number % len(sizes)], mode, number)
                number += 1


class Untrained:
    """The part of an evaluation that the finishing of results needs, without training."""

    quantized = False

    def __init__(self, bench):
        self.bench = bench

    def network(self, candidate):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            staged = self.bench.provider.build(candidate.backbone, self.bench.parts.task)
            heads = self.bench.fresh_heads(staged, candidate.scheme.placed)
            network = self.bench.network(staged, heads, candidate.scheme)
        self.bench.recalibrate(network)
        return network.eval()


def finished(root, folder, resolutions):
    """Return the workbench, and the row of an untrained network of each resolution."""
    provider = OFAMobileNetV3Provider(**{**OPTIONS, "resolutions": resolutions})
    loaded = Folder(path=str(root)).load(max(resolutions), 0)
    parts = split(loaded, SplitSettings(), 0)
    bench = workbench(folder, parts, supernet__resolutions=resolutions, finetune__epochs=0)
    space = SearchSpace(provider.variables(), THRESHOLDS, provider.exit_points)
    bench = type(bench)(**{**vars(bench), "provider": provider, "space": space})
    largest = dict(space.largest().choices)
    scheme = SelectionScheme((0.05, None, 0.2, None))
    candidates = [Candidate(Backbone.of({**largest, "resolution": side}), scheme) for side in resolutions]
    finisher = Finisher(bench, Untrained(bench), Static(), [SafetensorsExporter()])
    rows, failures = finisher.finish(candidates, "Finishing", Silent())
    assert failures == []
    return loaded, rows


@pytest.mark.parametrize("resolutions", [[12], [8, 12]], ids=["one", "several"])
@pytest.mark.parametrize("kind", SIZES)
def test_predictions_repeat_the_figures_of_the_test_exactly(kind, resolutions, tmp_path):
    root = tmp_path / "data"
    write_folder(root, SIZES[kind], "L" if kind in ("smaller", "mixed and small") else "RGB")
    loaded, rows = finished(root, tmp_path, resolutions)
    test = torch.from_numpy(loaded.parts == "test")
    for row in rows:
        network = edanas.load(tmp_path / row.model)
        answers = list(edanas.stream(network, root / "test"))
        tested = network(loaded.samples.images[test])
        assert [answer.label for answer in answers] == tested.label.tolist()
        assert [answer.exit - 1 for answer in answers] == tested.exit.tolist()
        right = [answer.class_name == Path(answer.name).parent.name for answer in answers]
        assert float(np.mean(right)) == row.test_accuracy
        exits = np.array([answer.exit - 1 for answer in answers])
        assert tuple(float((exits == at).mean()) for at in range(5)) == row.utilization
        costs = exit_costs(Anatomy.of(network, len(network.mean)).costs, network.scheme.placed)
        by_exit = dict(zip((*network.scheme.placed, 4), costs, strict=True))
        assert np.mean([by_exit[exit_] for exit_ in exits]) == pytest.approx(row.executed_macs, rel=1e-12)
        labelled = read_labelled_samples(
            Registry(load_plugins()), network, tmp_path / row.model, str(root), "test"
        )
        assert torch.equal(labelled.samples.images, loaded.samples.images[test])


def test_the_program_on_the_page_computes_the_same_pixels(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(program, names)
    paths = list(odd_files(tmp_path))
    for number, size in enumerate(((1300, 700), (319, 640), (641, 640))):
        paths.append(tmp_path / f"large-{number}.jpg")
        save(paths[-1], size, "RGB", value=number)
    for channels, size, side in ((3, (8, 8), 8), (1, (7, 5), 12), (3, (40, 40), 24), (3, (20, 32), 24)):
        mean, std = [0.485, 0.456, 0.406][:channels], [0.229, 0.224, 0.225][:channels]
        stated = {"mean": mean, "std": std, "resolution": side, "preprocessing": {"image_size": list(size)}}
        images = torch.stack(decode_each(paths, size, grey=channels == 1))
        expected = prepare(images, side, mean, std).numpy()
        for path, tensor in zip(paths, expected, strict=True):
            outside = names["pixels"](path, json.loads(json.dumps(stated)))
            np.testing.assert_array_equal(outside, tensor, err_msg=f"{path.name} {size} {side}")


@pytest.fixture
def network(tmp_path):
    write_folder(tmp_path / "data", [(20, 16)], "RGB")
    _, rows = finished(tmp_path / "data", tmp_path, [8])
    return edanas.load(tmp_path / rows[0].model)


def test_bytes_in_memory_take_the_path_of_files(network, tmp_path):
    path = tmp_path / "photo.png"
    save(path, (31, 23), "RGB", 5)
    (image,) = decode_each([path], 1000, grey=False)
    (answer,) = edanas.stream(network, path)
    for prediction in (network(image), network.predict(image), network.predict(image.numpy())):
        assert (int(prediction.label), int(prediction.exit)) == (answer.label, answer.exit - 1)
        assert float(prediction.confidence) == answer.confidence
    confidences = network.all_exits(image)[1]
    assert torch.equal(confidences, network.all_exits(decode_each([path], (8, 8), grey=False)[0])[1])


def test_data_sets_in_memory_are_reduced_as_files_are(tmp_path):
    save(tmp_path / "photo.png", (31, 31), "RGB", 5)
    (full,) = decode_each([tmp_path / "photo.png"], 1000, grey=False)
    (reduced,) = decode_each([tmp_path / "photo.png"], (12, 12), grey=False)
    assert torch.equal(fit(full[None], 12)[0][0], reduced)


def test_older_descriptions_load_and_damaged_ones_are_named(network, tmp_path):
    (path,) = (tmp_path / "models").glob("eenn*.json")
    description = unsealed(json.loads(path.read_text()))
    for damaged in ({}, {"image_size": [8]}, {"image_size": [0, 8]}, {"image_size": "8x8"}, 8):
        path.write_text(json.dumps({**description, PREPROCESSING: damaged}))
        with pytest.raises(WeightsError, match=r"preprocessing\.image_size: found"):
            edanas.load(path)
    del description[PREPROCESSING]
    path.write_text(json.dumps(description))
    older = edanas.load(path)
    assert older.image_size is None
    assert older.predict(torch.zeros(2, 3, 5, 40, dtype=torch.uint8)).label.shape == (2,)
