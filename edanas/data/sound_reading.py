"""Recordings at one rate and one length, as spectrograms or as series."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.errors import ConfigError, DataError, near_miss
from edanas.data.image_array import fit
from edanas.data.long_series import LONGEST
from edanas.data.sound_files import Sound, resample
from edanas.data.spectrogram import KINDS, RAW, FrontEnd

COVERED = 0.95
"""Share of the recordings that the length of all recordings covers as a whole."""


class SoundSamples(NamedTuple):
    """Recordings in the form in which a run reads them.

    Args:
        images: Pictures (N, 1, side, side) uint8, or series (N, 1, 1, L) float32.
        sentences: Sentences about the reading.
        front_end: The front end.
    """

    images: torch.Tensor
    sentences: tuple[str, ...]
    front_end: FrontEnd


@dataclass(frozen=True)
class SoundReading:
    """The options for the reading of recordings; see `edanas.data.sound.SoundFolder`.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> recordings = [(np.sin(np.arange(800) / hertz).astype(np.float32), 8000) for hertz in (2, 9)]
        >>> SoundReading(side=8).samples(recordings, ["a", "b"], "data").images.shape
        torch.Size([2, 1, 8, 8])
    """

    front_end: str = "log-mel"
    rate: int = 0
    seconds: float = 0.0
    side: int = 32

    def __post_init__(self) -> None:
        if self.front_end not in KINDS:
            raise ConfigError(f"data.front_end: found '{self.front_end}'.{near_miss(self.front_end, KINDS)}")
        if self.rate and not 100 <= self.rate <= 400_000:
            raise ConfigError(f"data.rate: found {self.rate}; allowed: 100 to 400000 hertz, or 0")
        if not 0 <= self.seconds <= 3600:
            raise ConfigError(f"data.seconds: found {self.seconds:g}; allowed: 0 to 3600")
        if not 8 <= self.side <= 256:
            raise ConfigError(f"data.side: found {self.side}; allowed: 8 to 256")

    def samples(
        self, recordings: Sequence[tuple[Sound, int]], names: Sequence[str], place: str, size: int = 0
    ) -> SoundSamples:
        """Return recordings at one rate and length.

        Args:
            recordings: Each recording (n,) with its rate.
            names: Name of each recording for messages.
            place: Name of the data for messages.
            size: Largest side of pictures, to which larger ones are resized; 0, the default, for any side.

        Raises:
            ConfigError: Series are longer than networks read.
            DataError: Rates differ and `rate` is 0, or all recordings are silent.
        """
        sounds, rate, sentences = self._at_one_rate(recordings, names, place)
        if not any(sound.any() for sound in sounds):
            raise DataError(f"{place}: all recordings are silent; allowed: recordings that differ")
        front_end = FrontEnd(self.front_end, rate, self._length(sounds, rate), self.side)
        length = front_end.length
        longer = sum(len(sound) > length for sound in sounds)
        shorter = sum(len(sound) < length for sound in sounds)
        sentences = (
            *sentences,
            f"Recordings have {length / rate:.2f} s at {rate} Hz: {longer:,} longer ones were cropped in the "
            f"middle, and {shorter:,} shorter ones padded with silence.",
        )
        if self.front_end == RAW and length > LONGEST:
            raise ConfigError(
                f"data.seconds: found {length / rate:g} s, which are {length:,} values at {rate} Hz; allowed "
                f"with the front end 'raw': {LONGEST:,} values, e.g. by "
                f"data.rate={int(rate * LONGEST / length)}"
            )
        images = torch.from_numpy(np.stack([front_end.picture(sound) for sound in sounds]))[:, None]
        if self.front_end != RAW:
            sentences = (
                *sentences,
                f"Front end: {self.front_end}, {self.side} filters and frames, {front_end.macs / 1e6:.2f}M "
                "multiply-adds a recording, which the costs of networks do not include.",
            )
            if size:
                images, resized = fit(images, size)
                sentences = (*sentences, *resized)
        return SoundSamples(images, sentences, front_end)

    def _at_one_rate(
        self, recordings: Sequence[tuple[Sound, int]], names: Sequence[str], place: str
    ) -> tuple[list[Sound], int, tuple[str, ...]]:
        """Return the recordings at one rate, the rate, and a sentence if recordings were resampled."""
        rates = Counter(rate for _, rate in recordings)
        if not self.rate and len(rates) > 1:
            listed = ", ".join(f"{rate} Hz ({count:,})" for rate, count in sorted(rates.items()))
            rare = min(rates, key=lambda rate: (rates[rate], rate))
            first = next(name for name, (_, rate) in zip(names, recordings, strict=True) if rate == rare)
            raise DataError(
                f"{place}: found sampling rates of {listed}, e.g. {first} has {rare} Hz; allowed: one "
                f"rate, or resampling to one by data.rate={min(rates)}"
            )
        target = self.rate or next(iter(rates))
        changed = sum(count for rate, count in rates.items() if rate != target)
        were = "recording was" if changed == 1 else "recordings were"
        sentences = (f"{changed:,} {were} resampled to {target} Hz.",) if changed else ()
        return [resample(sound, rate, target) for sound, rate in recordings], target, sentences

    def _length(self, sounds: Sequence[Sound], rate: int) -> int:
        if self.seconds:
            return max(self.side, round(self.seconds * rate))
        covered = float(np.quantile([len(sound) for sound in sounds], COVERED, method="higher"))
        return max(self.side, int(-(-covered // self.side)) * self.side)


def as_sound(values: npt.NDArray[Any]) -> Sound:
    """Return an array of sound, (n,) or with an axis of channels, as the mean of its channels in [-1, 1].

    Integers are divided by half of their range, as in WAV files; unsigned bytes are less 128 first. NaN at
    the end is padding.

    Example:
        >>> as_sound(np.array([[0, -16384], [0, -16384]], dtype=np.int16)).tolist()
        [0.0, -0.5]
    """
    array = values.astype(np.float64)
    if values.dtype.kind in "iu":
        half = 2.0 ** (8 * values.dtype.itemsize - 1)
        array = (array - half * (values.dtype.kind == "u")) / half
    if array.ndim > 1:
        array = array.mean(axis=int(np.argmin(array.shape)))
    valid = np.flatnonzero(~np.isnan(array))
    return array[: int(valid[-1]) + 1 if len(valid) else 0].astype(np.float32)
