"""The examples of the page on scikit-learn run, with the shortest searches."""

import re
from pathlib import Path

from estimators import SHORTEST

from edanas import estimator

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "scikit-learn.md"


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path))
    search, limits = estimator.search, []

    def quick(data, plugin, *, time_limit, **options):
        limits.append(time_limit)
        return search(data, plugin, **{**options, "preset": "quick", "settings": SHORTEST})

    monkeypatch.setattr(estimator, "search", quick)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names = {}
    exec("\n".join(blocks), names)
    assert names["classifier"].classes_.tolist() == ["fast", "slow"]
    assert set(names["labels"]) <= {"fast", "slow"}
    assert len(names["scores"]) == 3
    assert limits == [60] * 4
