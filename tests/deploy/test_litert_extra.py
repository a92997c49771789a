import sys

import pytest

from edanas.core.optional_packages import MissingExtraError
from edanas.deploy.litert_export import LitertExporter, LitertInt8Exporter


@pytest.mark.parametrize("exporter", [LitertExporter, LitertInt8Exporter])
def test_without_the_extra_the_error_says_how_to_get_it(exporter, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(
        MissingExtraError, match=rf"'{exporter.name}' needs .* `pip install 'edanas\[litert\]'`"
    ):
        exporter()
