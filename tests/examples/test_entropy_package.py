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
        "tempered-entropy": "confidence criterion",
        "mbv3-entropy": "bundle",
    }
    assert "score-margin" in offers(listing.stdout, "edanas")


RESOLVE = """
from edanas.core.config import resolve
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

registry = Registry(load_plugins())
bundle = registry.bundle("mbv3-entropy")
for name, preset in bundle.presets.items():
    made = resolve([("bundle", bundle.settings), (name, preset)])
    criterion = registry.create("confidence criterion", made.criterion.name, {"temperature": 2})
    registry.create("supernet provider", made.supernet.name, made.supernet.options)
    print(name, type(criterion).__name__, criterion.temperature, made.search.iterations)
"""


def test_its_bundle_and_presets_resolve_to_objects(entropy_env):
    outcome = entropy_env.run("-c", RESOLVE)
    assert outcome.stdout.splitlines() == ["quick Entropy 2.0 6", "best Entropy 2.0 30"], outcome.stderr


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


TINY = (
    "threads=1",
    'surrogates=["rbf"]',
    "recalibration=32",
    "search={initial=3, iterations=1, per_iteration=1, results=1}",
    "training={epochs=1, batch_size=256}",
    "finetune={epochs=0}",
    *("supernet.widths=[0.1]", "supernet.resolutions=[8]", "supernet.depths=[1]", "supernet.kernels=[3]"),
)


def test_its_bundle_searches_to_the_end(entropy_env, tmp_path):
    out = tmp_path / "run"
    settings = [f"--set={each}" for each in TINY]
    told = entropy_env.run(
        "-m", "edanas.cli", "run", "--plugin", "mbv3-entropy", "--out", str(out), *settings
    )
    assert told.returncode == 0, told.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["settings"]["criterion"] == "tempered-entropy"
    assert result["evaluations"] == 4
    network = json.loads((out / result["front"][0]["model"]).with_suffix(".json").read_text())
    assert network["criterion"] == {"name": "tempered-entropy", "options": {}}
