"""`edanas doctor`: a report on this installation and its problems."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

_NOT_INSTALLED = "not installed"


def doctor(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON instead of text.")
    ] = False,
) -> None:
    """Check versions, devices, threads, cache folder and plugins. The exit code is 1 if a check fails."""
    import json

    from edanas.cli.views.doctor import show_installation

    state = examine()
    if as_json:
        typer.echo(json.dumps(state, indent=2))
    else:
        show_installation(state)
    if state["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Return the state of this installation as a JSON object.

    The value of `problems` is a list with a sentence for each problem.
    """
    import platform

    import torch

    from edanas.cli.plugins import survey
    from edanas.core.machine import home, usable_cores
    from edanas.core.version import VERSION
    from edanas.plugins.manager import load_plugins

    versions = _versions()
    folder = _folder_state(home())
    plugins = survey(load_plugins())
    problems = [f"{name} is {version}" for name, version in versions.items() if version == _NOT_INSTALLED]
    problems += _load_problems("torchvision")
    if folder["error"]:
        problems.append(f"EDANAS_HOME {folder['path']} cannot be written to: {folder['error']}")
    problems += [f"plugin {broken['name']} is broken: {broken['cause']}" for broken in plugins["broken"]]
    problems += [conflict["message"] for conflict in plugins["conflicts"]]
    return {
        "edanas": VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "devices": _devices(),
        "threads": {"cores": os.cpu_count(), "usable": usable_cores(), "torch": torch.get_num_threads()},
        "home": folder,
        "plugins": {
            "extensions": len(plugins["entries"]),
            "broken": plugins["broken"],
            "conflicts": plugins["conflicts"],
        },
        "problems": problems,
    }


def _versions() -> dict[str, str]:
    """Return the installed version of each required package by name; optional packages are left out."""
    import importlib.metadata
    import re

    requirements = importlib.metadata.requires("edanas") or []
    required = [requirement for requirement in requirements if "extra ==" not in requirement]
    names = [re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in required]
    versions = {}
    for name in sorted(names):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = _NOT_INSTALLED
    return versions


def _load_problems(name: str) -> list[str]:
    """Return a sentence in a list if a package does not load with the installed torch, else an empty list.

    The usual cause is that both packages are of different builds. Only the compiled libraries of the package
    are loaded, because the import of torchvision takes longer than all other checks.
    """
    import importlib.util

    import torch

    try:
        spec = importlib.util.find_spec(name)
        folders = [] if spec is None else spec.submodule_search_locations or []
        libraries = [path for folder in folders for path in Path(folder).glob("_C*.so")]
        if not libraries:
            importlib.import_module(name)
        for library in libraries:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except Exception as error:
        return [f"{name} cannot be imported: {type(error).__name__}: {error}"]
    return []


def _devices() -> list[dict[str, str]]:
    import platform

    import torch

    devices = [{"name": "cpu", "detail": platform.processor() or platform.machine()}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.1f} GiB"
        devices.append({"name": f"cuda:{index}", "detail": f"{properties.name}, {memory}"})
    return devices


def _folder_state(path: Path) -> dict[str, Any]:
    """Return the free space of a folder in GiB, and the error if the folder cannot be written to.

    If `path` does not exist, the nearest parent that exists is checked.
    """
    import shutil
    import tempfile

    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return {"path": str(path), "free_gib": None, "error": error.strerror or str(error)}
    return {"path": str(path), "free_gib": round(free / 2**30, 1), "error": None}
