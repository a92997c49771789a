from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from series_networks import series_bench

from edanas.core.progress import Silent
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.shared import SharedEvaluation
from edanas.plugins.registry import Registry
from edanas.testing import check_executor

KIND = "executor"


class JobsOfThisProcess:
    """A submitter that runs each job at its submission; the package submitit would start a process for it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        pass

    def update_parameters(self, **parameters: Any) -> None:
        pass

    def batch(self) -> AbstractContextManager[None]:
        return nullcontext()

    def submit(self, function: Callable[[], None]) -> SimpleNamespace:
        function()
        return SimpleNamespace(job_id="0", state="COMPLETED", done=lambda: True, cancel=lambda: None)


def test_conforms(registry: Registry, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {}
    if name == "ray":
        pytest.skip("tests/executors/test_ray.py checks it, in the process that starts Ray")
    if name == "slurm":
        submitit = pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
        monkeypatch.setattr(submitit, "AutoExecutor", JobsOfThisProcess)
        options = {"folder": str(tmp_path)}
    check_executor(registry.create(KIND, name, options))


@pytest.mark.parametrize("local", ["serial", "auto", "process"])
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
