"""Plugin packages made on the spot: a module and the metadata that an installer would write."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HEAD = """
from edanas import hookimpl
from edanas.core.contracts import Bundle, ConfidenceCriterion

class Constant(ConfidenceCriterion):
    '''The same confidence for everything.

    More that is not listed.
    '''
    def __init__(self, value: float = 0.5, *, name_of: str = "x", steps: tuple[int, ...] = ()) -> None:
        self.value, self.name_of, self.steps = value, name_of, steps
    def __call__(self, logits):
        return logits[:, 0] * 0 + self.value
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """`install(entry_point, code, owner=..., version=...)` -> the name of the module that holds `code`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def install(point: str, code: str, owner: str = "", version: str = "1.0") -> str:
        module = f"fake_{point.replace('-', '_')}_{len(made)}"
        (tmp_path / f"{module}.py").write_text(HEAD + code)
        owner = owner or f"dist-{point}"
        info = tmp_path / f"{owner.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {owner}\nVersion: {version}\n")
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[edanas]\n{point} = {module}\n" if not file.tell() else f"{point} = {module}\n")
        made.append(module)
        return module

    yield install
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def no_built_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test installs."""
    monkeypatch.setattr("edanas.plugins.manager.BUILT_IN", ())
