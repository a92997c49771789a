"""Log-mel spectrograms and MFCC of sound as 8-bit pictures, and their multiply-adds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import ConfigError, near_miss

RAW = "raw"
"""The front end that leaves sound as a series."""

KINDS = ("log-mel", "mfcc", RAW)
"""Front ends: two that turn sound into pictures, and `RAW`."""

RANGE = 80.0
"""Range of the levels in decibels below the loudest level of a recording; lower levels are black."""

_LOWEST = 20.0
"""Lower end of the first mel filter in hertz."""

_BREAK, _LINEAR, _LOG_STEP = 1000.0, 200.0 / 3, math.log(6.4) / 27
"""Slaney's mel scale: hertz where it becomes logarithmic, hertz of a mel below, logarithm of a mel above."""


@dataclass(frozen=True)
class FrontEnd:
    """A front end: windows of sound, their spectra, mel filters, logarithm, and for MFCC a cosine transform.

    Args:
        kind: `log-mel` or `mfcc` for pictures, or `raw` for series.
        rate: Sampling rate in hertz.
        length: Number of values of a recording; others are cropped in the middle or padded with zeros.
        side: Number of frames, and of mel filters: height and width of the picture.

    Raises:
        ConfigError: `kind` is unknown.

    Example:
        >>> front_end = FrontEnd("log-mel", rate=8000, length=5200, side=32)
        >>> front_end.window, front_end.picture(np.sin(np.arange(5200.0))).shape
        (512, (32, 32))
    """

    kind: str
    rate: int
    length: int
    side: int = 32

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"data.front_end: found '{self.kind}'.{near_miss(self.kind, KINDS)}")

    @property
    def window(self) -> int:
        """Number of values of a window: the power of two from twice the distance of windows on."""
        return int(2 ** max(4, math.ceil(math.log2(2 * self.length / self.side))))

    @property
    def macs(self) -> int:
        """Multiply-adds for a recording, by the textbook counts of each step.

        A window of N values needs N for its weights, N log2 N for a real Fourier transform, and N for squares
        of magnitudes. Filters need their weights that are not zero. The cosine transform of MFCC is a matrix
        product. Sorensen et al., 1987, need about half for the Fourier transform.
        """
        if self.kind == RAW:
            return 0
        size, bins = self.window, self.window // 2 + 1
        filters = int(np.count_nonzero(mel_filters(self.side, size, self.rate)))
        cosine = self.side**2 if self.kind == "mfcc" else 0
        return self.side * (size + int(size * math.log2(size)) + 2 * bins + filters + cosine)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "FrontEnd":
        """Return the front end that the description of a network states; see `to_json`."""
        return cls(str(fields["kind"]), int(fields["rate"]), int(fields["length"]), int(fields["side"]))

    def to_json(self) -> dict[str, Any]:
        """Return the front end as values of JSON, with its multiply-adds."""
        return {**asdict(self), "macs": self.macs}

    def picture(self, sound: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
        """Return the picture (side, side) of a recording (n,): rows are mel filters or coefficients.

        The lowest filter is the last row, and time runs from left to right. Levels are relative to the
        loudest level of the recording, so that its volume does not matter. `raw` returns a series (1, L).
        """
        fitted = fit_length(np.asarray(sound, dtype=np.float64), self.length)
        if self.kind == RAW:
            return fitted.astype(np.float32)[None]
        size, hop = self.window, self.length / self.side
        padded = np.pad(fitted, size // 2)
        starts = (np.arange(self.side) * hop + hop / 2).astype(int)
        frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size + 1)[:-1]
        power = np.abs(np.fft.rfft(frames)) ** 2 @ mel_filters(self.side, size, self.rate).T
        levels = 10 * np.log10(np.maximum(power, 1e-10))
        levels = np.clip(levels - levels.max() + RANGE, 0.0, RANGE)
        if self.kind == "mfcc":
            from scipy.fft import dct

            coefficients = dct(levels - RANGE / 2, norm="ortho", axis=1)
            levels = np.clip(RANGE / 2 + coefficients * 3 / math.sqrt(self.side), 0.0, RANGE)
        picture: npt.NDArray[np.uint8] = np.rint(levels.T[::-1] * (255 / RANGE)).astype(np.uint8)
        return picture


def fit_length(sound: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Return a recording cropped in the middle, or padded with zeros on both ends, to a length.

    Example:
        >>> fit_length(np.array([1.0, 2.0, 3.0]), 1), fit_length(np.array([1.0]), 3)
        (array([2.]), array([0., 1., 0.]))
    """
    spare = len(sound) - length
    if spare >= 0:
        return sound[spare // 2 : spare // 2 + length]
    return np.pad(sound, (-spare // 2, -spare - -spare // 2))


@lru_cache(maxsize=16)
def mel_filters(count: int, window: int, rate: int) -> npt.NDArray[np.float64]:
    """Return triangular filters (count, window // 2 + 1) that are equally spaced on Slaney's mel scale.

    Each filter has area 1 in hertz. Filters begin at 20 Hz and end at half of the rate. They equal
    `librosa.filters.mel(sr=rate, n_fft=window, n_mels=count, fmin=20)`. Slaney, Auditory Toolbox, 1998.

    Args:
        count: Number of filters.
        window: Number of values of a window.
        rate: Sampling rate in hertz.
    """
    ends = _hertz(np.linspace(_mel(_LOWEST), _mel(rate / 2), count + 2))
    bins = np.arange(window // 2 + 1) * rate / window
    rising = (bins - ends[:-2, None]) / np.diff(ends)[:-1, None]
    falling = (ends[2:, None] - bins) / np.diff(ends)[1:, None]
    filters: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return filters * (2 / (ends[2:] - ends[:-2]))[:, None]


def _mel(hertz: float) -> float:
    if hertz < _BREAK:
        return hertz / _LINEAR
    return _BREAK / _LINEAR + math.log(hertz / _BREAK) / _LOG_STEP


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = _BREAK * np.exp((mels - _BREAK / _LINEAR) * _LOG_STEP)
    return np.where(mels < _BREAK / _LINEAR, mels * _LINEAR, above)
