from pathlib import Path

import pytest
from series_networks import series_bench

from edanas.core.progress import Silent
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.shared import SharedEvaluation
from edanas.plugins.registry import Registry
from edanas.testing import check_executor

KIND = "executor"


def test_conforms(registry: Registry, name: str) -> None:
    check_executor(registry.create(KIND, name))


@pytest.mark.parametrize("local", ["serial", "process"])
def test_evaluates_series_as_the_calling_process_does(registry: Registry, local: str, tmp_path: Path) -> None:
    evaluator = SharedEvaluation(series_bench(tmp_path, padded=True))
    evaluator.prepare(Silent())
    space = evaluator.workbench.space
    candidates = [
        Candidate(backbone, SelectionScheme((0.4, None, 0.6, None)))
        for backbone in (space.largest(), space.smallest())
    ]
    expected = [evaluator.evaluate(candidate) for candidate in candidates]
    executor = registry.create(KIND, local)
    try:
        assert list(executor.run(evaluator.evaluate, candidates)) == expected
    finally:
        executor.close()
