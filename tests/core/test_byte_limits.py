"""Numbers of bytes in settings."""

import pytest

from edanas.core.config import resolve, to_plain
from edanas.core.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "size"),
    [
        *(("64k", 64_000), ("1.5M", 1.5e6), ("65536", 65_536), (65_536, 65_536), (0, 0), (1e3, 1e3)),
        *(("64 k", 64_000), ("65,536", 65_536), ("65_536", 65_536), ("1e5", 100_000)),
    ],
)
def test_limits_of_memory_have_letters(value, size):
    settings = resolve([("the arguments", {"max_ram": value})])
    assert settings.max_ram == size
    assert resolve([("a file", to_plain(settings))]) == settings


@pytest.mark.parametrize(
    "value", ["64kb", "64 kk", "-1", -1, "k", "", True, "1e", "1e400", float("nan"), [64]]
)
def test_other_units_are_errors(value):
    with pytest.raises(ConfigError, match=r"max_flash: .* from --set: expected a number of bytes like 65536"):
        resolve([("--set", {"max_flash": value})])
