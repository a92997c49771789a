"""Tests of paths in settings: another folder, moved folders, and links."""

import json
import shutil

import numpy as np
import pytest
import torch

from edanas.core.archive import Archive
from edanas.core.errors import RunError
from edanas.core.settings import Component, Settings
from edanas.core.types import ImageSet
from edanas.data.splits import digest_of
from edanas.model.run_settings import TRAIN, has_other_images, run_settings
from edanas.run.binding import bind_settings
from edanas.run.folder import RunFolder
from edanas.run.layers import layered_settings
from edanas.run.paths import absolute, relocated


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the path of a project with data, weights and a folder below it, which is the current folder."""
    root = tmp_path / "project"
    for name in ("photos", "below", "older"):
        (root / name).mkdir(parents=True)
    (root / "net.safetensors").write_bytes(b"")
    (root / "quantised").mkdir()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def small(registry):
    """Return a function that returns the settings of the preset `quick`, with changes."""
    return lambda **settings: layered_settings(registry, [("small", {"preset": "quick", **settings})])


def test_settings_hold_absolute_paths_wherever_they_may_be(project, small):
    settings = small(
        data={"name": "folder", "path": "photos"},
        weights="below/../net.safetensors",
        teacher="timm:resnet18@net.safetensors",
        warm_start="older",
    )
    assert settings.data.options["path"] == str(project / "photos")
    assert settings.weights == str(project / "net.safetensors")
    assert settings.teacher == f"timm:resnet18@{project / 'net.safetensors'}"
    assert settings.warm_start == str(project / "older")
    assert small(data="photos").data.name == str(project / "photos")


def test_names_are_no_paths_even_beside_folders_of_the_same_name(project, small):
    for name in ("digits", "cifar10-mbv3"):
        (project / name).mkdir()
    settings = small(data="digits", weights="cifar10-mbv3")
    assert (settings.data.name, settings.weights) == ("digits", "cifar10-mbv3")


def test_parents_behind_links_are_those_of_the_linked_folder(project):
    (project / "link").symlink_to(project / "below")
    (project / "below" / "inner").mkdir()
    (project / "inner").mkdir()
    assert absolute("link/inner") == str(project / "link" / "inner")
    (project / "far").symlink_to(project / "below" / "inner")
    assert absolute("far/../inner") == str(project / "far" / ".." / "inner")


@pytest.mark.parametrize("text", ["x" * 5000, "\0", "~nobody-has-this-name/x", ""])
def test_texts_that_are_no_paths_stay_as_they_are(text):
    assert absolute(text) == text


def test_a_run_resumes_from_another_folder_and_after_both_were_moved(project, monkeypatch, small):
    settings = small(data="photos")
    run = project / "runs" / "a"
    run.mkdir(parents=True)
    with Archive(run) as archive:
        bind_settings(run, settings, archive)
        archive.set_meta("settings", archive.meta()["settings"])
        (run / "supernet.pt").write_bytes(b"")
        monkeypatch.chdir(project / "below")
        bind_settings(run, small(data="../photos"), archive)
        moved = project.rename(project.parent / "moved")
        monkeypatch.chdir(moved)
        bind_settings(moved / "runs" / "a", small(data="photos"), archive)
        assert archive.meta()["settings"]["data"] == str(moved / "photos")
        with pytest.raises(RunError, match="data: was"):
            bind_settings(moved / "runs" / "a", small(data="older"), archive)


def test_relative_paths_of_older_versions_count_as_the_same_place():
    def with_data(path):
        return Settings(data=Component("folder", {"path": path}))

    assert relocated(with_data("photos"), with_data("/a/photos")) == with_data("/a/photos")
    deleted = Settings(warm_start="runs/older")
    assert relocated(Settings(warm_start="/a/runs/older"), deleted) == deleted
    for old, new in (("photos", "/a/images"), ("otos", "/a/photos"), ("/usr", "/a/usr"), ("", "/a")):
        assert relocated(with_data(old), with_data(new)) == with_data(old), (old, new)


def test_networks_of_a_moved_run_find_its_data(project, small):
    settings = small(data={"name": "folder", "path": "photos"})
    run = project / "runs" / "a"
    (run / "models").mkdir(parents=True)
    RunFolder(run, settings).write_inputs()
    moved = project.parent / "moved"
    shutil.move(project, moved)
    network = moved / "runs" / "a" / "models" / "eenn.json"
    assert run_settings(network).data.options["path"] == str(moved / "photos")
    (moved / "runs" / "a" / "env.json").write_text(json.dumps([]))
    assert run_settings(network).data.options["path"] == str(project / "photos")


def test_a_network_of_a_run_whose_images_changed_is_recognised(tmp_path):
    images, labels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1), torch.tensor([0, 1, 0, 1])
    train = ImageSet(images, labels, ("a", "b"))
    network = tmp_path / "models" / "eenn.json"
    assert not has_other_images(network, train)  # no archive
    with Archive(tmp_path) as archive:
        archive.set_meta("seed", 0)
        assert not has_other_images(network, train)  # an older version
        archive.set_meta(TRAIN, digest_of(train))
    assert not has_other_images(network, train)
    for changed in (images + 1, images[[1, 0, 2, 3]]):
        assert has_other_images(network, ImageSet(changed, labels, ("a", "b")))
    assert has_other_images(network, train.subset(np.array([0, 1, 2])))
