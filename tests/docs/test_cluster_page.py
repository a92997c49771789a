"""The page on clusters: its settings make the executors, and its launches are ones that torchrun accepts."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from edanas.core.config import parse_assignment
from edanas.core.contracts import Executor
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.layers import layered_settings

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "cluster.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.S) for line in block.splitlines()]


def test_the_page_has_commands_for_each_engine() -> None:
    programs = [shlex.split(command)[0] for command in COMMANDS]
    assert {"edanas", "torchrun", "ray", "pip"} == set(programs)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("edanas")])
def test_the_settings_of_a_command_make_its_executor(command: str) -> None:
    words = shlex.split(command)
    chosen = [word for at, word in pairwise(words) if at == "--set"]
    for package, extra in (("ray", "ray"), ("submitit", "slurm")):
        if f"executor={extra}" in command:
            pytest.importorskip(package, reason=f"needs the extra `{extra}`")
    registry = Registry(load_plugins())
    settings = layered_settings(registry, [("page", parse_assignment(each)) for each in chosen])
    executor: Executor = registry.create("executor", settings.executor.name, settings.executor.options)
    assert f"executor.workers={executor.workers}" in chosen


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("torchrun")])
def test_torchrun_accepts_the_launches(command: str) -> None:
    options = get_args_parser().parse_args(shlex.split(command)[1:])
    assert (options.module, options.training_script) == (True, "edanas")
    assert options.training_script_args[0] in ("run", "train-supernet")


def test_torchrun_has_the_options_for_several_nodes() -> None:
    (options,) = re.findall(r"with `(--nnodes [^`]*)`", PAGE)
    parsed = get_args_parser().parse_args([*shlex.split(options), "-m", "edanas"])
    assert (parsed.nnodes, parsed.rdzv_backend) == ("2", "c10d")
