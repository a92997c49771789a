"""Fixtures of a small hand-made result."""

from typing import Any

import pytest
from hand_made_results import result_data


@pytest.fixture
def data() -> dict[str, Any]:
    """The data of a result in whose `front` the orders by test and by validation accuracy differ."""
    return result_data()
