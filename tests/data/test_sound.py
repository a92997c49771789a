from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from edanas.core.errors import ConfigError, DataError
from edanas.data.arrays import Arrays
from edanas.data.passed_data import data_name, sample_set_of
from edanas.data.sample_store import store
from edanas.data.sound import SoundFolder
from edanas.data.sound_files import read_sound, resample
from edanas.data.spectrogram import FrontEnd, fit_length, mel_filters
from edanas.plugins.data_sets import kind_of

soundfile: Any = pytest.importorskip("soundfile", reason="the extra `sound` is not installed")

RATE = 8000


def tone(hertz: float, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def write(path: Path, values: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, values, rate, subtype=subtype)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        write(tmp_path / "low" / f"anna_{number}.wav", tone(300 + number))
        write(tmp_path / "high" / f"bert_{number}.wav", tone(2500 + number, 0.4))
    return tmp_path


@pytest.mark.parametrize(
    ("ending", "subtype", "gap"),
    [
        ("wav", "PCM_U8", 1e-2),
        ("wav", "PCM_16", 1e-4),
        ("wav", "PCM_24", 1e-6),
        ("wav", "PCM_32", 1e-6),
        ("wav", "FLOAT", 1e-6),
        ("wav", "DOUBLE", 1e-6),
        ("flac", "PCM_16", 1e-4),
        ("ogg", "VORBIS", 0.1),
    ],
)
def test_every_kind_of_file_gives_the_mean_of_its_channels(
    ending: str, subtype: str, gap: float, tmp_path: Path
) -> None:
    values = tone(400)
    path = write(tmp_path / f"a.{ending}", np.stack([values, 0.5 * values], axis=1), subtype=subtype)
    sound, rate = read_sound(path)
    assert rate == RATE
    assert np.abs(sound - 0.75 * values).max() < gap


def test_a_cut_file_is_named_with_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(400))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"a\.wav: is cut: its header states 8,000 bytes of sound, and 7,000"):
        read_sound(path)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r"a\.wav: is cut"):
        read_sound(path)


def test_a_cut_file_with_sizes_of_64_bits_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(400), RATE, format="RF64")
    assert len(read_sound(path)[0]) == 4000
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"a\.wav: is cut: its header states 8,000 bytes of sound, and 7,000"):
        read_sound(path)


@pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF"])
def test_a_file_that_is_no_sound_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.wav: (is cut|cannot be read as sound)"):
        read_sound(path)


def test_resampling_keeps_a_tone(tmp_path: Path) -> None:
    again = resample(resample(tone(300).astype(np.float32), RATE, 22_050), 22_050, RATE)
    assert np.abs(again[200:-200] - tone(300)[200 : len(again) - 200]).max() < 0.01


def test_filters_have_unit_area_and_rise_in_frequency() -> None:
    filters = mel_filters(20, 4096, 16_000)
    assert np.allclose(filters.sum(1) * 16_000 / 4096, 1.0, atol=0.1)
    assert (np.diff(filters.argmax(1)) > 0).all()


@pytest.mark.parametrize("kind", ["log-mel", "mfcc"])
def test_the_volume_of_a_recording_does_not_matter(kind: str) -> None:
    front_end, rng = FrontEnd(kind, RATE, 4000), np.random.default_rng(0)
    sound = tone(700) + 0.1 * rng.normal(size=4000)
    assert np.array_equal(front_end.picture(sound), front_end.picture(sound / 16))


def test_a_tone_is_a_row_and_its_time_a_column() -> None:
    front_end = FrontEnd("log-mel", RATE, 8000)
    late = np.concatenate([np.zeros(4000), tone(1000)])
    picture = front_end.picture(late)
    row = int(picture[:, 24].argmax())
    at = 1000 * front_end.window // RATE
    assert 31 - row == int(mel_filters(32, front_end.window, RATE)[:, at].argmax())
    assert picture[row, 24:].min() > 200
    assert picture[row, :12].max() < 100


def test_silence_is_a_picture_and_cropping_keeps_the_middle() -> None:
    assert FrontEnd("log-mel", RATE, 4000).picture(np.zeros(4000)).dtype == np.uint8
    assert fit_length(np.arange(5.0), 3).tolist() == [1.0, 2.0, 3.0]
    assert fit_length(np.arange(1.0, 3.0), 5).tolist() == [0.0, 1.0, 2.0, 0.0, 0.0]


def test_the_costs_of_the_front_end_follow_the_textbook() -> None:
    front_end = FrontEnd("log-mel", RATE, 5200)
    filters = np.count_nonzero(mel_filters(32, 512, RATE))
    assert front_end.macs == 32 * (512 + 512 * 9 + 2 * 257 + filters)
    assert FrontEnd("mfcc", RATE, 5200).macs == front_end.macs + 32 * 32**2
    assert FrontEnd.of(front_end.to_json()) == front_end


