import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_runs import parts

from edanas.core.types import ExitProfile, ImageSet, SelectionScheme
from edanas.evaluation.examples import choose, write_examples
from edanas.model.eenn import Prediction
from edanas.thresholds.profiles import exit_columns


@st.composite
def profiles(draw):
    samples = draw(st.integers(1, 12))
    points = tuple(sorted(draw(st.sets(st.integers(0, 3), max_size=3))))
    cells = samples * (len(points) + 1)
    steps = draw(st.lists(st.integers(0, 4), min_size=cells, max_size=cells))
    right = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    shape = (samples, len(points) + 1)
    confidence = (np.array(steps, dtype=np.float32) / 4).reshape(shape)
    profile = ExitProfile(points, confidence, np.array(right).reshape(shape))
    thresholds = [draw(st.sampled_from([None, 0.0, 0.5, 1.0])) if at in points else None for at in range(4)]
    return profile, SelectionScheme(tuple(thresholds))


@given(profiles(), st.integers(0, 4))
def test_examples_fit_their_names(network, most):
    profile, scheme = network
    chosen, exits = choose(profile, scheme, most), exit_columns(profile, scheme)
    at = np.arange(len(profile))
    sure, right = profile.confidence[at, exits], profile.correct[at, exits]
    everybody = [sample for samples in chosen.values() for sample in samples]
    assert len(everybody) == len(set(everybody))
    assert all(len(samples) <= most for samples in chosen.values())
    for sample in chosen["early"]:
        assert right[sample]
        assert exits[sample] == min(exits)
        better = [s for s in at if right[s] and exits[s] == min(exits) and sure[s] > sure[sample]]
        assert set(better) <= set(chosen["early"])
    for sample in chosen["late"]:
        assert right[sample]
        assert exits[sample] == max(exits) > min(exits)
    for sample in chosen["wrong"]:
        assert not right[sample]
        surer = [s for s in at if not right[s] and sure[s] > sure[sample]]
        assert set(surer) <= set(chosen["wrong"])
    # Fewer than `most`.
    assert len(chosen["wrong"]) == min(most, int((~right).sum()))


def test_late_examples_have_the_lowest_confidence_at_the_exit_before():
    confidence = np.array([[0.9, 0.1, 1], [0.2, 0.4, 1], [0.1, 0.3, 1], [0.3, 0.1, 1]], dtype=np.float32)
    profile = ExitProfile((0, 1), confidence, np.ones((4, 3), dtype=bool))
    chosen = choose(profile, SelectionScheme((0.5, 0.8)), 2)
    assert chosen == {"early": [0], "late": [3, 2], "wrong": []}
    # An exit that is not placed does not count as the one before.
    assert choose(profile, SelectionScheme((0.5, None)), 3)["late"] == [2, 1, 3]


class Network:
    """Returns the predictions of the profile, and stores its input images."""

    scheme = SelectionScheme((0.5,))
    classes = ("a", "b")

    def __call__(self, images):
        self.images = images
        count = len(images)
        return Prediction(torch.ones(count).long(), torch.zeros(count).long(), torch.full((count,), 0.75))


def images(channels, side):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, channels, side, side), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.tensor([0, 1, 1]), ("a", "b"))


PROFILE = ExitProfile(
    (0,),
    np.array([[0.9, 1], [0.1, 1], [0.8, 1]], dtype=np.float32),
    np.array([[True, True], [True, True], [False, True]]),
)


@pytest.mark.parametrize("channels", [1, 3])
def test_small_images_are_kept_pixel_by_pixel(tmp_path, channels):
    data, network = images(channels, 12), Network()
    rows = write_examples(tmp_path, "net", network, data, PROFILE, 3)
    assert [(row["kind"], row["label"]) for row in rows] == [("early", 0), ("late", 1), ("wrong", 1)]
    assert [row["file"] for row in rows] == [
        f"examples/net-{number}-{kind}.png" for number, kind in ((1, "early"), (2, "late"), (3, "wrong"))
    ]
    assert {(row["predicted"], row["exit_number"], row["confidence"]) for row in rows} == {(1, 1, 0.75)}
    for row, image in zip(rows, network.images, strict=True):
        with Image.open(tmp_path / row["file"]) as picture:
            pixels = np.asarray(picture)
        assert np.array_equal(pixels.reshape(12, 12, channels), image.permute(1, 2, 0).numpy())


def test_large_images_become_small_files(tmp_path):
    rows = write_examples(tmp_path, "net", Network(), images(3, 400), PROFILE, 1)
    for row in rows:
        assert row["file"].endswith(".jpg")
        with Image.open(tmp_path / row["file"]) as picture:
            assert picture.size == (96, 96)
        # Noise, which compresses worst.
        assert (tmp_path / row["file"]).stat().st_size < 12_000


def test_no_examples_are_written_if_the_setting_is_zero(tmp_path):
    assert write_examples(tmp_path, "net", Network(), parts().test, PROFILE, 0) == []
    assert list(tmp_path.iterdir()) == []
