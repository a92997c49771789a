"""The data set `sound`: recordings in one folder for each class, as spectrograms or as series."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ImageSet, LoadedData, Survey
from edanas.data.auto_preset import survey_of
from edanas.data.folder_layout import find_images, natural_key
from edanas.data.grouping import groups_of
from edanas.data.image_array import fit
from edanas.data.long_series import LONGEST
from edanas.data.sound_files import SUFFIXES, Sound, read_sound, resample
from edanas.data.spectrogram import KINDS, FrontEnd, fit_length

RAW = "raw"
"""The front end that leaves sound as a series."""

COVERED = 0.95
"""Share of the recordings that the length of all recordings covers as a whole."""


class SoundFolder(DataSource):
    """Recordings (WAV, FLAC, OGG) in folders named after their classes, e.g. `yes/1.wav`.

    Folders are laid out as those of images; see `edanas.data.folder.Folder`. Several channels become their
    mean. Recordings are cropped in the middle or padded with silence to one length.

    Args:
        path: Path of the folder; required.
        front_end: `log-mel` (default) or `mfcc` for pictures, which networks for images classify; `raw` for
            series, which networks for series classify.
        rate: Sampling rate in hertz to which recordings are resampled. 0, the default, means the rate of the
            files, which must have one rate.
        seconds: Length of a recording. 0, the default, means the length that covers 95% of the recordings.
        side: Number of mel filters and of frames; 32 by default.
        group: Regular expression that finds the group of a recording in the name of its file, e.g. its
            speaker; the split keeps groups together. Empty, the default, means no groups.

    Raises:
        ConfigError: An option is out of range.
    """

    surveyed = True

    def __init__(
        self,
        *,
        path: str = "",
        front_end: str = "log-mel",
        rate: int = 0,
        seconds: float = 0.0,
        side: int = 32,
        group: str = "",
    ) -> None:
        if not path:
            raise ConfigError("data.path: found nothing; expected the path of a folder of class folders")
        if front_end not in (*KINDS, RAW):
            raise ConfigError(f"data.front_end: found '{front_end}'.{near_miss(front_end, (*KINDS, RAW))}")
        if rate and not 100 <= rate <= 400_000:
            raise ConfigError(f"data.rate: found {rate}; allowed: 100 to 400000 hertz, or 0")
        if not 0 <= seconds <= 3600:
            raise ConfigError(f"data.seconds: found {seconds:g}; allowed: 0 to 3600")
        if not 8 <= side <= 256:
            raise ConfigError(f"data.side: found {side}; allowed: 8 to 256")
        self.path, self.front_end, self.rate = Path(path).expanduser(), front_end, rate
        self.seconds, self.side, self.group = seconds, side, group

    def load(self, size: int, seed: int) -> LoadedData:
        """Read all recordings; see `DataSource.load`. Pictures larger than `size` are resized.

        Raises:
            DataError: The folder has no class folders, a file cannot be read, or rates differ.
        """
        listing = find_images(self.path, SUFFIXES)
        with ThreadPoolExecutor(4) as pool:
            recordings = list(pool.map(read_sound, listing.files))
        names = tuple(path.relative_to(self.path).as_posix() for path in listing.files)
        sounds, rate, sentences = self._at_one_rate(recordings, names)
        length = self._length(sounds, rate)
        images, more = self._samples(sounds, rate, length)
        if self.front_end != RAW and size < self.side:
            images, resized = fit(images, size)
            more = (*more, *resized)
        classes = sorted(set(listing.classes), key=natural_key)
        labels = torch.tensor([classes.index(name) for name in listing.classes], dtype=torch.int64)
        return LoadedData(
            ImageSet(images, labels, tuple(classes)),
            np.array(listing.parts, dtype=np.str_),
            (*listing.remarks(self.path), *sentences, *more),
            names,
            groups_of(names, self.group) if self.group else (),
            {} if self.front_end == RAW else FrontEnd(self.front_end, rate, length, self.side).to_json(),
        )

    def survey(self) -> Survey:
        """Count the recordings; see `DataSource.survey`."""
        listing = find_images(self.path, SUFFIXES)
        side = self.side
        if self.front_end == RAW:
            side = self.load(self.side, 0).samples.images.shape[3]
        surveyed = survey_of(listing.classes, listing.parts, [((side, side), True)])
        is_raw = self.front_end == RAW
        return replace(surveyed, sound=not is_raw, length=side if is_raw else 0)

    def _at_one_rate(
        self, recordings: Sequence[tuple[Sound, int]], names: Sequence[str]
    ) -> tuple[list[Sound], int, tuple[str, ...]]:
        """Return the recordings at one rate, the rate, and a sentence if recordings were resampled."""
        rates = Counter(rate for _, rate in recordings)
        if not self.rate and len(rates) > 1:
            listed = ", ".join(f"{rate} Hz ({count:,})" for rate, count in sorted(rates.items()))
            rare = min(rates, key=lambda rate: (rates[rate], rate))
            first = next(name for name, (_, rate) in zip(names, recordings, strict=True) if rate == rare)
            raise DataError(
                f"{self.path}: found sampling rates of {listed}, e.g. {first} has {rare} Hz; allowed: one "
                f"rate, or resampling to one by data.rate={min(rates)}"
            )
        target = self.rate or next(iter(rates))
        changed = sum(count for rate, count in rates.items() if rate != target)
        sentences = (f"{changed:,} recordings were resampled to {target} Hz.",) if changed else ()
        return [resample(sound, rate, target) for sound, rate in recordings], target, sentences

    def _length(self, sounds: Sequence[Sound], rate: int) -> int:
        if self.seconds:
            return max(self.side, round(self.seconds * rate))
        covered = float(np.quantile([len(sound) for sound in sounds], COVERED, method="higher"))
        return max(self.side, int(-(-covered // self.side)) * self.side)

    def _samples(
        self, sounds: Sequence[Sound], rate: int, length: int
    ) -> tuple[torch.Tensor, tuple[str, ...]]:
        """Return pictures (N, 1, side, side) uint8 or series (N, 1, 1, L) float32, and sentences."""
        longer = sum(len(sound) > length for sound in sounds)
        shorter = sum(len(sound) < length for sound in sounds)
        sentences = [
            f"Recordings have {length / rate:.2f} s at {rate} Hz: {longer:,} longer ones were cropped in the "
            f"middle, and {shorter:,} shorter ones padded with silence."
        ]
        if self.front_end == RAW:
            if length > LONGEST:
                lower = int(rate * LONGEST / length)
                raise ConfigError(
                    f"data.seconds: found {length / rate:g} s, which are {length:,} values at {rate} Hz; "
                    f"allowed with the front end 'raw': {LONGEST:,} values, e.g. by data.rate={lower}"
                )
            fitted: npt.NDArray[np.float32] = np.stack(
                [fit_length(sound.astype(np.float64), length) for sound in sounds]
            ).astype(np.float32)
            return torch.from_numpy(fitted)[:, None, None], tuple(sentences)
        front_end = FrontEnd(self.front_end, rate, length, self.side)
        pictures = np.stack([front_end.picture(sound) for sound in sounds])
        sentences.append(
            f"Front end: {self.front_end}, {self.side} filters and frames, {front_end.macs / 1e6:.2f}M "
            "multiply-adds a recording, which the costs of networks do not include."
        )
        return torch.from_numpy(pictures)[:, None], tuple(sentences)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `sound`."""
    return {"sound": SoundFolder}
