import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import edanas
from edanas.core.errors import ConfigError, DataError
from edanas.core.preprocess import prepare

sys.path.insert(0, str(Path(__file__).parent / "exits"))
from early_exit_nets import CLASSES, make_eenn


class Heard:
    """A `Progress`, a bar and its context in one, that notes what it is told."""

    def __init__(self):
        self.told = []

    def task(self, label, total):
        self.told.append(total)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def advance(self, steps=1, note=""):
        self.told.append(steps)

    def say(self, line):
        self.told.append(line)


@pytest.fixture
def folder(tmp_path):
    """Nine pictures of three sizes and modes, and what is none."""
    rng = np.random.default_rng(0)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for number in range(9):
        side = (8, 6, 20)[number % 3]
        pixels = rng.integers(0, 256, (side, side + number % 2, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).convert("L" if number == 4 else "RGB")
        image.save(tmp_path / ("deep/er" if number % 2 else "") / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden" / "x.png").write_text("hidden")
    return tmp_path


def test_a_folder_is_read_whole_sorted_and_each_image_by_itself(folder):
    network = make_eenn((0.3, 0.5), channels=3)
    heard = Heard()
    found = list(edanas.stream(network, folder, batch_size=4, progress=heard))
    names = [Path(answer.name).relative_to(folder).as_posix() for answer in found]
    assert names == ["0.png", "2.png", "4.png", "6.png", "8.png", *(f"deep/er/{n}.png" for n in (1, 3, 5, 7))]
    assert heard.told == [9, 4, 4, 1]
    for answer in found:
        (alone,) = edanas.stream(network, answer.name)
        assert (alone.label, alone.exit) == (answer.label, answer.exit)
        assert alone.confidence == pytest.approx(answer.confidence, abs=1e-6)
        assert answer.class_name == CLASSES[answer.label]


def test_pixels_reach_the_network_as_they_are_stored(folder):
    network = make_eenn((None,), channels=3)
    pixels = torch.from_numpy(np.array(Image.open(folder / "0.png"))).permute(2, 0, 1).unsqueeze(0)
    expected = network.backbone(prepare(pixels, 8, network.mean, network.std).double())
    (answer,) = edanas.stream(network, folder / "0.png")
    assert answer.label == int(expected.argmax())
    grey = make_eenn((None,))
    luma = torch.from_numpy(np.array(Image.open(folder / "0.png").convert("L")))
    (answer,) = edanas.stream(grey, [folder / "0.png"])
    assert answer.label == int(grey(luma.unsqueeze(0)).label)


def test_an_unreadable_image_ends_it_by_name_or_is_passed_over(folder):
    network = make_eenn((0.3,), channels=3)
    (folder / "3.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"3\.jpg: cannot be read as an image"):
        list(edanas.stream(network, folder))
    refused = []
    found = list(edanas.stream(network, folder, on_unreadable=refused.append, batch_size=1))
    assert len(found) == 9
    assert [str(error).split(":")[0] for error in refused] == [str(folder / "3.jpg")]


def test_iterables_of_images_and_of_pairs():
    network = make_eenn((0.3,), channels=3)
    images = torch.rand(5, 3, 8, 8)
    expected = network(images)
    heard = Heard()
    plain = list(edanas.stream(network, (image for image in images), batch_size=2, progress=heard))
    assert [answer.name for answer in plain] == ["1", "2", "3", "4", "5"]
    assert heard.told == [None, 2, 2, 1]
    named = list(edanas.stream(network, [(f"n{at}", image) for at, image in enumerate(images)]))
    assert [answer.name for answer in named] == ["n0", "n1", "n2", "n3", "n4"]
    for found in (plain, named):
        assert [answer.label for answer in found] == expected.label.tolist()
        assert [answer.exit for answer in found] == expected.exit.tolist()


def test_an_endless_iterator_is_read_as_far_as_it_is_asked():
    network = make_eenn((0.3,))
    taken = []

    def camera():
        while True:
            taken.append(0)
            yield np.zeros((8, 8), np.uint8)

    answers = edanas.stream(network, camera(), batch_size=3)
    for _ in range(4):
        next(answers)
    assert len(taken) == 6


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        (7, "source: found a int"),
        ([torch.zeros(1, 8, 8), torch.zeros(2, 8, 8)], "among 1 to 2: image 2"),
        ([torch.zeros(2, 1, 8, 8)], "found a batch of images; allowed: one image each"),
    ],
)
def test_wrong_sources(source, message):
    with pytest.raises(DataError, match=message):
        list(edanas.stream(make_eenn((0.3,)), source))


def test_an_empty_folder_and_a_wrong_option_are_refused_first(tmp_path):
    with pytest.raises(DataError, match="no image in this folder or below"):
        list(edanas.stream(make_eenn((0.3,)), tmp_path))
    with pytest.raises(ConfigError, match="compact: found 'x'"):
        list(edanas.stream(make_eenn((0.3,)), "nowhere", compact="x"))
