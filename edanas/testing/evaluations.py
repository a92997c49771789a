"""The conformance suite for evaluation modes, with the workbench and network of a toy run."""

import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from edanas.core.contracts import Evaluator, ExitNetwork
from edanas.core.cut_backbones import cut
from edanas.core.errors import CandidateError, type_of
from edanas.core.progress import Silent
from edanas.core.runfolder import left_files, matching_files
from edanas.core.settings import Component, Settings, TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Candidate, DataParts, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.evaluation.workbench import Workbench
from edanas.exits.inference import EarlyStop
from edanas.model.eenn import EENN
from edanas.testing.candidate_metrics import candidate_name, check_metrics
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.random_generators import generators_restored, seed_global_generators
from edanas.testing.run_files import check_run_files
from edanas.testing.toy_networks import ToyClassifier, ToyCriterion, ToyProvider, ToyScheme, toy_images
from edanas.training.sandwich import SandwichTraining

_SLIPS = 1
"""The largest number of validation samples whose exit may change with the batch size."""


def toy_workbench(folder: Path) -> Workbench:
    """Return the workbench of a toy run: one epoch on 48 samples, two exit points, four classes.

    Args:
        folder: The run folder.
    """
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
        space=SearchSpace.of(provider, (0.3, 0.6, None), cut=True),
        parts=parts,
        device=torch.device("cpu"),
        folder=folder,
    )


def toy_network(seed: int = 0) -> EENN:
    """Return a finished EENN, with an exit at the first of two exit points and a description for exporters.

    Args:
        seed: The seed of the random weights, by default 0.

    Example:
        >>> toy_network().scheme.thresholds
        (0.5, None)
    """
    bench = toy_workbench(Path())
    backbone = bench.space.largest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, (0,))
        network = bench.network(staged, heads, SelectionScheme((0.5, None)))
    network.description = bench.describe(backbone)
    return network