def test_a_folder_of_recordings_becomes_pictures_with_sentences(folder: Path) -> None:
    assert kind_of(folder) == "sound"
    loaded = SoundFolder(path=str(folder), group="([a-z]+)_").load(32, 0)
    assert loaded.samples.images.shape == (8, 1, 32, 32)
    assert loaded.samples.images.dtype == torch.uint8
    assert loaded.samples.classes == ("high", "low")
    assert set(loaded.groups) == {"anna", "bert"}
    assert loaded.remarks[0] == (
        "Recordings have 0.50 s at 8000 Hz: 0 longer ones were cropped in the middle, and 4 shorter ones "
        "padded with silence."
    )
    assert "multiply-adds a recording" in loaded.remarks[1]
    assert loaded.front_end["kind"] == "log-mel"


def test_raw_sound_is_a_series(folder: Path) -> None:
    source = SoundFolder(path=str(folder), front_end="raw")
    loaded = source.load(32, 0)
    assert loaded.samples.images.shape == (8, 1, 1, 4000)
    assert loaded.samples.images.is_floating_point()
    assert source.survey().length == 4000
    assert not source.survey().sound
    assert SoundFolder(path=str(folder)).survey().sound


def test_mixed_rates_are_an_error_that_names_the_option(folder: Path) -> None:
    write(folder / "low" / "odd.wav", tone(300, rate=16_000), rate=16_000)
    with pytest.raises(
        DataError, match=r"8000 Hz \(8\), 16000 Hz \(1\), e\.g\. low/odd\.wav has 16000 Hz.*rate=8000"
    ):
        SoundFolder(path=str(folder)).load(32, 0)
    loaded = SoundFolder(path=str(folder), rate=8000).load(32, 0)
    assert loaded.remarks[0] == "1 recording was resampled to 8000 Hz."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"front_end": "log-mels"}, "data.front_end: found 'log-mels'.*log-mel"),
        ({"rate": 5}, "data.rate: found 5; allowed: 100 to 400000"),
        ({"side": 4}, "data.side: found 4; allowed: 8 to 256"),
        ({"seconds": -1.0}, "data.seconds: found -1"),
        ({"path": ""}, "data.path: found nothing"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SoundFolder(**{"path": "sounds", **options})


def test_every_form_of_recordings_gives_what_the_folder_gives(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("EDANAS_HOME", str(folder.parent / "home"))
    expected = SoundFolder(path=str(folder)).load(32, 0).samples
    files = sorted(folder.glob("*/*.wav"))
    table = pd.DataFrame({"file": map(str, files), "label": [each.parent.name for each in files]})
    stored = Path(data_name(table))
    assert kind_of(stored) == "sound"
    for dtype in ("float32", "int16"):
        arrays = [soundfile.read(each, dtype=dtype)[0] for each in files]
        digest = store(sample_set_of((arrays, table["label"])))
        source = Arrays(digest=digest, front_end="log-mel", rate=RATE)
        assert source.survey().sound
        loaded = source.load(32, 0)
        assert torch.equal(loaded.samples.images, expected.images)
        assert loaded.front_end["kind"] == "log-mel"
    loaded = SoundFolder(path=str(stored)).load(32, 0)
    assert torch.equal(loaded.samples.images, expected.images)
    assert torch.equal(loaded.samples.labels, expected.labels)


def test_arrays_of_sound_require_their_rate() -> None:
    with pytest.raises(ConfigError, match=r"data\.rate: found 0"):
        Arrays(digest="0", front_end="log-mel")


def test_recordings_of_silence_are_an_error(folder: Path) -> None:
    for path in folder.glob("*/*.wav"):
        write(path, np.zeros(900))
    with pytest.raises(DataError, match="all recordings are silent"):
        SoundFolder(path=str(folder)).load(32, 0)


def test_raw_sound_beyond_the_longest_series_names_a_rate(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "1.wav", tone(300, 3.0))
    with pytest.raises(ConfigError, match=r"found 3 s, which are 24,000 values at 8000 Hz.*data\.rate=5333"):
        SoundFolder(path=str(tmp_path), front_end="raw").load(32, 0)


def test_pictures_are_reduced_to_the_size_of_the_search(folder: Path) -> None:
    loaded = SoundFolder(path=str(folder)).load(16, 0)
    assert loaded.samples.images.shape == (8, 1, 16, 16)
    assert loaded.remarks[-1] == "All 8 images were resized from 32x32 to 16x16."
