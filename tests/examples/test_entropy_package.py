import json
from pathlib import Path
from typing import Any

LIST = ("-m", "edanas.cli", "plugins", "--json")


def offers(listing: str, owner: str) -> dict[str, str]:
    found: dict[str, Any] = json.loads(listing)
    return {entry["name"]: entry["kind"] for entry in found["entries"] if entry["owner"] == owner}


def test_installed_package_is_listed_with_its_owner(entropy_env):
    listing = entropy_env.run(*LIST)
    assert listing.returncode == 0, listing.stderr
    assert offers(listing.stdout, "edanas-entropy") == {
        "entropy": "confidence criterion",
        "mbv3-entropy": "bundle",
    }
    assert "score-margin" in offers(listing.stdout, "edanas")


def test_empty_restriction_hides_it_and_keeps_the_built_ins(entropy_env):
    listing = entropy_env.run(*LIST, EDANAS_PLUGINS="")
    assert listing.returncode == 0, listing.stderr
    assert offers(listing.stdout, "edanas-entropy") == {}
    assert "score-margin" in offers(listing.stdout, "edanas")


def test_its_own_tests_pass_where_it_is_installed(entropy_env):
    tests = Path(__file__).parents[2] / "examples" / "edanas-entropy" / "tests"
    outcome = entropy_env.run(
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tests),
        "-c",
        "/dev/null",
        str(tests),
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "passed" in outcome.stdout
