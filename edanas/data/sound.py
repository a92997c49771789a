"""The data set `sound`: recordings in one folder for each class or in a table, as spectrograms or series."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import user_path
from edanas.core.types import ImageSet, LoadedData, Survey
from edanas.data.auto_preset import survey_of
from edanas.data.class_labels import ClassLabels
from edanas.data.file_table import FileTable, grouped_table
from edanas.data.folder_layout import find_images
from edanas.data.grouping import groups_of
from edanas.data.load_files import paths_below
from edanas.data.sound_files import SUFFIXES, read_sound
from edanas.data.sound_reading import SoundReading
from edanas.data.spectrogram import RAW


class SoundFolder(DataSource):
    """Recordings (WAV, FLAC, OGG) in folders named after their classes, e.g. `yes/1.wav`, or in a CSV file.

    Folders are laid out as those of images; see `edanas.data.folder.Folder`, and
    `edanas.data.image_table.ImageTable` for tables. Several channels become their mean. Recordings are
    cropped in the middle or padded with silence to one length.

    Args:
        path: Path of the folder, or of a CSV file with paths and labels; required.
        front_end: `log-mel` (default) or `mfcc` for pictures, which networks for images classify; `raw` for
            series, which networks for series classify.
        rate: Sampling rate in hertz to which recordings are resampled. 0, the default, means the rate of the
            files, which must have one rate.
        seconds: Length of a recording. 0, the default, means the length that covers 95% of the recordings.
        side: Number of mel filters and of frames; 32 by default.
        group: Regular expression that finds the group of a recording in the name of its file, e.g. its
            speaker, or the name of a column of the table; the split keeps groups together. Empty, the
            default, means no groups, or the table's column `group`.
        path_column: Name of the table's column of paths; empty, the default, if its values show it.
        label_column: Name of the table's column of labels; empty, the default, if its name shows it.

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
        path_column: str = "",
        label_column: str = "",
    ) -> None:
        if not path:
            raise ConfigError("data.path: found nothing; expected the path of a folder of class folders")
        self.reading = SoundReading(front_end, rate, seconds, side)
        self.path, self.group, self.columns = user_path(path), group, (path_column, label_column)

    def load(self, size: int, seed: int) -> LoadedData:
        """Read all recordings; see `DataSource.load`. Pictures larger than `size` are resized.

        Raises:
            DataError: The folder has no class folders, a file cannot be read, or rates differ.
        """
        table, remarks = self._table()
        with ThreadPoolExecutor(4) as pool:
            recordings = list(pool.map(read_sound, table.files))
        images, sentences, front_end = self.reading.samples(recordings, table.names, str(self.path), size)
        labels = table.labels
        return LoadedData(
            ImageSet(images, torch.from_numpy(np.array(labels.codes)), labels.names, labels.other_values),
            np.array(table.parts, dtype=np.str_),
            (*remarks, *sentences),
            table.names,
            table.groups,
            front_end.to_json(),
        )

    def survey(self) -> Survey:
        """Count the recordings; see `DataSource.survey`."""
        table, _ = self._table()
        is_raw, side = self.reading.front_end == RAW, self.reading.side
        if is_raw:
            side = self.load(side, 0).samples.images.shape[3]
        classes = [table.labels.names[code] for code in table.labels.codes]
        surveyed = survey_of(classes, table.parts, [((side, side), True)])
        return replace(surveyed, sound=not is_raw, length=side if is_raw else 0)

    def _table(self) -> tuple[FileTable, tuple[str, ...]]:
        """Return the recordings with their labels, and sentences about files that are not read."""
        if self.path.is_file():
            return grouped_table(self.path, *self.columns, self.group), ()
        listing = find_images(self.path, SUFFIXES)
        names = paths_below(listing.files, self.path)
        groups = groups_of(names, self.group) if self.group else ()
        labels = ClassLabels.of(listing.classes)
        return FileTable(listing.files, names, labels, listing.parts, groups), listing.remarks(self.path)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `sound`."""
    return {"sound": SoundFolder}
