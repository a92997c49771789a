"""`edanas doctor`: what this installation is made of, and what is wrong with it."""

import importlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from edanas.cli.plugins import survey
from edanas.core.machine import home, usable_cores
from edanas.core.version import VERSION
from edanas.plugins.manager import load_plugins

_NOT_INSTALLED = "not installed"


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check versions, devices, threads, cache folder and plugins; exit code 1 if something is wrong."""
    report = examine()
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    if report["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """The state of this installation as plain values; `problems` has one sentence for each thing to mend."""
    versions = _versions()
    folder = _folder(home())
    state = survey(load_plugins())
    problems = [f"{name} is {version}" for name, version in versions.items() if version == _NOT_INSTALLED]
    problems += _imports("torchvision")
    if folder["error"]:
        problems.append(f"EDANAS_HOME {folder['path']} cannot be written to: {folder['error']}")
    problems += [f"plugin {broken['name']} is broken: {broken['cause']}" for broken in state["broken"]]
    problems += [conflict["message"] for conflict in state["conflicts"]]
    return {
        "edanas": VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "devices": _devices(),
        "threads": {"cores": os.cpu_count(), "usable": usable_cores(), "torch": torch.get_num_threads()},
        "home": folder,
        "plugins": {
            "extensions": len(state["entries"]),
            "broken": state["broken"],
            "conflicts": state["conflicts"],
        },
        "problems": problems,
    }


def _versions() -> dict[str, str]:
    """The versions of what edanas depends on, by its own package's list."""
    requirements = importlib.metadata.requires("edanas") or []
    needed = [requirement for requirement in requirements if "extra ==" not in requirement]
    names = [re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in needed]
    versions = {}
    for name in sorted(names):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = _NOT_INSTALLED
    return versions


def _imports(name: str) -> list[str]:
    """A problem if a compiled package does not load beside this torch, as in mixed CPU and CUDA builds."""
    try:
        importlib.import_module(name)
    except Exception as error:
        return [f"{name} cannot be imported: {type(error).__name__}: {error}"]
    return []


def _devices() -> list[dict[str, str]]:
    devices = [{"name": "cpu", "detail": platform.processor() or platform.machine()}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.1f} GiB"
        devices.append({"name": f"cuda:{index}", "detail": f"{properties.name}, {memory}"})
    return devices


def _folder(path: Path) -> dict[str, Any]:
    """Whether files can be made in `path`, tried in its nearest existing parent to leave nothing behind."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return {"path": str(path), "free_gib": None, "error": error.strerror or str(error)}
    return {"path": str(path), "free_gib": round(free / 2**30, 1), "error": None}


def _print(report: dict[str, Any]) -> None:
    threads, folder, plugins = report["threads"], report["home"], report["plugins"]
    lines = [
        ("edanas", report["edanas"]),
        ("python", f"{report['python']} on {report['platform']}"),
        *report["versions"].items(),
        *((device["name"], device["detail"]) for device in report["devices"]),
        (
            "threads",
            f"{threads['torch']} used by torch, {threads['usable']} of {threads['cores']} cores usable",
        ),
        ("home", folder["path"] + (f", {folder['free_gib']} GiB free" if folder["free_gib"] else "")),
        ("plugins", f"{plugins['extensions']} extensions, {len(plugins['broken'])} broken plugins"),
    ]
    console = Console()
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        console.print(f"{name:<{width}}  {value}", markup=False, highlight=False, soft_wrap=True)
    for problem in report["problems"]:
        console.print(f"Problem: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    if not report["problems"]:
        console.print("Everything is in order.", style="green")
