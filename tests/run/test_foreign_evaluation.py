"""A stranger's evaluation and logger: a teacher, a training in pieces, and files of their own."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_runs
import torch
from pretrainer import tiny_order
from safetensors.torch import load_file

from edanas import hookimpl
from edanas.core.archive import Archive
from edanas.core.contracts import Evaluator, Exporter, Logger, Runner
from edanas.core.errors import ConfigError, PluginError, RunError
from edanas.core.progress import Progress, Silent
from edanas.core.settings import Component
from edanas.core.types import Candidate, Metrics, Outcome
from edanas.evaluation.finetune import FinetuneEvaluation
from edanas.evaluation.predicted_metrics import judge_of
from edanas.evaluation.shared import SharedEvaluation
from edanas.evaluation.workbench import Workbench
from edanas.plugins.manager import Plugin, load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.folder import RunFolder
from edanas.run.plugin_files import note_plugin_files
from edanas.run.pretraining import Order, train_supernet
from edanas.training.checkpoint import Checkpoint
from edanas.training.sandwich import SandwichTraining
from edanas.training.supernet_file import read_recipe


class Foreign(SharedEvaluation):
    """Trains a supernet as `shared` does, and keeps its state and a note under names of its own."""

    def prepare(self, progress: Progress) -> None:
        super().prepare(progress)
        (self.workbench.folder / "foreign").mkdir(exist_ok=True)
        (self.workbench.folder / "foreign" / "note.txt").touch()

    def trainer(self, progress: Progress) -> SandwichTraining:
        trainer = super().trainer(progress)
        trainer.checkpoint = Checkpoint(self.workbench.folder / "foreign.pt", "supernet")
        trainer.resume()
        return trainer

    def files(self) -> Sequence[str]:
        return "foreign.pt", "foreign.partial", "foreign/*.txt"


class Lines(Logger):
    def files(self) -> Sequence[str]:
        return ("lines/*.log",)

    @hookimpl
    def edanas_run_started(self, folder: Path) -> None:
        (folder / "lines").mkdir(exist_ok=True)
        (folder / "lines" / "1.log").touch()


class Wrapper(Evaluator):
    """Hands every call on; its capabilities are those of the evaluation inside."""

    def __init__(self, inner: Evaluator) -> None:
        self.inner, self.removable, self.trains_supernet = inner, inner.removable, inner.trains_supernet
        self.judges, self.keeps_profiles = inner.judges, inner.keeps_profiles

    def prepare(self, progress: Progress) -> None:
        self.inner.prepare(progress)

    def evaluate(self, candidate: Candidate) -> Metrics:
        return self.inner.evaluate(candidate)

    def files(self) -> Sequence[str]:
        return self.inner.files()

    def trainer(self, progress: Progress) -> Any:
        return self.inner.trainer(progress)

    def judge(self, candidate: Candidate, outcome: Outcome) -> Metrics:
        return self.inner.judge(candidate, outcome)

    def schemes(self, candidate: Candidate, profile: Any) -> Any:
        return self.inner.schemes(candidate, profile)

    def passes(self) -> tuple[float, float]:
        return self.inner.passes()

    def network(self, candidate: Candidate) -> Any:
        return self.inner.network(candidate)


class Wrapped(Wrapper):
    """As a plugin registers a wrapper: the class declares no capability, each object copies them."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__(Foreign(workbench))


class WrappedFinetune(Wrapper):
    def __init__(self, workbench: Workbench) -> None:
        super().__init__(FinetuneEvaluation(workbench))


class Measuring(FinetuneEvaluation):
    """Declares that it neither judges nor keeps profiles, whatever its base does."""

    judges = False
    keeps_profiles = False


@pytest.fixture(scope="module")
def registry() -> Registry:
    module: Any = types.ModuleType("foreign_for_tests")

    def evaluations() -> Mapping[str, Callable[..., Evaluator]]:
        return {
            "foreign": Foreign,
            "function": lambda workbench: FinetuneEvaluation(workbench),
            "wrapped": Wrapped,
            "wrapped-finetune": WrappedFinetune,
        }

    evaluations.__module__ = module.__name__
    module.edanas_evaluations = hookimpl(evaluations)
    host = load_plugins()
    host.load(Plugin("for-tests", "tests", "1"), lambda: module)
    assert host.broken == []
    return Registry(host)


def order(out: Path, evaluation: str = "foreign", teacher: str = "") -> Order:
    settings = tiny_order(out).settings
    learning = replace(settings.training, epochs=1, distillation=0.5)
    settings = replace(settings, evaluation=Component(evaluation), training=learning, teacher=teacher)
    return Order(settings, out)


