from typing import Any

import pytest
from engine_runs import Events, recorded, search

from edanas.core.engine import SearchOutcome


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchOutcome, list[Any], Events]:
    """An undisturbed run, its archive and its events."""
    folder = tmp_path_factory.mktemp("whole")
    events = Events()
    return search(folder, notify=events), recorded(folder), events
