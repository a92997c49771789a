"""The data set `csv`: a table with a column of paths of images and a column of labels."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import user_path
from edanas.core.types import LoadedData, Survey
from edanas.data.auto_preset import survey_files
from edanas.data.decoding import Fit
from edanas.data.file_table import FileTable, grouped_table
from edanas.data.load_files import check_channels, load_files


class ImageTable(DataSource):
    """Images whose paths and labels are columns of a CSV file.

    Relative paths are relative to the folder of the file. A column named `part` or `split` assigns images to
    parts.

    Args:
        path: Path of the CSV file; required.
        path_column: Name of the column of paths; empty, the default, if its values show it.
        label_column: Name of the column of labels; empty, the default, if its name shows it: `label`, `y`.
        group: Name of the column with the group of each image, or a pattern in its path; empty, the default,
            for the column `group`, if present.
        channels: `grey`, `rgb`, or `auto` (default): grey if every image is grey.
        skip_unreadable: Skip files that cannot be read as images; by default they are an error.

    Raises:
        ConfigError: `path` is empty, or `channels` is unknown.
    """

    surveyed = True

    def __init__(
        self,
        *,
        path: str = "",
        path_column: str = "",
        label_column: str = "",
        group: str = "",
        channels: str = "auto",
        skip_unreadable: bool = False,
    ) -> None:
        if not path:
            raise ConfigError("data.path: found nothing; expected the path of a CSV file")
        check_channels(channels)
        self.path, self.group = user_path(path), group
        self.columns = path_column, label_column
        self.channels, self.skip_unreadable = channels, skip_unreadable

    def load(self, size: int, seed: int) -> LoadedData:
        """Decode all images; see `DataSource.load`."""
        return self._load(size)

    def load_at(self, image_size: tuple[int, int], seed: int) -> LoadedData:
        """Decode all images and resize each straight to `image_size`; see `DataSource.load_at`."""
        return self._load(image_size)

    def survey(self) -> Survey:
        """Count the images, and open at most 64 of them; see `DataSource.survey`."""
        table = self._table()
        classes = [table.labels.names[code] for code in table.labels.codes]
        return survey_files(
            table.files, classes, table.parts, skip_unreadable=self.skip_unreadable, place=str(self.path)
        )

    def _load(self, fit: Fit) -> LoadedData:
        return load_files(self._table(), fit, self.channels, skip_unreadable=self.skip_unreadable)

    def _table(self) -> FileTable:
        return grouped_table(self.path, *self.columns, self.group)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `csv`."""
    return {"csv": ImageTable}
