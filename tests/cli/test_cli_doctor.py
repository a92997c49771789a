import json
import sys

import pytest
import torch

from edanas.cli import main

GOOD = """
from edanas import hookimpl
from edanas.core.contracts import Bundle

@hookimpl
def edanas_bundles():
    return {"tiny": Bundle("A bundle.")}
"""


def examine(capsys):
    code = main(["doctor", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_healthy_installation(built_ins, capsys, tmp_path, monkeypatch):
    built_ins(fake_doc_good=GOOD)
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "not" / "yet"))
    code, report = examine(capsys)
    assert (code, report["problems"]) == (0, [])
    assert torch.__version__.startswith(report["versions"]["torch"].split("+")[0])
    assert report["devices"][0]["name"] == "cpu"
    assert report["threads"]["torch"] == torch.get_num_threads()
    assert report["home"]["path"] == str(tmp_path / "not" / "yet")
    assert report["home"]["error"] is None
    assert not (tmp_path / "not").exists()
    assert report["plugins"] == {"extensions": 1, "broken": [], "conflicts": []}


def test_text_has_versions_devices_and_the_verdict(built_ins, capsys):
    built_ins(fake_doc_good=GOOD)
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for text in (
        "python",
        "torchvision",
        "cpu",
        "threads",
        "1 extensions, 0 broken",
        "Everything is in order.",
    ):
        assert text in printed


def test_problems_are_told_and_the_exit_code_says_so(built_ins, capsys, tmp_path, monkeypatch):
    built_ins(fake_doc_one=GOOD, fake_doc_two=GOOD, fake_doc_bad="1 / 0")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "file"))
    code, report = examine(capsys)
    assert code == 1
    folder, broken, conflict = report["problems"]
    assert folder.startswith(f"EDANAS_HOME {tmp_path / 'file'} cannot be written to: ")
    assert broken == "plugin fake_doc_bad is broken: ZeroDivisionError: division by zero"
    assert "claimed by both fake_doc_one and fake_doc_two" in conflict
    assert main(["doctor"]) == 1
    assert "Problem: plugin fake_doc_bad" in capsys.readouterr().out


def test_a_missing_package_is_a_problem(built_ins, capsys, monkeypatch):
    built_ins(fake_doc_good=GOOD)
    monkeypatch.setattr(
        "importlib.metadata.requires",
        lambda name: ["no-such-package-here>=1.0; x", "torch[a]>=2", "no-extra>=1; extra == 'more'"],
    )
    code, report = examine(capsys)
    assert code == 1
    assert report["problems"] == ["no-such-package-here is not installed"]
    assert set(report["versions"]) == {"no-such-package-here", "torch"}


def test_a_torchvision_that_does_not_load_is_a_problem(built_ins, capsys, monkeypatch):
    built_ins(fake_doc_good=GOOD)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    code, report = examine(capsys)
    assert code == 1
    assert report["problems"] == [
        "torchvision cannot be imported: ModuleNotFoundError: import of torchvision halted; "
        "None in sys.modules"
    ]


def test_devices_with_memory(built_ins, capsys, monkeypatch):
    built_ins(fake_doc_good=GOOD)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    card = type("Card", (), {"name": "A Card", "total_memory": 8 * 2**30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    assert examine(capsys)[1]["devices"][1] == {"name": "cuda:0", "detail": "A Card, 8.0 GiB"}


@pytest.mark.parametrize("flag", ["--jsn", "--set"])
def test_a_wrong_flag_is_a_usage_error(flag, capsys):
    assert main(["doctor", flag]) == 2
    assert flag in capsys.readouterr().err
