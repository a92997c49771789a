"""The public API equals the listing in the repository."""

import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

import api_listing
from api_listing import FILE, listing


def test_the_public_api_equals_the_listing() -> None:
    """A new process lists the names, without those that other tests registered or imported."""
    code = "from api_listing import listing; print('\\n'.join(listing()))"
    folder = Path(api_listing.__file__).parent
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    written = FILE.read_text(encoding="utf-8").splitlines()
    changes = "\n".join(
        unified_diff(written, process.stdout.splitlines(), "written", "found", n=0, lineterm="")
    )
    assert not changes, (
        f"{changes}\n\nIf the change is intended, run `python tests/support/api_listing.py` and note it in "
        "CHANGELOG.md. "
        "Names that are removed or change their meaning are deprecated first: docs/reference/stability.md."
    )


def test_the_listing_covers_every_kind_of_public_name() -> None:
    text = "\n".join(listing())
    for start in (
        "edanas.search(",
        "edanas.core.contracts.SearchStrategy.ask(",
        "edanas.core.types.Candidate(",
        "edanas.core.hookspecs.edanas_run_started(",
        "edanas.testing.check_criterion(",
        "edanas.tables.",
        "setting search.max_evals: ",
        "command edanas run --plugin",
    ):
        assert f"\n{start}" in text
