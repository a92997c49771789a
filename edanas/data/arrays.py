"""The data sets of arrays: `arrays`, which a program passed, `npz`, a file, and `parquet`, a folder."""

import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError, DataError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import user_path
from edanas.core.types import LoadedData, Survey
from edanas.data.decoding import Fit
from edanas.data.load_files import check_channels
from edanas.data.load_samples import Reading, load_samples, survey_samples
from edanas.data.named_arrays import set_of_arrays
from edanas.data.parquet_files import set_of_parquet
from edanas.data.sample_set import SampleSet
from edanas.data.sample_store import stored_set
from edanas.data.sound_reading import SoundReading


class ArraySource(DataSource):
    """Base class of data sets whose samples are arrays of numbers.

    Args:
        layout: The order of the axes: `NCHW`, `NHWC` or `NHW` for images, `NCL`, `NLC` or `NL` for series;
            `auto`, the default, concludes it from the shape where that is safe.
        range: The values of black and white pixels; empty, the default, if the values show it.
        channels: `grey`, `rgb`, or `auto` (default): grey if every image is grey.
        front_end: `log-mel` or `mfcc` for series that are recordings, which become pictures; empty, the
            default, for other data. See `edanas.data.sound.SoundFolder`.
        rate: Sampling rate of the recordings in hertz; required with `front_end`.

    Raises:
        ConfigError: `channels` or `front_end` is unknown, or there is no rate.
    """

    surveyed = True

    def __init__(self, layout: str, range: Sequence[float], channels: str, front_end: str, rate: int) -> None:  # noqa: A002
        check_channels(channels)
        if front_end and not rate:
            raise ConfigError("data.rate: found 0; allowed with data.front_end: the rate of the arrays")
        self.reading = Reading(layout, range, channels, SoundReading(front_end, rate) if front_end else None)

    @abstractmethod
    def read(self) -> SampleSet:
        """Return the samples in their own shape and type.

        Raises:
            DataError: They cannot be read.
        """

    def load(self, size: int, seed: int) -> LoadedData:
        """Return the samples; see `DataSource.load`."""
        return self._load(size)

    def load_at(self, image_size: tuple[int, int], seed: int) -> LoadedData:
        """Return the samples, each resized straight to `image_size`; see `DataSource.load_at`."""
        return self._load(image_size)

    def survey(self) -> Survey:
        """Count the samples, and inspect at most 64 of them; see `DataSource.survey`."""
        return survey_samples(self.read(), self.reading)

    def _load(self, fit: Fit) -> LoadedData:
        return load_samples(self.read(), fit, self.reading)


class Arrays(ArraySource):
    """Samples and labels that `edanas.search(data=...)` stored under `EDANAS_HOME`, found by their digest.

    Args:
        digest: The digest of the samples, which `edanas.search` sets.
        layout: See `ArraySource`.
        range: See `ArraySource`.
        channels: See `ArraySource`.
        front_end: See `ArraySource`.
        rate: See `ArraySource`.

    Raises:
        ConfigError: `digest` is empty, or `channels` is unknown.
    """

    def __init__(
        self,
        *,
        digest: str = "",
        layout: str = "auto",
        range: Sequence[float] = (),  # noqa: A002 - the option's name
        channels: str = "auto",
        front_end: str = "",
        rate: int = 0,
    ) -> None:
        super().__init__(layout, range, channels, front_end, rate)
        if not digest:
            raise ConfigError("data.digest: found nothing; arrays are passed as `edanas.search(data=(X, y))`")
        self.digest = digest

    def read(self) -> SampleSet:
        """Return the stored samples, mapped from their files."""
        return stored_set(self.digest)


class Npz(ArraySource):
    """A file of NumPy, `.npz`, with samples `x` and labels `y`, or with `x_train`, `y_train`, `x_test` etc.

    Args:
        path: Path of the file; required.
        layout: See `ArraySource`.
        range: See `ArraySource`.
        channels: See `ArraySource`.
        front_end: See `ArraySource`.
        rate: See `ArraySource`.
        group: Name of the array with the group of each sample; empty, the default, for `groups`, if present.

    Raises:
        ConfigError: `path` is empty, or `channels` is unknown.
    """

    def __init__(
        self,
        *,
        path: str = "",
        layout: str = "auto",
        range: Sequence[float] = (),  # noqa: A002 - the option's name
        channels: str = "auto",
        group: str = "",
        front_end: str = "",
        rate: int = 0,
    ) -> None:
        super().__init__(layout, range, channels, front_end, rate)
        self.path, self.group = _required(path, "an .npz file"), group

    def read(self) -> SampleSet:
        """Return the samples in the file.

        Raises:
            DataError: The file cannot be read, or its arrays have no usual names.
        """
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file; allowed: an .npz file of samples and labels")
        if not zipfile.is_zipfile(self.path):
            raise DataError(
                f"{self.path}: is no .npz file, or is cut; allowed: a file of `numpy.savez(path, x=x, y=y)`"
            )
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            advice = "; save numbers, with NaN after shorter series" if "pickle" in str(error).lower() else ""
            raise DataError(f"{self.path}: cannot be read as .npz: {error}{advice}") from error
        return set_of_arrays(arrays, self.group, place=str(self.path))


class Parquet(ArraySource):
    """A parquet file of Hugging Face, or a folder of such files, e.g. `train-00000-of-00001.parquet`.

    Args:
        path: Path of the file or folder; required. The package `datasets` (`edanas[hf]`) reads it.
        layout: See `ArraySource`.
        range: See `ArraySource`.
        channels: See `ArraySource`.
        front_end: See `ArraySource`.
        rate: See `ArraySource`.
        group: Name of the column with the group of each sample; empty, the default, means no groups.

    Raises:
        ConfigError: `path` is empty, or `channels` is unknown.
    """

    def __init__(
        self,
        *,
        path: str = "",
        layout: str = "auto",
        range: Sequence[float] = (),  # noqa: A002 - the option's name
        channels: str = "auto",
        group: str = "",
        front_end: str = "",
        rate: int = 0,
    ) -> None:
        super().__init__(layout, range, channels, front_end, rate)
        self.path, self.group = _required(path, "a folder of parquet files"), group

    def read(self) -> SampleSet:
        """Return the samples in the files.

        Raises:
            ConfigError: The package `datasets` is not installed.
            DataError: A file cannot be read, or its columns have no usual names.
        """
        return set_of_parquet(self.path, self.group)


def _required(path: str, description: str) -> Path:
    if not path:
        raise ConfigError(f"data.path: found nothing; expected the path of {description}")
    return user_path(path)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data sets of arrays."""
    return {"arrays": Arrays, "npz": Npz, "parquet": Parquet}