def test_it_is_trained_in_pieces_and_learns_from_a_teacher(registry: Registry, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert not train_supernet(registry, replace(order(first), time_limit=0.0), Silent()).finished
    assert (tmp_path / "first.safetensors.work" / "foreign.pt").exists()
    assert train_supernet(registry, order(first), Silent()).finished
    assert not (tmp_path / "first.safetensors.work" / "foreign.pt").exists()
    assert train_supernet(registry, order(second, teacher=str(first)), Silent()).finished
    assert read_recipe(second)["teacher_sha256"]


def test_a_wrapper_trains_the_supernet_of_the_evaluation_inside(registry: Registry, tmp_path: Path) -> None:
    out, plain = tmp_path / "wrapped.safetensors", tmp_path / "plain.safetensors"
    assert not train_supernet(registry, replace(order(out, "wrapped"), time_limit=0.0), Silent()).finished
    assert (tmp_path / "wrapped.safetensors.work" / "foreign.pt").exists()
    assert train_supernet(registry, order(out, "wrapped"), Silent()).finished
    assert not (tmp_path / "wrapped.safetensors.work" / "foreign.pt").exists()
    assert train_supernet(registry, order(plain), Silent()).finished
    weights, same = load_file(out), load_file(plain)
    assert weights.keys() == same.keys()
    assert all(torch.equal(weights[name], same[name]) for name in same)


def test_a_finished_supernet_is_no_result_of_an_evaluation_without_one(
    registry: Registry, tmp_path: Path
) -> None:
    out = tmp_path / "whole.safetensors"
    assert train_supernet(registry, order(out), Silent()).finished
    with pytest.raises(ConfigError, match="found 'finetune', which trains no supernet; allowed"):
        train_supernet(registry, order(out, "finetune"), Silent())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("finetune", "found 'finetune', which trains no supernet; allowed: .*'foreign'.*'shared'"),
        ("function", "found 'function', which trains no supernet; allowed: .*'foreign'.*'shared'"),
        ("wrapped-finetune", "found 'wrapped-finetune', which trains no supernet; allowed: 'foreign' or"),
    ],
)
def test_one_that_trains_no_supernet_is_refused(
    registry: Registry, tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        train_supernet(registry, order(tmp_path / "none.safetensors", name), Silent())
    assert not list(tmp_path.iterdir())
    settings = order(tmp_path / "none.safetensors", name, teacher="teacher.safetensors").settings
    with pytest.raises(ConfigError, match=r"trains no supernet; allowed: evaluation .*'foreign' or 'shared'"):
        compose(registry, settings, tmp_path, Silent())


def foreign_run(folder: Path) -> tuple[RunFolder, Workbench]:
    """The folder of a run that has begun, with files of its evaluation, its logger and the user."""
    folder.mkdir()
    bench = small_runs.workbench(folder)
    run, evaluator, logger = RunFolder(folder, bench.settings), Foreign(bench), Lines()
    with run.open_archive(evaluator) as archive:
        note_plugin_files(archive, evaluator, [logger])
        evaluator.prepare(Silent())
        logger.edanas_run_started(folder)
    for name in ("supernet.pt", "mlflow.json", "foreign.txt"):
        (folder / name).write_text("the user's")
    return run, bench


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_its_files_go_with_the_run_and_no_others(tmp_path: Path) -> None:
    run, _ = foreign_run(tmp_path / "run")
    left = {"foreign.pt", "foreign", "foreign/note.txt", "lines", "lines/1.log"}
    assert left < names(run.path)
    (run.path / "foreign" / "mine.csv").touch()
    run.discard()
    assert names(run.path) == {"supernet.pt", "mlflow.json", "foreign.txt", "foreign", "foreign/mine.csv"}


def test_a_run_with_its_state_has_begun(tmp_path: Path) -> None:
    run, bench = foreign_run(tmp_path / "run")
    with pytest.raises(RunError, match="holds a run with other settings"):
        RunFolder(run.path, replace(bench.settings, seed=9)).open_archive()


def test_its_state_without_a_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "foreign.pt").touch()
    bench = small_runs.workbench(tmp_path)
    with pytest.raises(RunError, match=r"holds foreign\.pt but no archive"):
        RunFolder(tmp_path, bench.settings).open_archive(Foreign(bench))
    RunFolder(tmp_path, bench.settings).open_archive(SharedEvaluation(bench)).close()


def test_an_archive_that_notes_no_files_is_of_a_built_in_evaluation(tmp_path: Path) -> None:
    Archive(tmp_path).close()
    for name in ("supernet.pt", "mlflow.json", "foreign.pt"):
        (tmp_path / name).touch()
    RunFolder(tmp_path, small_runs.workbench(tmp_path).settings).discard()
    assert names(tmp_path) == {"foreign.pt"}


def test_files_outside_the_folder_are_refused(tmp_path: Path) -> None:
    class Greedy(Foreign):
        def files(self) -> Sequence[str]:
            return ("../*.toml",)

    bench = small_runs.workbench(tmp_path)
    with pytest.raises(PluginError, match=r"Greedy: `files` returns '\.\./\*\.toml'; allowed: patterns"):
        RunFolder(tmp_path, bench.settings).open_archive(Greedy(bench))


def test_capabilities_follow_from_what_is_overridden_unless_declared(tmp_path: Path) -> None:
    bench = small_runs.workbench(tmp_path)
    shared = SharedEvaluation(bench)
    assert (shared.judges, shared.keeps_profiles, shared.trains_supernet) == (True, True, True)
    wrapped, mute = Wrapper(shared), Wrapper(Measuring(bench))
    assert (wrapped.judges, wrapped.keeps_profiles, wrapped.trains_supernet) == (True, True, True)
    assert (mute.judges, mute.keeps_profiles, mute.trains_supernet) == (False, False, False)
    assert judge_of(bench, wrapped) is not None
    assert judge_of(bench, mute) is None


def test_an_exporter_that_opens_what_it_writes_need_not_declare_it() -> None:
    class Writing(Exporter):
        def export(self, network: Any, stem: Path) -> list[Path]:
            return []

    class Opening:
        def open(self, path: Path, threads: int = 1) -> Runner:
            raise NotImplementedError

    class Mixed(Opening, Writing):
        """Has `open` from a class that is not an exporter."""

    class Delegating(Mixed):
        def __init__(self, inner: Exporter) -> None:
            self.runs = inner.runs

    assert not Writing().runs
    assert Mixed().runs
    assert not Delegating(Writing()).runs
