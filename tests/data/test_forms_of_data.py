"""Every form of data gives the images and parts that a folder of the same pictures gives."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from edanas.core.errors import ConfigError, DataError
from edanas.core.settings import Component
from edanas.core.types import LoadedData
from edanas.data.passed_data import data_name
from edanas.plugins.data_sets import data_component
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.layers import layered_settings
from edanas.run.options import RunOptions
from edanas.run.provenance import digest_of_parts

CLASSES, EACH, SIDE = 3, 12, 9


@pytest.fixture(scope="module")
def registry():
    return Registry(load_plugins())


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "home"))


def pictures(*, colour: bool = False):
    rng = np.random.default_rng(3)
    shape = (CLASSES * EACH, SIDE, SIDE, *((3,) if colour else ()))
    return rng.integers(0, 256, shape, dtype=np.uint8), np.repeat(np.arange(CLASSES), EACH)


def as_folder(root: Path, X, y) -> Path:
    for number, (pixels, label) in enumerate(zip(X, y, strict=True)):
        path = root / "photos" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root / "photos"


class Pairs(torch.utils.data.Dataset):
    def __init__(self, X, y, change=Image.fromarray):
        self.X, self.y, self.change = X, y, change

    def __len__(self):
        return len(self.X)

    def __getitem__(self, number):
        return self.change(self.X[number]), int(self.y[number])


def loaded(registry, data, group=None, size=6, **settings) -> tuple[LoadedData, object]:
    name = data_name(data, group or "", settings)
    own = None if name.startswith("arrays:") else group
    layers = RunOptions(data=name, group=own, settings=settings).layers()
    resolved = layered_settings(registry, layers, whole_run=True)
    component = data_component(registry, resolved.data)
    return registry.create("data set", component.name, component.options).load(size, 0), resolved


def outcome(registry, data, **settings):
    from edanas.data.splits import split

    data, resolved = loaded(registry, data, **settings)
    choices = resolved.plugin, resolved.supernet, resolved.training, resolved.split
    return digest_of_parts(split(data, resolved.split, 0)), data.samples.classes, choices


def table_of(folder: Path) -> pd.DataFrame:
    files = sorted(folder.glob("*/*.png"), key=lambda path: int(path.stem))
    return pd.DataFrame({"file": map(str, files), "label": [int(path.parent.name) for path in files]})


def npz_of(root: Path, **arrays) -> Path:
    np.savez(root / "set.npz", **arrays)
    return root / "set.npz"


@pytest.mark.parametrize("colour", [False, True])
def test_all_forms_give_what_the_folder_gives(registry, tmp_path, colour):
    X, y = pictures(colour=colour)
    folder = as_folder(tmp_path, X, y)
    first = X[:, None] if not colour else X.transpose(0, 3, 1, 2)
    table = table_of(folder)
    table.to_csv(tmp_path / "set.csv", index=False, sep=";")
    forms = {
        "array": (X, y),
        "channels first": (np.ascontiguousarray(first), y.tolist()),
        "tensor of floats": (torch.from_numpy(first.copy()) / 255, torch.from_numpy(y)),
        "floats to 255": (
            X.astype(np.float64),
            y,
        )
        if colour
        else (first.astype(np.float64), y),
        "list": (list(X), y),
        "part": {"train": (X, y)},
        "keys": {"images": X, "labels": y},
        "pictures": Pairs(X, y),
        "tensors": Pairs(
            X, y, lambda each: torch.tensor(each).reshape(SIDE, SIDE, -1).permute(2, 0, 1) / 255
        ),
        "subset": torch.utils.data.Subset(Pairs(X, y), range(len(X))),
        "table": table.set_index(pd.Index(range(7, 7 + len(table)))),
        "csv": str(tmp_path / "set.csv"),
        "npz": npz_of(tmp_path, X=X, y=y),
        "npz by part": npz_of(tmp_path, x_train=X, y_train=y),
    }
    expected = outcome(registry, str(folder))
    for name, form in forms.items():
        assert outcome(registry, form) == expected, name


def test_hugging_face_sets_give_what_the_folder_gives(registry, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra `hf` is not installed")
    X, y = pictures(colour=True)
    expected = outcome(registry, str(as_folder(tmp_path, X, y)))
    features = datasets.Features(
        {"img": datasets.Image(), "fine": datasets.ClassLabel(names=["0", "1", "2"])}
    )
    rows = {"img": [Image.fromarray(each) for each in X], "fine": y.tolist()}
    data = datasets.Dataset.from_dict(rows, features=features)
    folder = tmp_path / "parquet"
    folder.mkdir()
    data.to_parquet(folder / "train-00000-of-00001.parquet")
    for form in (data, datasets.DatasetDict(train=data), str(folder)):
        assert outcome(registry, form) == expected


def test_parquet_without_the_package_names_the_extra(registry, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "train-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"edanas\[hf\]"):
        loaded(registry, str(tmp_path))


def test_parquet_files_beside_parts_are_refused_by_name(registry, tmp_path):
    for name in ("train-0", "test-0", "unsupervised-0"):
        (tmp_path / f"{name}.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"unsupervised-0\.parquet: found beside files of parts"):
        loaded(registry, str(tmp_path))


def test_images_of_several_sizes_are_resized_as_files_are(registry, tmp_path):
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 256, (5 + n % 4, 9, 3), dtype=np.uint8) for n in range(24)]
    y = np.repeat([0, 1], 12)
    expected = outcome(registry, str(as_folder(tmp_path, X, y)))
    assert outcome(registry, Pairs(X, y)) == expected
    assert outcome(registry, (X, y)) == expected


def test_named_parts_and_groups_arrive(registry):
    X, y = pictures()
    parts = {"train": (X[::2], y[::2], ["a"] * 18), "test": (X[1::2], y[1::2], ["b"] * 18)}
    data, _ = loaded(registry, parts)
    assert sorted(set(data.parts.tolist())) == ["test", "train"]
    assert data.groups == ("a",) * 18 + ("b",) * 18


def test_options_of_the_data_apply_to_the_data_of_the_call(registry):
    X, y = pictures()
    floats = X.astype(np.float32) / 255 * 4 - 2
    with pytest.raises(DataError, match=r"unclear.*data\.range=\[-2,2\]"):
        loaded(registry, (floats[:, None], y))
    data, _ = loaded(registry, (floats[:, None], y), size=SIDE, **{"data.range": [-2.0, 2.0]})
    assert torch.equal(data.samples.images[:, 0], torch.from_numpy(X))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda X, y: (X, y[:-1]), "labels: found 35 for 36 samples"),
        (lambda X, y: (X, None), "labels: found none"),
        (lambda X, y: (X, np.zeros(36, int)), "1 class; at least 2"),
        (lambda X, y: (X.astype(str), y), r"X: found text .*real numbers"),
        (lambda X, y: (X.astype(complex), y), "complex numbers"),
        (lambda X, y: (np.full_like(X, 7), y), "channel 0 of 1 is 7 of 255 in all pixels"),
        (lambda X, y: (X, np.eye(3)[y]), r"labels: found shape \(36, 3\)"),
        (lambda X, y: (X, y + 0.5), "labels: found 0.5 in row 0"),
        (lambda X, y: (X, [None, *y[1:]]), "row 0 has no label"),
        (lambda X, y: {"train": (X, y), "test": (X, np.full(36, -1))}, r"the test part has no labels \(-1"),
        (lambda X, y: {"train": (X, y), "test": (X, [None] * 36)}, r"the test part has no labels \(none"),
        (lambda X, y: {"train": (X, y), "validation": (X, y + 1)}, "the validation part has class '3'"),
        (lambda X, y: {"train": (X, y), "tets": (X, y)}, "found 'tets' beside parts"),
        (lambda X, y: {"x": X}, "no array of labels"),
        (lambda X, y: (X[:, None, None], y), r"samples: found shape \(N, 1, 1, 9, 9\)"),
        (lambda X, y: (np.zeros((36, 3, 9, 3), np.uint8), y), "two readings.*NCHW or data.layout=NHWC"),
        (lambda X, y: (np.zeros((36, 5, 9, 9), np.uint8), y), "1, 3 or 4 channels"),
        (lambda X, y: (X.astype(float), y), "data.layout=NHW or data.layout=NCL"),
        (lambda X, y: [1, 2, 3, 4], "found a list of 4; allowed"),
        (lambda X, y: 5, "found an int; allowed"),
    ],
)
def test_wrong_data_is_one_clear_error(registry, data, message):
    with pytest.raises((DataError, ConfigError), match=message):
        outcome(registry, data(*pictures()))


def test_not_a_number_is_placed(registry):
    X, y = pictures()
    values = X[:, None].astype(np.float32) / 255
    values[5, 0, 2, 7] = np.nan
    with pytest.raises(DataError, match="found nan in row 5, channel 0, position 2, 7"):
        outcome(registry, (values, y))


def test_random_transforms_are_refused(registry):
    X, y = pictures()
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="another sample each time"):
        data_name(Pairs(X, y, lambda each: rng.permutation(each)))


def test_absent_arrays_are_named(registry):
    source = Component("arrays", {"digest": "0" * 16})
    with pytest.raises(DataError, match="0000000000000000 are not in"):
        registry.create("data set", source.name, source.options).load(8, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\n", "found 1 rows"),
        ("file,label\na.png,1\nb.png\n", "row 1 has 1 fields"),
        ("file,label\nno.png,1\nno2.png,2\n", r"row 0 names .*no.png, which does not exist \(2 such rows\)"),
        ("name,label\nx,1\ny,2\n", r"no column of paths.*data\.path_column=NAME"),
        ("file,one,two\n{0},1,2\n{0},2,1\n", r"column of labels is unclear among one, two.*label_column"),
        ("file,label,split\n{0},1,trian\n{0},2,\n", "found part 'trian'"),
        ("file,label,label\n{0},1,2\n{0},2,1\n", "several columns 'label'"),
        ("{0},1\n{0},2\n", "found a path in the first line"),
        ("file,label\n{0},1\n,2\n", "column 'file': row 1 has no path"),
        ("file,label,group\n{0},1,\n{0},2,a\n", "column 'group': row 0 has no group"),
        ("file,label\n{0},1\n~no-such-user/a.png,2\n", "row 1 names .*no-such-user/a.png, which does not"),
    ],
)
def test_wrong_tables_are_one_clear_error(registry, tmp_path, text, message):
    X, y = pictures()
    file = next(as_folder(tmp_path, X[:1], y[:1]).glob("*/*.png"))
    (tmp_path / "set.csv").write_text(text.format(file))
    with pytest.raises(DataError, match=message):
        outcome(registry, str(tmp_path / "set.csv"))


@pytest.mark.parametrize("labels", [(True, False), ("1", "2"), ("True", " a"), (-1, 3)])
def test_labels_of_a_passed_table_keep_their_type(registry, tmp_path, labels):
    X, y = pictures()
    table = table_of(as_folder(tmp_path, X, y))
    table["label"] = [labels[row % 2] for row in range(len(table))]
    data, _ = loaded(registry, table)
    values = data.samples.values or data.samples.classes
    assert {(type(value), value) for value in values} == {(type(label), label) for label in labels}


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("--5,3", ("3", "--5")),
        (f"1,{'9' * 5000}", ("1", "9" * 5000)),
        (" a , b", ("a", "b")),
        ("-0,0", ("0", "-0")),
    ],
)
def test_texts_that_look_like_numbers_are_texts(registry, tmp_path, text, classes):
    X, y = pictures()
    files = sorted(as_folder(tmp_path, X[:2], y[:2]).glob("*/*.png"))
    lines = "".join(f"{file},{label}\n" for file, label in zip(files, text.split(","), strict=True))
    (tmp_path / "set.csv").write_text(",file,kind\n" + "".join(f"0,{line}\n" for line in lines.splitlines()))
    assert loaded(registry, str(tmp_path / "set.csv"))[0].samples.classes == classes


def test_files_that_are_no_npz_are_one_clear_error(registry, tmp_path):
    X, y = pictures()
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npy").read_bytes())
    np.savez_compressed(tmp_path / "b.npz", x=X, y=y)
    content = bytearray((tmp_path / "b.npz").read_bytes())
    content[60:400] = bytes(340)
    (tmp_path / "b.npz").write_bytes(content)
    for name, message in (("a.npz", "is no .npz file"), ("b.npz", "cannot be read as .npz")):
        with pytest.raises(DataError, match=message):
            outcome(registry, str(tmp_path / name))


def test_a_missing_group_is_an_error(registry):
    X, y = pictures()
    groups = [*range(len(y) - 1), None]
    with pytest.raises(DataError, match=f"groups: row {len(y) - 1} has no group"):
        outcome(registry, (X, y, groups))


def test_a_table_names_parts_groups_and_labels_as_text(registry, tmp_path):
    X, y = pictures()
    table = table_of(as_folder(tmp_path, X, y))
    table["file"] = [str(Path(file).relative_to(tmp_path)) for file in table["file"]]
    table["kind"] = [f"0{label}" for label in table["label"]]
    table["split"] = ["test" if row % 4 == 0 else "" for row in range(len(table))]
    table["patient"] = [row % 5 for row in range(len(table))]
    table.to_csv(tmp_path / "set.csv", index=False)
    data, _ = loaded(registry, str(tmp_path / "set.csv"), group="patient", **{"data.label_column": "kind"})
    assert data.samples.classes == ("00", "01", "02")
    assert (data.parts == "test").sum() == 9
    assert set(data.groups) == set("01234")
