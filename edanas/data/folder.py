"""The data set `folder`: images in one folder for each class, optionally divided into parts by folders."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import user_path
from edanas.core.types import LoadedData, Survey
from edanas.data.auto_preset import survey_files
from edanas.data.class_labels import ClassLabels
from edanas.data.decoding import Fit
from edanas.data.file_table import FileTable
from edanas.data.folder_layout import find_images
from edanas.data.grouping import groups_of
from edanas.data.load_files import check_channels, load_files, paths_below


class Folder(DataSource):
    """Images in folders named after their classes, e.g. `cat/1.png`.

    The class folders are in `path`, or in folders of parts under `path`: `train/`, `val/` and `test/`, or
    other usual names in any case. Images in `val/` and `test/` form the validation and the test part; the
    split divides all other images. Class folders may have subfolders, and links to folders are followed.

    Args:
        path: Path of the folder; required.
        channels: `grey` (one channel), `rgb` (three channels), or `auto` (default): grey if every image is
            grey.
        skip_unreadable: Skip files that cannot be read as images; by default they are an error.
        group: Pattern of the part of a file's path that names its group, e.g. its patient; all images of a
            group are in one part. Empty, the default, means no groups.

    Raises:
        ConfigError: `path` is empty, or `channels` is unknown.
    """

    surveyed = True

    def __init__(
        self, *, path: str = "", channels: str = "auto", skip_unreadable: bool = False, group: str = ""
    ) -> None:
        if not path:
            raise ConfigError("data.path: found nothing; expected the path of a folder of class folders")
        check_channels(channels)
        self.path, self.group = user_path(path), group
        self.channels, self.skip_unreadable = channels, skip_unreadable

    def load(self, size: int, seed: int) -> LoadedData:
        """Decode all images; see `DataSource.load`.

        Transparent pixels are blended with white, and images are rotated by their EXIF orientation.

        Raises:
            DataError: The folder has no class folders, or a file cannot be read as an image.
        """
        return self._load(size)

    def load_at(self, image_size: tuple[int, int], seed: int) -> LoadedData:
        """Decode all images and resize each straight to `image_size`; see `DataSource.load_at`."""
        return self._load(image_size)

    def survey(self) -> Survey:
        """Count the image files, and open at most 64 of them; see `DataSource.survey`."""
        listing = find_images(self.path)
        return survey_files(
            listing.files,
            listing.classes,
            listing.parts,
            skip_unreadable=self.skip_unreadable,
            place=str(self.path),
        )

    def _load(self, fit: Fit) -> LoadedData:
        listing = find_images(self.path)
        names = paths_below(listing.files, self.path)
        groups = groups_of(names, self.group) if self.group else ()
        table = FileTable(listing.files, names, ClassLabels.of(listing.classes), listing.parts, groups)
        remarks = listing.remarks(self.path)
        return load_files(table, fit, self.channels, remarks, skip_unreadable=self.skip_unreadable)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `folder`."""
    return {"folder": Folder}
