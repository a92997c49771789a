"""Folders that systems leave, linked folders, names in two Unicode forms, and unreadable files."""

import unicodedata

import numpy as np
import pytest
from image_folders import load, save

from edanas.core.errors import DataError
from edanas.data.files import image_files
from edanas.data.folder import Folder

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))

SYSTEM = ["@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__pycache__", "__MACOSX"]


def test_folders_of_the_system_are_no_classes_and_are_said_once(flat):
    for name in SYSTEM:
        save(flat / name / "1.png")
        save(flat / "a" / name / "thumb.jpg")
    save(flat / "b" / "Thumbs.db" / "1.png")
    data = load(flat)
    assert data.samples.classes == ("a", "b")
    assert len(data.samples) == 4
    assert len(data.remarks) == 1
    assert data.remarks[0].startswith("13 hidden files or files of the system were ignored: $RECYCLE.BIN, ")
    assert {path.parent.name for path in image_files([flat])} == {"a", "b"}


def test_linked_folders_in_a_class_are_followed(flat, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for number in range(3):
        save(elsewhere / "deep" / f"{number}.png", value=50 + number)
    (flat / "a" / "more").symlink_to(elsewhere)
    (flat / "c").symlink_to(elsewhere)
    data = load(flat)
    assert data.samples.classes == ("a", "b", "c")
    assert data.samples.labels.bincount().tolist() == [5, 2, 3]
    assert len(image_files([flat / "a"])) == 5


def test_loops_of_links_end_and_are_said(flat):
    (flat / "a" / "up").symlink_to(flat)
    (flat / "a" / "self").symlink_to(flat / "a")
    (flat / "a" / "deep").mkdir()
    (flat / "a" / "deep" / "back").symlink_to(flat / "a")
    data = load(flat)
    assert len(data.samples) == 4
    assert data.remarks == (
        "3 linked folders were not followed, since they lead to folders that are read: a/deep/back, a/self, "
        "a/up.",
    )
    assert len(image_files([flat])) == 4


def test_names_that_differ_in_unicode_form_alone_are_told_apart(tmp_path):
    for name in (f"train/{NFC}/1.png", "train/dog/1.png", f"test/{NFD}/1.png", "test/dog/1.png"):
        save(tmp_path / name)
    with pytest.raises(DataError, match=r"no class folder for 'caf\\xe9' \(Unicode form NFC\), which train/"):
        load(tmp_path)


def test_two_classes_that_differ_in_unicode_form_alone_are_refused(tmp_path):
    for name in (NFC, NFD):
        save(tmp_path / name / "1.png")
    with pytest.raises(DataError, match=r"differ in Unicode form alone: 'cafe\\u0301' \(Unicode form NFD\)"):
        load(tmp_path)


@pytest.fixture
def damaged(flat):
    for number in range(3, 10):
        (flat / "a" / f"{number}.png").write_bytes(b"no image")
    return flat


def test_five_unreadable_files_are_named_and_the_others_counted(damaged):
    with pytest.raises(DataError, match=r"^7 files cannot be read\. .*a/3\.png.*; and 2 more\. ") as refusal:
        load(damaged)
    assert str(refusal.value).count(".png: cannot be read as an image") == 5
    assert "--skip-unreadable" in str(refusal.value)


def test_unreadable_files_are_skipped_on_request(damaged):
    data = load(damaged, skip_unreadable=True)
    assert data.names == ("a/1.png", "a/2.png", "b/1.png", "b/2.png")
    assert data.samples.labels.tolist() == [0, 0, 1, 1]
    assert data.parts.tolist() == [""] * 4
    assert data.remarks[0].startswith("Skipped, because unreadable: 7 files. ")
    assert data.remarks[0].endswith("; and 2 more.")
    again = load(damaged, skip_unreadable=True)
    assert np.array_equal(again.samples.images, data.samples.images)


def test_a_folder_of_unreadable_files_alone_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"^2 files cannot be read"):
        Folder(path=str(tmp_path), skip_unreadable=True).load(8, 0)
