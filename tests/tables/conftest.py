import shutil

import numpy as np
import pytest
from toy_tables import fill, genomes

from edanas.tables.reader import Table


@pytest.fixture(scope="session")
def table_folder(tmp_path_factory):
    """Folder of a table of all 96 toy backbones, and of its rows."""
    folder = tmp_path_factory.mktemp("toy")
    fill(folder / "whole.safetensors", genomes())
    return folder


@pytest.fixture(scope="session")
def whole(table_folder):
    return Table.open(table_folder / "whole.safetensors")


@pytest.fixture(scope="session")
def half(table_folder, tmp_path_factory):
    """A table of half of the backbones, at random."""
    folder = tmp_path_factory.mktemp("half")
    shutil.copy(table_folder / "rows.journal", folder)
    fill(folder / "half.safetensors", genomes()[np.sort(np.random.default_rng(0).permutation(96)[:48])])
    return Table.open(folder / "half.safetensors")


@pytest.fixture(scope="session")
def small(table_folder, tmp_path_factory):
    """Path of a table of ten backbones."""
    folder = tmp_path_factory.mktemp("small")
    shutil.copy(table_folder / "rows.journal", folder)
    fill(folder / "small.safetensors", genomes()[::10])
    return folder / "small.safetensors"
