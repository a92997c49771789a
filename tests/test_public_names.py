import pytest

import edanas
from edanas.plugins.manager import load_plugins


def test_every_public_name_can_be_imported():
    assert all(getattr(edanas, name) is not None for name in edanas.__all__)


def test_functions_for_a_finished_network_are_public():
    assert {"load", "stream", "tune", "retune", "export", "bench"} <= set(edanas.__all__)


def test_search_is_a_function_after_plugins_are_imported():
    load_plugins()
    assert callable(edanas.search)


def test_dir_lists_the_public_names_alone():
    assert [name for name in dir(edanas) if not name.startswith("__")] == sorted(edanas.__all__)


def test_an_unknown_name_is_an_error():
    with pytest.raises(AttributeError, match="'serach'"):
        edanas.serach  # noqa: B018 - it raises
