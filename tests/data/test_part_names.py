"""Folders that stand for parts of the data, under usual names, unusual names and no understood name."""

import pytest
from image_folders import load, save

from edanas.core.errors import DataError
from edanas.data.part_names import part_of, resembles_part


def write(root, *folders):
    for number, folder in enumerate(folders):
        for name in ("cat", "dog"):
            for count in range(2):
                save(root / folder / name / f"{count}.png", value=10 * number + 2 * count + (name == "dog"))


@pytest.mark.parametrize(
    "names",
    [
        ("train", "valid", "test"),
        ("Train", "Test"),
        ("TRAIN", "VAL", "TEST"),
        ("training", "testing"),
        ("Training", "validation"),
        ("train", "dev", "Test"),
        ("train", "eval"),
        ("train_images", "val-images", "test.set"),
        ("train2017", "val2017"),
        ("01_train", "02_val", "03_test"),
        ("trainset", "testset"),
    ],
)
def test_parts_are_understood_under_usual_names_in_any_case(names, tmp_path):
    write(tmp_path, *names)
    data = load(tmp_path)
    assert data.samples.classes == ("cat", "dog")
    assert {path.partition("/")[0]: part for path, part in zip(data.names, data.parts, strict=True)} == {
        name: part_of(name) for name in names
    }
    assert data.remarks == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "test", "holdout"), r"found holdout/ with images beside folders of parts"),
        (("Train", "old_test"), r"found old_test/ with images beside"),
        (("train", "unlabelled"), r"found unlabelled/ with images beside"),
        (("train", "car"), r"Rename or move car/, or the folders of parts if they are classes"),
        (("fold1", "fold2", "fold3"), r"found fold1/, fold2/, fold3/, which look like parts"),
        (("public", "private"), r"found private/, public/, which look like parts"),
        (("my_train", "my_test"), r"found my_test/, my_train/, which look like parts"),
        (("seg_train", "seg_test", "seg_pred"), r"found seg_test/, seg_train/, which look like parts"),
        (("Train", "training", "test"), r"found both Train/ and training/; one train part is allowed"),
        (("Valid", "Test"), r"found Test/, Valid/ but no class folders in train/"),
    ],
)
def test_what_looks_like_parts_and_is_not_understood_is_refused_by_name(names, message, tmp_path):
    write(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("names", [("my_test", "my_train"), ("fold 1", "fold 2"), ("Split1", "Split10")])
def test_folders_of_images_without_classes_that_look_like_parts_are_no_classes(names, tmp_path):
    for name in names:
        save(tmp_path / name / "1.png")
    with pytest.raises(DataError, match=f"found {names[0]}/, {names[1]}/, which look like parts"):
        load(tmp_path)


def test_classes_with_words_for_parts_are_classes(tmp_path):
    for name in ("bullet train", "test tube", "training"):
        save(tmp_path / name / "1.png")
    assert load(tmp_path).samples.classes == ("bullet train", "test tube", "training")


def test_parts_below_classes_are_refused(tmp_path):
    for name in ("cat/Train/1.png", "cat/Test/1.png", "dog/Train/1.png", "dog/Test/1.png"):
        save(tmp_path / name)
    with pytest.raises(DataError, match=r"cat: found Test/, Train/ in a class folder; parts stand above"):
        load(tmp_path)


def test_a_folder_around_the_parts_is_named(tmp_path):
    write(tmp_path / "photos", "train", "test")
    with pytest.raises(DataError, match=r"found only photos/, which holds folders of parts; use .*/photos"):
        load(tmp_path)


def test_folders_without_images_beside_parts_are_ignored(tmp_path):
    write(tmp_path, "train", "test")
    (tmp_path / "holdout" / "empty").mkdir(parents=True)
    assert "holdout" in load(tmp_path).remarks[0]


@pytest.mark.parametrize("name", ["trainer", "bus", "contest", "evaluate", "developer", "train station"])
def test_other_words_are_no_parts(name):
    assert part_of(name) is None


def test_a_word_for_a_part_among_others_resembles_a_part():
    assert [resembles_part(name) for name in ("train old", "Split 3", "contest", "cat")] == [
        True,
        True,
        False,
        False,
    ]
