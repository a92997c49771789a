"""Exchange of candidates with Optuna: a run as a study in Optuna's storage, and a study as a warm start.

A trial has one categorical parameter for each expressed gene, named after its variable. Its values
are those of the run's objectives, in their own direction and unit.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import resolve
from edanas.core.contracts import Objective, SearchStrategy
from edanas.core.errors import RunError, near_miss
from edanas.core.optional_packages import import_optional
from edanas.core.settings import Settings, labels
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Evaluation
from edanas.plugins.registry import Registry
from edanas.run.compose import make_space

CONSTRAINTS = "constraints"
"""Name of the sum of all violations among a trial's constraints; above 0 = infeasible."""


class StudyPlace(NamedTuple):
    """A study in Optuna's storage.

    Args:
        storage: Address of the storage, e.g. `sqlite:///study.db`.
        name: Name of the study; empty = the only study in the storage.
    """

    storage: str
    name: str

    def __str__(self) -> str:
        """Return the address of the storage without user name and password."""
        return re.sub(r"://[^/@]*@", "://", self.storage)

    @classmethod
    def read(cls, text: str) -> "StudyPlace":
        """Return the place that a text such as `sqlite:///study.db#NAME` names.

        Example:
            >>> StudyPlace.read("sqlite:///study.db#first")
            StudyPlace(storage='sqlite:///study.db', name='first')
        """
        storage, _, name = text.partition("#")
        return cls(storage, name)


def is_storage(text: str) -> bool:
    """Return true if a text is the address of a storage, and no folder.

    Example:
        >>> is_storage("sqlite:///study.db"), is_storage("runs/first")
        (True, False)
    """
    return "://" in text


def export_study(registry: Registry, run: Path, place: StudyPlace) -> tuple[str, int]:
    """Write the evaluations of a run to Optuna's storage as a new study; return its name and its size.

    With continuous thresholds, the archive holds backbones: the values of a trial are those without early
    exits.

    Args:
        registry: The extensions by kind and name.
        run: The folder of the run, finished or not.
        place: The storage, and the name of the study; an empty name = the name of the folder.

    Raises:
        RunError: The folder holds no run, or the storage holds a study of this name, or cannot be written.
        MissingExtraError: Optuna is not installed.
    """
    optuna = _optuna()
    if not (run / ARCHIVE).is_file():
        raise RunError(f"{run}: holds no run; expected a run folder, which contains {ARCHIVE}")
    with Archive(run, read_only=True) as archive:
        stored = archive.meta().get("settings")
        evaluations = [evaluation for _, evaluation in archive.replay()]
    if not isinstance(stored, dict):
        raise RunError(f"{run / ARCHIVE}: holds no settings yet; the run has not begun its search")
    settings = resolve([("", stored)])
    objectives: list[Objective] = [
        registry.create("objective", each.name, each.options) for each in settings.objectives
    ]
    space = _space(registry, settings)
    name = place.name or run.resolve().name
    trials = [_trial(optuna, space, objectives, each) for each in evaluations]
    with _reported(optuna, place):
        study = optuna.create_study(
            storage=place.storage,
            study_name=name,
            directions=["maximize" if each.maximise else "minimize" for each in objectives],
        )
        study.set_user_attr("objectives", labels(settings.objectives))
        study.add_trials(trials)
    return name, len(trials)


