"""Start-up: modules that quick commands must not import, and Ctrl-C during imports."""

import subprocess
import sys

import pytest

HEAVY = (
    *("torch", "torchvision", "timm", "ofa", "pymoo", "sklearn", "xgboost", "matplotlib", "pandas", "scipy"),
    *("moocore", "onnx", "onnxruntime", "mlflow", "tensorboard", "PIL", "yaml", "numpy", "safetensors"),
)
COMMAND = "from edanas.cli import main; code = main({arguments!r})"


def loaded(code: str, *modules: str) -> list[str]:
    """The modules out of `modules` that a fresh process has imported after `code`."""
    report = f"import sys; print([name for name in {modules!r} if name in sys.modules], file=sys.stderr)"
    process = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    listing = process.stderr.splitlines()[-1]
    return [name for name in modules if f"'{name}'" in listing]


def test_the_package_alone_imports_no_other() -> None:
    assert loaded("import edanas; dir(edanas)", *HEAVY, "typer", "rich", "pydantic") == []


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["plugins", "--help"], ["run", "--help"], ["plugins", "--jsn"], ["plugns"]],
    ids=" ".join,
)
def test_quick_commands_import_no_heavy_module(arguments: list[str]) -> None:
    assert loaded(COMMAND.format(arguments=arguments), *HEAVY) == []


@pytest.mark.parametrize("command", ["plugins", "doctor"])
def test_lists_of_plugins_import_no_library_of_an_implementation(command: str) -> None:
    heavy = ("torchvision", "timm", "ofa", "pymoo", "sklearn", "xgboost", "matplotlib", "pandas")
    further = ("scipy.stats", "scipy.sparse", "triton", "torch._dynamo", "onnx", "PIL.Image")
    assert loaded(COMMAND.format(arguments=[command, "--json"]), *heavy, *further) == []


INTERRUPTED_IMPORT = """
import importlib.abc, os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)


class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Interrupt())
from edanas.cli import main

sys.exit(main(["plugins"]))
"""


@pytest.mark.parametrize("name", ["typer", "rich.console", "torch", "edanas.plugins.manager"])
def test_ctrl_c_during_imports_ends_with_one_line(name: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT.format(name=name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "Interrupted\n")


def test_an_import_that_hides_ctrl_c_ends_with_one_line() -> None:
    code = (
        "import sys, importlib.abc\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            try:\n"
        "                raise KeyboardInterrupt\n"
        "            except KeyboardInterrupt as error:\n"
        "                raise ImportError('no typer') from error\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from edanas.cli import main\n"
        "sys.exit(main(['plugins']))\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (130, "Interrupted\n")
