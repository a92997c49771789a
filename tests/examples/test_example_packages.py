import json
import os
from typing import Any

import pytest
from fresh_environments import ROOT

PACKAGES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
LISTS = """
import os
from edanas.cli import main
main(["plugins", "--json"])
os.environ["EDANAS_PLUGINS"] = ""
print("restricted")
main(["plugins", "--json"])
"""


def offers(listing: str, owner: str) -> set[str]:
    content: dict[str, Any] = json.loads(listing)
    return {f"{entry['kind']} {entry['name']}" for entry in content["entries"] if entry["owner"] == owner}


OFFERS = {
    "edanas-bits": {
        "supernet provider bits",
        "objective bit-operations",
        "surrogate model transferred",
    },
    "edanas-channelwise": {
        "supernet provider channelwise",
        "supernet provider cut-cnn",
        "exit classifier last-column",
        "bundle channelwise",
    },
    "edanas-entropy": {"confidence criterion tempered-entropy", "bundle mbv3-entropy"},
    "edanas-split": {
        "objective split-cost",
        "logger device-share",
        "confidence criterion meta-information",
    },
}


@pytest.fixture(scope="module")
def listings(examples_env):
    """The listings of all plugins and of those that an empty restriction admits."""
    process = examples_env.run("-c", LISTS)
    assert process.returncode == 0, process.stderr
    return process.stdout.split("restricted\n")


def test_installed_packages_are_listed_with_their_owners(listings):
    assert {package.name for package in PACKAGES} == set(OFFERS)
    for owner, expected in OFFERS.items():
        assert offers(listings[0], owner) == expected
    assert "confidence criterion score-margin" in offers(listings[0], "edanas")


def test_empty_restriction_hides_them_and_keeps_the_built_ins(listings):
    assert not any(offers(listings[1], owner) for owner in OFFERS)
    assert "confidence criterion score-margin" in offers(listings[1], "edanas")


def test_their_own_tests_pass_where_they_are_installed(examples_env):
    tests = [str(package / "tests") for package in PACKAGES]
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(ROOT))
    support = str(ROOT / "tests" / "support")
    outcome = examples_env.run("-m", "pytest", "-p", "no_disk_waits", *options, *tests, PYTHONPATH=support)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "passed" in outcome.stdout
