"""Each kind of extension has one suite, which runs here over every registered name."""

from pathlib import Path

import pytest

from edanas.core.hookspecs import KINDS
from edanas.plugins.registry import Registry
from edanas.testing import SUITES

HERE = Path(__file__).parent


def test_each_kind_has_a_suite() -> None:
    assert list(SUITES) == [kind.name for kind in KINDS]


@pytest.mark.parametrize("kind", SUITES)
def test_the_suite_runs_over_every_name(kind: str, registry: Registry) -> None:
    text = (HERE / f"test_every_{kind.replace(' ', '_')}.py").read_text(encoding="utf-8")
    assert f'KIND = "{kind}"' in text
    assert f"{SUITES[kind].__name__}(" in text
    assert registry.names(kind)


def test_no_built_in_is_broken(registry: Registry) -> None:
    assert [broken for broken in registry.host.broken if broken.plugin.built_in] == []