def check_evaluation(
    make: Callable[[Workbench], Evaluator], workbench: Callable[[Path], Workbench] | None = None
) -> None:
    """Check an evaluation mode against its contract.

    Metrics must agree with each other and with the network. They must be the same in another order of
    candidates, from a pickled copy, in another folder, and after a restart.

    Args:
        make: A function from a workbench to an evaluation, e.g. the class.
        workbench: A function from a run folder to its workbench, with two exit points or more; by default
            that of a toy run on images.

    Raises:
        ConformanceError: The evaluation mode breaks its contract.

    Example:
        >>> from edanas.evaluation.shared import SharedEvaluation
        >>> check_evaluation(SharedEvaluation)
    """
    with generators_restored(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        bench_in = workbench or toy_workbench

        def make_in(place: Path) -> Evaluator:
            return make(bench_in(place))

        evaluator = _prepared(make_in, folder / "first", state=1)
        bench = bench_in(folder / "first")
        candidates = _candidates(bench)
        measured = _evaluate(evaluator, candidates)
        for candidate, metrics in zip(candidates, measured, strict=True):
            check_metrics(evaluator, candidate, metrics)
            _check_network(evaluator, candidate, metrics, bench.parts)
        _check_passes(evaluator)
        profiles = _profiles(evaluator, candidates, len(bench.parts.validation))
        _compare(evaluator, measured, _evaluate(evaluator, candidates), "evaluated a second time")
        with reported_call(evaluator, "pickling after `prepare`"):
            sent: Evaluator = pickle.loads(pickle.dumps(evaluator))  # noqa: S301 - our own bytes
        _compare(evaluator, measured, _evaluate(sent, candidates[::-1])[::-1], "in another process and order")
        other = _prepared(make_in, folder / "second", state=2)
        _compare(
            evaluator, measured, _evaluate(other, candidates[::-1])[::-1], "in another run of the same seed"
        )
        resumed = _prepared(make_in, folder / "first", state=3)
        _compare(evaluator, measured, _evaluate(resumed, candidates), "after a restart in the same folder")
        for scorer, when in ((evaluator, "scored again"), (resumed, "scored again after a restart")):
            _check_rescoring(scorer, candidates, measured, profiles, when)
        for candidate, metrics in zip(candidates, measured, strict=True):
            _check_judging(evaluator, candidate, metrics)
        _check_profiles(evaluator, candidates, profiles)
        check_run_files(evaluator, bench.folder)
        _check_trainer(make_in, folder / "third")


def _prepared(make: Callable[[Path], Evaluator], folder: Path, state: int) -> Evaluator:
    """Return an evaluation in a run folder after `prepare`, with the global generators seeded by `state`."""
    folder.mkdir(exist_ok=True)
    seed_global_generators(state)
    evaluator: object = make(folder)
    if not isinstance(evaluator, Evaluator):
        raise ConformanceError(f"{make!r}: returns {type_of(evaluator)}; expected an Evaluator")
    with reported_call(evaluator, "prepare"):
        evaluator.prepare(Silent())
    return evaluator


def _candidates(bench: Workbench) -> list[Candidate]:
    """Return candidates with no, one and two exits, and with very low and very high thresholds.

    Two of the networks end at an exit point.
    """
    smallest, largest = bench.space.whole().smallest(), bench.space.largest()
    shorter = {stages: cut(largest, bench.provider.variables(), stages) for stages in (1, 2)}
    pairs: tuple[tuple[Backbone, tuple[float | None, ...]], ...] = (
        (smallest, (None, None)),
        (largest, (0.3, 0.6)),
        (largest, (None, 0.6)),
        (smallest, (0.0, 0.6)),
        (largest, (1.0, None)),
        (shorter[2], (0.3, None)),
        (shorter[1], (None, None)),
    )
    more = (None,) * (bench.space.exit_points - 2)
    return [Candidate(backbone, SelectionScheme((*thresholds, *more))) for backbone, thresholds in pairs]


def _evaluate(evaluator: Evaluator, candidates: Sequence[Candidate]) -> list[Metrics]:
    results = []
    for number, candidate in enumerate(candidates):
        seed_global_generators(number)
        with reported_call(evaluator, f"evaluate, {candidate_name(candidate)},"):
            metrics: object = evaluator.evaluate(candidate)
        if not isinstance(metrics, Metrics):
            raise ConformanceError(f"{type(evaluator).__name__}: evaluate gives {type_of(metrics)}")
        results.append(metrics)
    return results


def _compare(evaluator: Evaluator, first: Sequence[Metrics], second: Sequence[Metrics], when: str) -> None:
    """Check that two evaluations of the same candidates give the same metrics."""
    for number, (before, after) in enumerate(zip(first, second, strict=True), start=1):
        old, new = before.to_dict(), after.to_dict()
        differing = [f"{name} {old[name]}, then {new[name]}" for name in old if old[name] != new[name]]
        require(evaluator, not differing, f"candidate {number} {when} has {'; '.join(differing)}")


def _check_network(evaluator: Evaluator, candidate: Candidate, metrics: Metrics, parts: DataParts) -> None:
    """Check that the network has the evaluated weights, by its accuracy and utilization."""
    name = candidate_name(candidate)
    with reported_call(evaluator, f"the network of {name}"):
        network: object = evaluator.network(candidate)
        if not isinstance(network, ExitNetwork):
            raise ConformanceError(f"{type(evaluator).__name__}: network gives {type_of(network)}")
        labels, exits, _ = network.eval()(parts.validation.images)
    require(
        evaluator,
        network.scheme == candidate.scheme,
        f"{name}: its network has the thresholds {network.scheme.thresholds}",
    )
    count = len(parts.validation)
    right = int((labels == parts.validation.labels).sum())
    counts = torch.bincount(exits, minlength=len(metrics.utilization)).tolist()
    slips = [abs(right - count * metrics.accuracy)]
    slips += [abs(n - count * share) for n, share in zip(counts, metrics.utilization, strict=True)]
    require(
        evaluator,
        max(slips) <= _SLIPS + 1e-6,
        f"{name}: its network predicts {right} of {count} samples right, with {counts} samples by exit; "
        f"evaluate gives accuracy "
        f"{metrics.accuracy}, utilization {metrics.utilization}",
    )


def _check_judging(evaluator: Evaluator, candidate: Candidate, metrics: Metrics) -> None:
    """Check that `judge` returns the measured metrics for the measured accuracies and utilization."""
    outcome = Outcome(
        *(metrics.accuracy, metrics.utilization, metrics.exit_accuracy),
        *(metrics.backbone_accuracy, metrics.balanced_accuracy),
    )
    try:
        judged: object = evaluator.judge(candidate, outcome)
    except CandidateError:
        return
    require(evaluator, evaluator.judges, "implements `judge`, and `judges` is False; expected True")
    require(
        evaluator,
        judged == metrics,
        f"{candidate_name(candidate)}: judge gives {judged} for its own outcome; evaluate gave {metrics}",
    )


def _profiles(
    evaluator: Evaluator, candidates: Sequence[Candidate], samples: int
) -> list[ExitProfile | None]:
    """Evaluate each candidate and return its exit profile; `None` where the evaluation keeps no profile."""
    profiles = []
    for candidate in candidates:
        name = candidate_name(candidate)
        evaluator.evaluate(candidate)
        with reported_call(evaluator, f"profile, {name},"):
            profile = evaluator.profile(candidate)
        if profile is not None:
            require(
                evaluator,
                len(profile) == samples and set(candidate.scheme.placed) <= set(profile.points),
                f"{name}: the profile has {len(profile)} samples and exit points {profile.points}; expected "
                f"{samples} samples, and a column for each placed exit",
            )
        profiles.append(profile)
    return profiles


def _check_rescoring(
    evaluator: Evaluator,
    candidates: Sequence[Candidate],
    measured: Sequence[Metrics],
    profiles: Sequence[ExitProfile | None],
    when: str,
) -> None:
    """Check that `rescore` of a profile gives the measured metrics, and the backbone's without exits."""
    for candidate, metrics, profile in zip(candidates, measured, profiles, strict=True):
        if profile is None:
            continue
        no_exits = SelectionScheme((None,) * len(candidate.scheme.thresholds))
        bare = Candidate(candidate.backbone, no_exits)
        with reported_call(evaluator, f"rescore, {candidate_name(candidate)},"):
            again, alone = evaluator.rescore(candidate, profile), evaluator.rescore(bare, profile)
        _compare(evaluator, [metrics], [again], f"({candidate_name(candidate)}) {when}")
        check_metrics(evaluator, bare, alone)


def _check_passes(evaluator: Evaluator) -> None:
    """Check that `passes` returns two finite numbers of samples."""
    passes = evaluator.passes()
    require(
        evaluator,
        len(passes) == 2 and all(0 <= number < float("inf") for number in passes),
        f"passes() is {passes}; expected two finite numbers of samples",
    )


def _check_profiles(
    evaluator: Evaluator, candidates: Sequence[Candidate], profiles: Sequence[ExitProfile | None]
) -> None:
    """Check that an evaluation with `keeps_profiles` has a profile and schemes for each candidate."""
    if not evaluator.keeps_profiles:
        return
    for candidate, profile in zip(candidates, profiles, strict=True):
        if profile is None:
            raise ConformanceError(
                f"{type(evaluator).__name__}: `keeps_profiles` is True, but {candidate_name(candidate)} "
                "has no profile"
            )
        with reported_call(evaluator, f"schemes, {candidate_name(candidate)},"):
            schemes = evaluator.schemes(candidate, profile)
        require(
            evaluator,
            len(schemes) > 0,
            f"{candidate_name(candidate)}: `schemes` gives no scheme; expected one or more",
        )


def _check_trainer(make: Callable[[Path], Evaluator], folder: Path) -> None:
    """Check that an evaluation with `trains_supernet` has a trainer, whose state `files` matches."""
    folder.mkdir()
    evaluator = make(folder)
    if not evaluator.trains_supernet:
        return
    with reported_call(evaluator, "trainer"):
        trainer: object = evaluator.trainer(Silent())
        if not isinstance(trainer, SandwichTraining):
            raise ConformanceError(
                f"{type(evaluator).__name__}: trainer gives {type_of(trainer)}; expected a SandwichTraining"
            )
        finished = trainer.run(Silent())
    require(evaluator, finished, "`run` of its trainer returns before the training is finished")
    state = matching_files(folder, left_files(evaluator))
    require(
        evaluator,
        bool(state),
        "its trainer leaves no file that `files` matches; expected a file with its state",
    )