def study_candidates(text: str, space: SearchSpace, settings: Settings) -> tuple[Candidate, ...]:
    """Return candidates of a study's best trials, at most half of the initial archive.

    The best trials are Optuna's: feasible and not dominated. From more trials, candidates are chosen at even
    distances in the order of the last value.

    Args:
        text: Storage and name of the study: `sqlite:///study.db#NAME`. Without a name, the storage must hold
            one study.
        space: The search space of the run.
        settings: The settings of the run.

    Raises:
        RunError: The storage cannot be read, or holds no such study or no successful trial. Or a trial is no
            candidate of the space.
        MissingExtraError: Optuna is not installed.
    """
    optuna, place = _optuna(), StudyPlace.read(text)
    file = place.storage.removeprefix("sqlite:///")
    if file != place.storage and not Path(file).is_file():  # SQLite would make an empty file
        raise RunError(f"warm_start: {place}: there is no such file; expected a storage of Optuna")
    with _reported(optuna, place):
        names = optuna.get_all_study_names(place.storage)
        if place.name not in names and (place.name or len(names) != 1):
            named = f"no study '{place.name}'" if place.name else f"{len(names)} studies and no `#NAME`"
            raise RunError(f"warm_start: {place}: found {named}.{near_miss(place.name, names)}")
        study = optuna.load_study(study_name=place.name or names[0], storage=place.storage)
        best = sorted(study.best_trials, key=lambda trial: (trial.values[-1], trial.number))
    if not best:
        raise RunError(f"warm_start: {place}: holds no successful trial; expected one or more")
    candidates: dict[str, Candidate] = {}
    for trial in best:
        candidate = _candidate(f"warm_start: {place}: trial {trial.number}", trial.params, space)
        candidates.setdefault(candidate.id, candidate)
    rows = list(candidates.values())
    count = min(len(rows), max(1, settings.search.initial // 2))
    return tuple(rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(np.int64)))


def _optuna() -> Any:
    optuna = import_optional("warm_start", "optuna", "optuna", "optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _space(registry: Registry, settings: Settings) -> SearchSpace:
    strategy: SearchStrategy = registry.create(
        "search strategy", settings.strategy.name, settings.strategy.options
    )
    return strategy.confine(make_space(registry, settings)[1])


def _trial(optuna: Any, space: SearchSpace, objectives: Sequence[Objective], evaluation: Evaluation) -> Any:
    """Return one evaluation as a trial of Optuna."""
    candidate, metrics = evaluation.candidate, evaluation.metrics
    genome = space.encode(candidate)
    expressed = [space.variables[at] for at in np.flatnonzero(space.expressed(genome))]
    at = {variable.name: number for number, variable in enumerate(space.variables)}
    notes = {"id": candidate.id, "iteration": evaluation.iteration, "seconds": evaluation.seconds}
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if metrics else optuna.trial.TrialState.FAIL,
        values=[float(each.value(metrics)) for each in objectives] if metrics else None,
        params={each.name: each.choices[genome[at[each.name]]] for each in expressed},
        distributions={
            each.name: optuna.distributions.CategoricalDistribution(each.choices) for each in expressed
        },
        user_attrs=notes if metrics else {**notes, "error": evaluation.error},
        constraints={CONSTRAINTS: float(evaluation.violation)},
    )


def _candidate(where: str, params: Mapping[str, Any], space: SearchSpace) -> Candidate:
    """Return the candidate with the parameters of a trial; variables with one choice may be missing."""
    names = [variable.name for variable in space.variables]
    for name in params:
        if name not in names:
            raise RunError(
                f"{where}: found parameter '{name}', which is no variable of the search space."
                f"{near_miss(name, names)}"
            )
    genome = np.zeros(space.dimensions, dtype=np.int64)
    for at, variable in enumerate(space.variables):
        if variable.name in params:
            value = params[variable.name]
            if value not in variable.choices:
                allowed = ", ".join(map(str, variable.choices))
                raise RunError(f"{where}: {variable.name}: found {value}; allowed: {allowed}")
            genome[at] = variable.choices.index(value)
    missing = [
        space.variables[at].name
        for at in np.flatnonzero(space.expressed(genome) & (space.counts > 1))
        if space.variables[at].name not in params
    ]
    if missing:
        raise RunError(f"{where}: lacks a value of {missing[0]}; expected one for each expressed variable")
    return space.decode(genome)


@contextmanager
def _reported(optuna: Any, place: StudyPlace) -> Iterator[None]:
    """Turn the errors of Optuna and its database into a `RunError` that names the storage."""
    try:
        yield
    except RunError:
        raise
    except optuna.exceptions.DuplicatedStudyError as error:
        raise RunError(f"{place}: already holds a study of this name; choose another name") from error
    except Exception as error:  # each kind of database has errors of its own
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(f"{place}: Optuna cannot use this storage: {lines[0]}") from error
