import sqlite3
from contextlib import closing

import pytest

from edanas.core.archive import FILE, Archive
from edanas.core.errors import RunError
from edanas.tables.table_request import check_images


def test_the_archive_of_another_run_is_read_and_its_folder_is_left_as_it_was(tmp_path):
    with Archive(tmp_path) as archive:
        archive.set_meta("data", "these images")
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # opening it for writing undoes this
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    tmp_path.chmod(0o500)
    try:
        check_images(tmp_path, "these images")
        with pytest.raises(RunError, match="the supernet was trained on other samples"):
            check_images(tmp_path, "others")
    finally:
        tmp_path.chmod(0o700)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
