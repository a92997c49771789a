"""The conformance suite of evaluation modes, and the small workbench it runs them on."""

import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from edanas.core.contracts import Evaluator, ExitNetwork
from edanas.core.errors import CandidateError
from edanas.core.progress import Silent
from edanas.core.runfolder import left_files, matching_files
from edanas.core.settings import Component, Settings, TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Candidate, DataParts, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.evaluation.workbench import Workbench
from edanas.exits.inference import EarlyStop
from edanas.model.eenn import EENN
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.random_generators import generators_restored, seed_global_generators
from edanas.testing.run_files import check_run_files
from edanas.testing.toy_networks import ToyClassifier, ToyCriterion, ToyProvider, ToyScheme, toy_images
from edanas.training.sandwich import SandwichTraining

_SLIPS = 1
"""Validation samples that may fall on the other side of a threshold when batches are cut otherwise."""


def toy_workbench(folder: Path) -> Workbench:
    """A run on toy networks and images: one epoch on 48 samples, two exit points, four classes."""
    training = TrainingSettings(epochs=1, batch_size=16, learning_rate=0.01, augment=())
    provider = ToyProvider()
    settings = Settings(
        data=Component("toy"), device="cpu", supernet=Component("toy"), training=training, recalibration=32
    )
    train, calibration, validation, test = (
        toy_images(count, seed) for seed, count in enumerate((48, 12, 40, 12))
    )
    parts = DataParts(train, calibration, validation, test, mean=(0.4,), std=(0.25,))
    return Workbench(
        settings=settings,
        provider=provider,
        classifier=ToyClassifier(),
        criterion=ToyCriterion(),
        inference=EarlyStop(),
        scheme=ToyScheme(),
        space=SearchSpace(provider.variables(), (0.3, 0.6, None), provider.exit_points),
        parts=parts,
        device=torch.device("cpu"),
        folder=folder,
    )


def toy_network(seed: int = 0) -> EENN:
    """A finished EENN with one exit placed of two, described as a run describes its results."""
    bench = toy_workbench(Path())
    backbone = bench.space.largest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, (0,))
        network = bench.network(staged, heads, SelectionScheme((0.5, None)))
    network.description = bench.describe(backbone)
    return network


