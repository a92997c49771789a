"""Plugins for tests: those that are installed, and packages that a test writes."""

from functools import cache
from pathlib import Path

from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


@cache
def installed_registry() -> Registry:
    """Return the registry of all installed plugins, the built-in ones included."""
    return Registry(load_plugins())


def write_package(folder: Path, point: str, module: str, code: str, owner: str, version: str = "1.0") -> None:
    """Write a module and the metadata of a package that names it as an entry point, as an installer does.

    A second call with the same owner and version adds an entry point to the package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{owner.replace('-', '_')}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {owner}\nVersion: {version}\n")
    with (info / "entry_points.txt").open("a") as file:
        file.write(f"[edanas]\n{point} = {module}\n" if not file.tell() else f"{point} = {module}\n")
