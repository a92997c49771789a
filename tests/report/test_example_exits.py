from types import SimpleNamespace

import pytest

from edanas.report.html.networks import _figure

EXAMPLE = {"file": "a.png", "label": 0, "predicted": 0, "confidence": 0.5}


@pytest.mark.parametrize(
    ("number", "name"), [({"exit_number": 1}, "exit 1"), ({"exit": 0}, "exit 1"), ({"exit": 2}, "last exit")]
)
def test_older_files_count_exits_from_zero(number, name):
    row, pictures = SimpleNamespace(thresholds=(0.5, None)), SimpleNamespace(inline=lambda file: "address")
    assert f"exits at {name}" in _figure({**EXAMPLE, **number}, row, ("cat",), pictures)
