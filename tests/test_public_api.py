"""What users build on changes knowingly, or not at all."""

import subprocess
import sys
from difflib import unified_diff

from api_listing import FILE, listing


def test_the_public_api_is_the_one_written_down() -> None:
    """From a fresh process: what other tests registered or imported is not part of it."""
    code = "from api_listing import listing; print('\\n'.join(listing()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FILE.parents[1], capture_output=True, text=True, check=True
    )
    written = FILE.read_text(encoding="utf-8").splitlines()
    changes = "\n".join(unified_diff(written, done.stdout.splitlines(), "written", "found", n=0, lineterm=""))
    assert not changes, (
        f"{changes}\n\nIf that is meant: `python tests/api_listing.py` writes it down; CHANGELOG.md says it. "
        "What goes or changes its meaning is deprecated first, see docs/reference/stability.md."
    )


def test_it_covers_every_kind_of_promise() -> None:
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
