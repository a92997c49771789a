from pathlib import Path
from typing import Any

import numpy as np
import pytest
from series_networks import series_network

import edanas
from edanas.core.errors import DataError, WeightsError
from edanas.core.preprocess import PREPROCESSING, preprocessing_fields
from edanas.data.spectrogram import FrontEnd
from edanas.model.eenn import EENN
from edanas.model.labelled_samples import read_labelled_samples
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.testing.evaluations import toy_network

soundfile: Any = pytest.importorskip("soundfile", reason="the extra `sound` is not installed")

FRONT_END = FrontEnd("log-mel", rate=8000, length=4000, side=12)


def tone(number: int, rate: int = 8000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * (300 + 200 * number) * np.arange(rate // 2) / rate)


@pytest.fixture
def network() -> EENN:
    toy = toy_network().eval()
    fields = preprocessing_fields((12, 12), 1, toy.resolution)
    toy.description[PREPROCESSING] = {**fields, "front_end": FRONT_END.to_json()}
    return toy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        soundfile.write(tmp_path / f"{number}.wav", tone(number), 8000, subtype="FLOAT")
    return tmp_path


def test_files_become_the_pictures_of_the_front_end(network: EENN, folder: Path) -> None:
    answers = list(edanas.stream(network, folder, batch_size=2))
    pictures = np.stack([FRONT_END.picture(tone(number).astype(np.float32)) for number in range(5)])[:, None]
    expected = network.predict(pictures)
    assert [Path(answer.name).name for answer in answers] == [f"{number}.wav" for number in range(5)]
    assert [answer.label for answer in answers] == expected.label.tolist()
    assert [answer.confidence for answer in answers] == pytest.approx(expected.confidence.tolist())


def test_a_file_of_another_rate_is_resampled(network: EENN, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(2, 16_000), 16_000, subtype="FLOAT")
    (answer,) = edanas.stream(network, tmp_path / "a.wav")
    assert answer.confidence > 0


def test_windows_of_a_microphone_become_pictures(network: EENN) -> None:
    sound = np.concatenate([tone(0), tone(3)]).astype(np.float32)
    answers = list(edanas.stream(network, np.array_split(sound, 9), window=4000, hop=2000))
    assert [answer.name for answer in answers] == ["0-4000", "2000-6000", "4000-8000"]
    expected = network.predict(FRONT_END.picture(sound[:4000])[None, None])
    assert answers[0].label == int(expected.label[0])


def test_a_cut_file_is_an_error_or_is_skipped(network: EENN, folder: Path) -> None:
    path = folder / "2.wav"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"2\.wav: is cut"):
        list(edanas.stream(network, folder))
    errors: list[DataError] = []
    answers = list(edanas.stream(network, folder, on_unreadable=errors.append))
    assert (len(answers), len(errors)) == (4, 1)


def test_a_damaged_front_end_is_named(network: EENN, folder: Path) -> None:
    network.description[PREPROCESSING]["front_end"] = {"kind": "log-mel"}
    with pytest.raises(WeightsError, match="front_end"):
        list(edanas.stream(network, folder))


def test_networks_for_raw_sound_classify_recordings(folder: Path, tmp_path: Path) -> None:
    raw, network = FrontEnd("raw", rate=8000, length=40), series_network(tmp_path / "net", mono=True)
    network.description[PREPROCESSING] = {**network.description[PREPROCESSING], "front_end": raw.to_json()}
    answers = list(edanas.stream(network, folder))
    # Recordings are cropped in the middle, as in training.
    expected = network.predict([raw.picture(tone(number).astype(np.float32)) for number in range(5)])
    assert [answer.confidence for answer in answers] == pytest.approx(expected.confidence.tolist())
    np.save(tmp_path / "x.npy", raw.picture(tone(0))[None])
    (again,) = edanas.stream(network, tmp_path / "x.npy")
    assert again.confidence == pytest.approx(answers[0].confidence, abs=1e-5)


def test_labelled_recordings_are_read_by_the_front_end_of_the_network(network: EENN, tmp_path: Path) -> None:
    for number, name in enumerate(network.classes):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / name / "a.wav", tone(number)[:3000], 8000, subtype="FLOAT")
    registry = Registry(load_plugins())
    samples = read_labelled_samples(registry, network, None, str(tmp_path / "sounds"), None).samples
    for image, label in zip(samples.images, samples.labels.tolist(), strict=True):
        assert np.array_equal(image[0], FRONT_END.picture(tone(label)[:3000].astype(np.float32)))
