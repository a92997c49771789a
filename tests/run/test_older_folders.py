"""Run folders that were written before networks could end at an exit point."""

from pathlib import Path
from typing import Any

import pytest

from edanas.core.archive import Archive
from edanas.core.config import resolve, to_plain
from edanas.core.errors import RunError
from edanas.core.settings import Settings
from edanas.core.types import Evaluation
from edanas.run.binding import bind_settings
from edanas.testing.toy_search import ToyEvaluator, toy_space


def settings(**changes: Any) -> Settings:
    return resolve([("", changes)])


def older_archive(folder: Path, chosen: Settings) -> Archive:
    """Return an archive with an evaluation, and with settings that lack `search.cut`."""
    archive, space = Archive(folder), toy_space()
    plain = to_plain(chosen)
    del plain["search"]["cut"]
    archive.set_meta("settings", plain)
    genome = next(space.genomes())
    candidate = space.decode(genome)
    archive.append(Evaluation(candidate, 0, ToyEvaluator().evaluate(candidate)), genome)
    return archive


def test_an_older_run_of_whole_networks_names_the_setting_that_goes_on_with_it(tmp_path: Path) -> None:
    with older_archive(tmp_path, settings()) as archive:
        with pytest.raises(RunError, match=r"other settings. Changed: search.cut: was False, now True"):
            bind_settings(tmp_path, settings(), archive)
        bind_settings(tmp_path, settings(search={"cut": False}), archive)


def test_an_older_run_with_continuous_thresholds_goes_on(tmp_path: Path) -> None:
    continuous = settings(thresholds="continuous", strategy="nested")
    with older_archive(tmp_path, continuous) as archive:
        bind_settings(tmp_path, continuous, archive)
