import errno
import io
import sqlite3
import sys

import pytest
import torch
import typer

import edanas
from edanas.cli import main
from edanas.cli.application import app, explain
from edanas.core.errors import ConfigError, EdanasError, Interrupted


@pytest.fixture
def failing(monkeypatch):
    """`failing(error)` -> what `edanas plugins` leaves behind when that is raised inside it."""

    def run(error):
        def refuse():
            raise error

        monkeypatch.setattr("edanas.plugins.manager.load_plugins", refuse)
        return main(["plugins"])

    return run


def test_a_users_error_is_one_message_and_no_traceback(failing, capsys):
    assert failing(ConfigError("seed: 'x': expected [a] whole number")) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "Error: seed: 'x': expected [a] whole number\n"


def test_every_child_of_the_users_error_has_its_exit_code():
    for child in EdanasError.__subclasses__():
        prefix = "" if child is Interrupted else "Error: "
        assert explain(child("text")) == (f"{prefix}text", child.exit_code)
    assert explain(ConfigError("text"))[1] == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/run/archive.db"),
            "/data/run/archive.db: no space left",
        ),
        (OSError(errno.EDQUOT, "Quota"), "Error: no space left"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/run"), "/data/run: permission denied"),
        (OSError(errno.EROFS, "Read-only file system", "/mnt/x"), "/mnt/x: permission denied"),
        (OSError(errno.EFBIG, "File too large", "/data/big"), "/data/big: no space left"),
        (MemoryError(), "Error: out of memory. Try a smaller training.batch_size"),
        (torch.OutOfMemoryError("CUDA out of memory"), "Error: out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "Error: out of memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "Error: out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Error: out of memory"),
    ],
)
def test_disk_and_permission(failing, capsys, error, text):
    assert failing(error) == 2
    assert text in capsys.readouterr().err


def test_a_full_disk_under_sqlite(tmp_path):
    base = sqlite3.connect(tmp_path / "a.db")
    base.execute("PRAGMA max_page_count = 2")
    base.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.Error) as full:
        base.execute("INSERT INTO t VALUES (zeroblob(100000))")
    base.close()
    message, code = explain(full.value)
    assert (code, "no space left" in message) == (2, True)


def test_an_unexpected_error_asks_for_a_report(failing, capsys):
    assert failing(KeyError("lost")) == 1
    output = capsys.readouterr().err
    assert output.startswith("Internal error: KeyError: 'lost'")
    assert "report" in output
    assert "Traceback" not in output


def test_debug_adds_the_traceback(failing, capsys, monkeypatch):
    monkeypatch.setenv("EDANAS_DEBUG", "1")
    assert failing(KeyError("lost")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_has_its_own_exit_code(failing, capsys):
    assert failing(KeyboardInterrupt()) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error(capsys):
    assert main(["plugin"]) == 2
    assert "plugin" in capsys.readouterr().err


def test_help_texts_have_no_brackets():
    """The terminal's help takes text in brackets for markup and drops it."""
    group = typer.main.get_command(app)
    parameters = [parameter for command in group.commands.values() for parameter in command.params]
    assert all(parameter.help and "[" not in parameter.help for parameter in parameters)


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("plugins", "doctor"))
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edanas {edanas.__version__}\n"


def test_every_command_is_documented():
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_pipe_of_another_encoding_gets_escapes(encoding, monkeypatch):
    pipe = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", pipe)
    assert main(["--version"]) == 0
    print("猫 \udcff")
    assert pipe.buffer.getvalue().endswith("猫 \udcff\n".encode(encoding, "backslashreplace"))


def test_names_that_the_system_refuses_are_errors_of_the_user(tmp_path, capsys):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    name = "x" * 5000
    for arguments in (
        ("report", name),
        ("predict", f"{name}.json", "image.png"),
        ("run", "--data", name, "--dry-run"),
        ("run", "--data", "digits", "--set", f"weights={name}", "--dry-run"),
        ("run", "--data", "digits", "--set", f"warm_start={name}", "--dry-run"),
        ("run", "--data", "digits", "--set", f"plan={name}", "--dry-run"),
        ("run", "--data", "digits", "--out", name, "--dry-run"),
        ("run", "--data", "digits", "--time-limit", "1e308", "--dry-run"),
        ("bench", loop),
    ):
        assert main([str(argument) for argument in arguments]) == 2
        assert "Error: " in capsys.readouterr().err