def check_evaluation(make: Callable[[Workbench], Evaluator]) -> None:
    """Hold an evaluation mode against its contract: metrics agree with each other, the network and a repeat.

    The repeat is in another order, from a pickled copy, in another folder, and after a restart.

    Args:
        make: The registry's factory, which takes a workbench.

    Raises:
        ConformanceError: Something does not hold.
    """
    with generators_restored(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        evaluator = _prepared(make, folder / "first", state=1)
        bench = toy_workbench(folder / "first")
        candidates = _candidates(bench)
        found = _evaluate(evaluator, candidates)
        for candidate, metrics in zip(candidates, found, strict=True):
            _check_metrics(evaluator, candidate, metrics)
            _check_network(evaluator, candidate, metrics, bench.parts)
        _check_passes(evaluator)
        profiles = _profiles(evaluator, candidates, len(bench.parts.validation))
        _compare(evaluator, found, _evaluate(evaluator, candidates), "asked a second time")
        with reported_call(evaluator, "a trip through pickle, once prepared,"):
            sent: Evaluator = pickle.loads(pickle.dumps(evaluator))  # noqa: S301 - our own bytes
        _compare(evaluator, found, _evaluate(sent, candidates[::-1])[::-1], "in another process's order")
        other = _prepared(make, folder / "second", state=2)
        _compare(
            evaluator, found, _evaluate(other, candidates[::-1])[::-1], "in another run of the same seed"
        )
        resumed = _prepared(make, folder / "first", state=3)
        _compare(evaluator, found, _evaluate(resumed, candidates), "after a restart in the same folder")
        for scorer, when in ((evaluator, "scored again"), (resumed, "scored again after a restart")):
            _check_rescoring(scorer, candidates, found, profiles, when)
        for candidate, metrics in zip(candidates, found, strict=True):
            _check_judging(evaluator, candidate, metrics)
        _check_profiles(evaluator, candidates, profiles)
        check_run_files(evaluator, bench.folder)
        _check_trainer(make, folder / "third")


def _prepared(make: Callable[[Workbench], Evaluator], folder: Path, state: int) -> Evaluator:
    folder.mkdir(exist_ok=True)
    seed_global_generators(state)
    made: object = make(toy_workbench(folder))
    if not isinstance(made, Evaluator):
        raise ConformanceError(f"{make!r}: makes a {type(made).__name__}; expected an Evaluator")
    with reported_call(made, "prepare"):
        made.prepare(Silent())
    return made


def _candidates(bench: Workbench) -> list[Candidate]:
    """Without exits, with one and with two; with thresholds that let all go, and hardly any."""
    smallest, largest = bench.space.smallest(), bench.space.largest()
    pairs: tuple[tuple[Backbone, tuple[float | None, ...]], ...] = (
        (smallest, (None, None)),
        (largest, (0.3, 0.6)),
        (largest, (None, 0.6)),
        (smallest, (0.0, 0.6)),
        (largest, (1.0, None)),
    )
    return [Candidate(backbone, SelectionScheme(thresholds)) for backbone, thresholds in pairs]


def _evaluate(evaluator: Evaluator, candidates: Sequence[Candidate]) -> list[Metrics]:
    found = []
    for number, candidate in enumerate(candidates):
        seed_global_generators(number)
        with reported_call(evaluator, f"evaluate, {_named(candidate)},"):
            metrics: object = evaluator.evaluate(candidate)
        if not isinstance(metrics, Metrics):
            raise ConformanceError(f"{type(evaluator).__name__}: evaluate gives a {type(metrics).__name__}")
        found.append(metrics)
    return found


def _named(candidate: Candidate) -> str:
    return f"thresholds {candidate.scheme.thresholds} on {dict(candidate.backbone.choices)}"


def _compare(evaluator: Evaluator, first: Sequence[Metrics], second: Sequence[Metrics], when: str) -> None:
    for number, (before, after) in enumerate(zip(first, second, strict=True), start=1):
        old, new = before.to_dict(), after.to_dict()
        differing = [f"{name} {old[name]}, then {new[name]}" for name in old if old[name] != new[name]]
        require(evaluator, not differing, f"candidate {number} {when} has {'; '.join(differing)}")


def _check_metrics(evaluator: Evaluator, candidate: Candidate, metrics: Metrics) -> None:
    """Metrics agree with one another and with the scheme."""
    name, scheme = _named(candidate), candidate.scheme
    places = len(scheme.thresholds) + 1
    shares, accuracies = metrics.utilization, metrics.exit_accuracy
    require(
        evaluator,
        len(shares) == len(accuracies) == places and abs(sum(shares) - 1) < 1e-6 and min(shares) >= 0,
        f"{name}: utilization {shares}, exit accuracy {accuracies}; expected {places} each, "
        "shares that sum to 1",
    )
    idle = [index for index in range(places - 1) if index not in scheme.placed and shares[index]]
    require(evaluator, not idle, f"{name}: utilization {shares}, though no exit stands at {idle}")
    unequal = [i for i in range(places) if (accuracies[i] is None) != (shares[i] == 0)]
    require(
        evaluator, not unequal, f"{name}: exit accuracy {accuracies}; expected none just where nobody leaves"
    )
    mean = sum(share * (accuracy or 0.0) for share, accuracy in zip(shares, accuracies, strict=True))
    require(
        evaluator,
        abs(mean - metrics.accuracy) < 1e-6,
        f"{name}: accuracy {metrics.accuracy}; its exits' accuracies by utilization make {mean}",
    )
    require(
        evaluator,
        metrics.executed_macs >= metrics.ada_macs > 0 and min(metrics.params, metrics.activations) > 0,
        f"{name}: ADA_MACS {metrics.ada_macs}, executed {metrics.executed_macs}, {metrics.params} "
        f"parameters, {metrics.activations} activations; expected costs above 0, "
        "and executed no less than ADA_MACS",
    )
    _check_exit_macs(evaluator, name, candidate, metrics)
    if not scheme.exits:
        whole = metrics.backbone_accuracy, float(metrics.backbone_macs), float(metrics.backbone_macs)
        found = metrics.accuracy, metrics.ada_macs, metrics.executed_macs
        require(
            evaluator, found == whole, f"{name}: without exits {found}; expected its backbone's own {whole}"
        )


def _check_exit_macs(evaluator: Evaluator, name: str, candidate: Candidate, metrics: Metrics) -> None:
    """What leaving at each exit costs makes the executed MACs, by utilization."""
    exits, shares = metrics.exit_macs, metrics.utilization
    stands = [threshold is not None for threshold in candidate.scheme.thresholds] + [True]
    require(
        evaluator,
        [macs is not None for macs in exits] == stands,
        f"{name}: MACs of leaving at each exit {exits}; expected numbers just where an exit stands",
    )
    mean = sum(share * (macs or 0.0) for share, macs in zip(shares, exits, strict=True))
    require(
        evaluator,
        abs(mean - metrics.executed_macs) <= 1e-6 * metrics.executed_macs,
        f"{name}: executed MACs {metrics.executed_macs}; leaving at each exit by utilization makes {mean}",
    )


def _check_network(evaluator: Evaluator, candidate: Candidate, metrics: Metrics, parts: DataParts) -> None:
    """The network that is handed on is the one that was judged."""
    name = _named(candidate)
    with reported_call(evaluator, f"the network of {name}"):
        network: object = evaluator.network(candidate)
        if not isinstance(network, ExitNetwork):
            raise ConformanceError(f"{type(evaluator).__name__}: network gives a {type(network).__name__}")
        label, left_at, _ = network.eval()(parts.validation.images)
    require(evaluator, network.scheme == candidate.scheme, f"{name}: its network has {network.scheme}")
    count = len(parts.validation)
    right = int((label == parts.validation.labels).sum())
    leaving = torch.bincount(left_at, minlength=len(metrics.utilization)).tolist()
    slips = [abs(right - count * metrics.accuracy)]
    slips += [abs(n - count * share) for n, share in zip(leaving, metrics.utilization, strict=True)]
    require(
        evaluator,
        max(slips) <= _SLIPS + 1e-6,
        f"{name}: its network has {right} of {count} right and leaves at {leaving}; evaluate says accuracy "
        f"{metrics.accuracy}, utilization {metrics.utilization}",
    )


def _check_judging(evaluator: Evaluator, candidate: Candidate, metrics: Metrics) -> None:
    """An evaluation that judges from structure alone gives what was measured, told how the exits behave."""
    told = Outcome(metrics.accuracy, metrics.utilization, metrics.exit_accuracy, metrics.backbone_accuracy)
    try:
        judged: object = evaluator.judge(candidate, told)
    except CandidateError:
        return
    require(evaluator, evaluator.judges, "implements `judge`, and `judges` is False")
    require(
        evaluator,
        judged == metrics,
        f"{_named(candidate)}: judge gives {judged} of its own outcome; evaluate gave {metrics}",
    )


def _profiles(
    evaluator: Evaluator, candidates: Sequence[Candidate], samples: int
) -> list[ExitProfile | None]:
    """Each candidate's exit profile, asked for right after its evaluation; `None` where none is kept."""
    found = []
    for candidate in candidates:
        name = _named(candidate)
        evaluator.evaluate(candidate)
        with reported_call(evaluator, f"profile, {name},"):
            profile = evaluator.profile(candidate)
        if profile is not None:
            require(
                evaluator,
                len(profile) == samples and set(candidate.scheme.placed) <= set(profile.points),
                f"{name}: the profile has {len(profile)} samples and exit points {profile.points}; expected "
                f"{samples}, and a column for each placed exit",
            )
        found.append(profile)
    return found


def _check_rescoring(
    evaluator: Evaluator,
    candidates: Sequence[Candidate],
    found: Sequence[Metrics],
    profiles: Sequence[ExitProfile | None],
    when: str,
) -> None:
    """From its profile a candidate gets the metrics that it had; without exits, those of its backbone."""
    for candidate, metrics, profile in zip(candidates, found, profiles, strict=True):
        if profile is None:
            continue
        nothing = SelectionScheme((None,) * len(candidate.scheme.thresholds))
        bare = Candidate(candidate.backbone, nothing)
        with reported_call(evaluator, f"rescore, {_named(candidate)},"):
            again, alone = evaluator.rescore(candidate, profile), evaluator.rescore(bare, profile)
        _compare(evaluator, [metrics], [again], f"({_named(candidate)}) {when}")
        _check_metrics(evaluator, bare, alone)


def _check_passes(evaluator: Evaluator) -> None:
    passes = evaluator.passes()
    require(
        evaluator,
        len(passes) == 2 and all(0 <= number < float("inf") for number in passes),
        f"passes() is {passes}; expected two numbers of samples",
    )


def _check_profiles(
    evaluator: Evaluator, candidates: Sequence[Candidate], profiles: Sequence[ExitProfile | None]
) -> None:
    """An evaluation that keeps profiles gives one for each candidate, and Pareto-optimal schemes from it."""
    if not evaluator.keeps_profiles:
        return
    for candidate, profile in zip(candidates, profiles, strict=True):
        if profile is None:
            raise ConformanceError(
                f"{type(evaluator).__name__}: `keeps_profiles` is True, {_named(candidate)} has no profile"
            )
        with reported_call(evaluator, f"schemes, {_named(candidate)},"):
            schemes = evaluator.schemes(candidate, profile)
        require(evaluator, len(schemes) > 0, f"{_named(candidate)}: `schemes` gives none; expected some")


def _check_trainer(make: Callable[[Workbench], Evaluator], folder: Path) -> None:
    """An evaluation that trains a supernet has a trainer, whose state is one of its files."""
    folder.mkdir()
    evaluator = make(toy_workbench(folder))
    if not evaluator.trains_supernet:
        return
    with reported_call(evaluator, "trainer"):
        trainer: object = evaluator.trainer(Silent())
        if not isinstance(trainer, SandwichTraining):
            raise ConformanceError(
                f"{type(evaluator).__name__}: trainer gives a {type(trainer).__name__}; expected a "
                "SandwichTraining"
            )
        finished = trainer.run(Silent())
    require(evaluator, finished, "its trainer's `run` ends before the training is finished")
    state = matching_files(folder, left_files(evaluator))
    require(evaluator, bool(state), "its trainer leaves no state that `files` matches")
