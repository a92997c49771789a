import shutil

import numpy as np
import pytest
from toy_tables import fill, genomes

from edanas.tables.reader import Table


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The folder of a table of all 96 toy backbones, with the rows it was made of."""
    folder = tmp_path_factory.mktemp("toy")
    fill(folder / "whole.safetensors", genomes())
    return folder


@pytest.fixture(scope="session")
def whole(made):
    return Table.open(made / "whole.safetensors")


@pytest.fixture(scope="session")
def half(made, tmp_path_factory):
    """Half of its backbones, at random."""
    folder = tmp_path_factory.mktemp("half")
    shutil.copy(made / "rows.journal", folder)
    fill(folder / "half.safetensors", genomes()[np.sort(np.random.default_rng(0).permutation(96)[:48])])
    return Table.open(folder / "half.safetensors")


@pytest.fixture(scope="session")
def small(made, tmp_path_factory):
    """The path of a table of ten backbones."""
    folder = tmp_path_factory.mktemp("small")
    shutil.copy(made / "rows.journal", folder)
    fill(folder / "small.safetensors", genomes()[::10])
    return folder / "small.safetensors"
