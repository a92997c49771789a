import json
import subprocess
import sys

from edanas.cli import main

GOOD = """
from edanas import hookimpl
from edanas.core.contracts import Bundle

@hookimpl
def edanas_bundles():
    return {"tiny": Bundle("A [small] bundle.")}
"""


def test_json_lists_entries_and_broken_plugins(built_ins, capsys):
    built_ins(fake_cli_good=GOOD, fake_cli_bad="import not_there_at_all")
    assert main(["plugins", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (entry,) = result["entries"]
    assert entry == {
        "kind": "bundle",
        "name": "tiny",
        "owner": "edanas",
        "version": entry["version"],
        "doc": "A [small] bundle.",
        "plugin": "fake_cli_good",
    }
    (broken,) = result["broken"]
    assert broken["name"] == "fake_cli_bad"
    assert broken["cause"] == "ModuleNotFoundError: No module named 'not_there_at_all'"
    assert result["conflicts"] == []


def test_the_table_shows_the_same(built_ins, capsys):
    built_ins(fake_cli_good=GOOD, fake_cli_bad="import not_there_at_all")
    assert main(["plugins"]) == 0
    printed = capsys.readouterr().out
    for text in (
        "Kind",
        "Owner",
        "tiny",
        "A [small] bundle.",
        "1 broken",
        "fake_cli_bad",
        "not_there_at_all",
    ):
        assert text in printed


def test_two_owners_are_told_and_everything_is_listed(built_ins, capsys):
    built_ins(fake_cli_one=GOOD, fake_cli_two=GOOD)
    assert main(["plugins", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [entry["plugin"] for entry in result["entries"]] == ["fake_cli_one", "fake_cli_two"]
    (conflict,) = result["conflicts"]
    assert (conflict["kind"], conflict["name"]) == ("bundle", "tiny")
    assert main(["plugins"]) == 0
    printed = capsys.readouterr().out
    assert "bundle 'tiny' is claimed by both fake_cli_one and fake_cli_two" in printed


def test_listing_imports_no_heavy_library():
    code = (
        "import sys; from edanas.cli import main; code = main(['plugins', '--json']); "
        "heavy = [name for name in ('ofa', 'xgboost', 'pymoo', 'timm') if name in sys.modules]; "
        "print(heavy, file=sys.stderr); "
        "sys.exit(code)"
    )
    listing = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listing.stderr.strip() == "[]"
    assert json.loads(listing.stdout)["entries"]
