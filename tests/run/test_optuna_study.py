"""Exchange of candidates with Optuna's storage."""

from pathlib import Path

import numpy as np
import pytest

from edanas.cli import main
from edanas.core.archive import Archive
from edanas.core.config import resolve, to_plain
from edanas.core.errors import RunError
from edanas.core.types import Evaluation, Metrics
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import make_space
from edanas.run.optuna_study import StudyPlace, export_study, study_candidates

optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")

REGISTRY = Registry(load_plugins())
SETTINGS = resolve(
    [
        (
            "",
            {
                "supernet": {"name": "ofa-mbv3", "resolutions": [8], "widths": [0.1]},
                "thresholds": [0.3, "none"],
            },
        )
    ]
)
SPACE = make_space(REGISTRY, SETTINGS)[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The archive of a run: 12 candidates, one of which failed and one of which breaks a constraint."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    rng = np.random.default_rng(0)
    with Archive(folder) as archive:
        archive.set_meta("settings", to_plain(SETTINGS))
        for number, genome in enumerate(np.unique(SPACE.sample(rng, 12), axis=0)):
            accuracy, macs = float(rng.uniform(0.5, 0.9)), float(rng.uniform(1e6, 9e6))
            metrics = Metrics(
                accuracy, (0.0,) * 4 + (1.0,), (None,) * 4 + (accuracy,), macs, macs, accuracy, 9, 9, 9
            )
            each = Evaluation(SPACE.decode(genome), number // 4, metrics, None, 0.5, float(number == 5))
            archive.append(Evaluation(each.candidate, 0, None, "no memory") if number == 3 else each, genome)
    return folder


@pytest.fixture
def storage(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def evaluations(run: Path) -> list[Evaluation]:
    with Archive(run, read_only=True) as archive:
        return [evaluation for _, evaluation in archive.replay()]


def test_every_evaluation_is_a_trial_with_its_values_choices_and_violation(run, storage):
    assert export_study(REGISTRY, run, StudyPlace(storage, "")) == ("first", 12)
    study = optuna.load_study(study_name="first", storage=storage)
    objectives = [REGISTRY.create("objective", each.name, each.options) for each in SETTINGS.objectives]
    assert [d.name == "MAXIMIZE" for d in study.directions] == [each.maximise for each in objectives]
    for trial, each in zip(study.trials, evaluations(run), strict=True):
        assert trial.user_attrs["id"] == each.candidate.id
        choices = {name: trial.params[name] for name in each.candidate.backbone}
        assert choices == dict(each.candidate.backbone.choices)
        if each.metrics:
            assert trial.values == [objective.value(each.metrics) for objective in objectives]
        else:
            assert trial.state.name == "FAIL" and trial.user_attrs["error"] == "no memory"
    best = {trial.number for trial in study.best_trials}
    assert best and not best & {3, 5}


def test_an_exported_study_starts_a_new_run_with_its_best_candidates(run, storage):
    export_study(REGISTRY, run, StudyPlace(storage, "mine"))
    candidates = study_candidates(f"{storage}#mine", SPACE, SETTINGS)
    assert candidates == study_candidates(storage, SPACE, SETTINGS)
    study = optuna.load_study(study_name="mine", storage=storage)
    assert {candidate.id for candidate in candidates} == {t.user_attrs["id"] for t in study.best_trials}
    few = resolve([("", {"search": {"initial": 2}})])
    assert len(study_candidates(storage, SPACE, few)) == 1


def test_a_study_of_the_users_own_may_leave_out_variables_with_one_choice(storage):
    study = optuna.create_study(storage=storage, study_name="own", directions=["maximize", "minimize"])
    trial = study.ask()
    for variable in SPACE.variables:
        if len(variable.choices) > 1 and None not in variable.choices:
            trial.suggest_int(variable.name, int(variable.choices[-1]), int(variable.choices[-1]))
        elif len(variable.choices) > 1:
            trial.suggest_categorical(variable.name, [None])
    study.tell(trial, [0.9, 1.0])
    (candidate,) = study_candidates(storage, SPACE, SETTINGS)
    assert candidate.backbone == SPACE.largest() and candidate.scheme.exits == 0


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("stage1.depht", 3, r"parameter 'stage1.depht'.* Did you mean 'stage1.depth'"),
        ("stage1.depth", 9, "stage1.depth: found 9; allowed: 2, 3, 4"),
        ("stage1.depth", 3, "lacks a value of"),
    ],
)
def test_trials_that_are_no_candidates_are_named(storage, parameter, value, message):
    study = optuna.create_study(storage=storage, study_name="own")
    trial = study.ask()
    trial.suggest_int(parameter, value, value)
    study.tell(trial, 1.0)
    with pytest.raises(RunError, match=f"trial 0.*{message}"):
        study_candidates(storage, SPACE, SETTINGS)


def test_wrong_places_are_named(run, storage, tmp_path):
    optuna.create_study(storage=storage, study_name="empty")
    with pytest.raises(RunError, match="holds no successful trial"):
        study_candidates(storage, SPACE, SETTINGS)
    with pytest.raises(RunError, match=r"found no study 'emty'\. Did you mean 'empty'\?"):
        study_candidates(f"{storage}#emty", SPACE, SETTINGS)
    optuna.create_study(storage=storage, study_name="second")
    with pytest.raises(RunError, match=r"^warm_start: sqlite:///.*/typo\.db: there is no such file"):
        study_candidates(f"sqlite:///{tmp_path}/typo.db", SPACE, SETTINGS)
    assert not (tmp_path / "typo.db").exists()
    with pytest.raises(RunError, match=r"found 2 studies and no `#NAME`\. Allowed: empty, second"):
        study_candidates(storage, SPACE, SETTINGS)
    with pytest.raises(RunError, match=r"already holds a study"):
        export_study(REGISTRY, run, StudyPlace(storage, "empty"))
    with pytest.raises(RunError, match="Optuna cannot use this storage"):
        study_candidates("nosuch://x", SPACE, SETTINGS)
    with pytest.raises(RunError, match=r"nosuch://x: Optuna"):
        study_candidates("nosuch://user:secret@x", SPACE, SETTINGS)
    with pytest.raises(RunError, match="holds no run"):
        export_study(REGISTRY, tmp_path / "none", StudyPlace(storage, "x"))


def test_the_command_writes_the_study_and_reports_errors_in_one_line(run, storage, capsys):
    assert main(["to-optuna", str(run), f"{storage}#from-cli"]) == 0
    assert "Study 'from-cli'" in capsys.readouterr().out
    assert main(["to-optuna", str(run), f"{storage}#from-cli"]) == 2
    assert "already holds a study" in capsys.readouterr().err
    assert main(["to-optuna", str(run / "no"), storage]) == 2
    assert "Traceback" not in capsys.readouterr().err
