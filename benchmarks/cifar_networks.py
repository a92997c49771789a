"""From a searched supernet to the rows of `cifar.py`'s table: fine-tuned, thresholds set, looked at once."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from edanas import load
from edanas.core.archive import Archive
from edanas.core.contracts import (
    Calibration,
    ExitBatch,
    Phase,
    ThresholdChoice,
    ThresholdSetter,
    TrainingScheme,
)
from edanas.core.progress import Progress
from edanas.core.types import Backbone, Candidate, Evaluation, ExitProfile, Metrics, SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation.scoring import score
from edanas.model.calibration import calibrate
from edanas.model.eenn import EENN
from edanas.model.profiling import collect_profile
from edanas.model.temperature import TEMPERATURES
from edanas.numerics.intervals import wilson
from edanas.run.compose import Composition
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome
from edanas.thresholds.setters import fit_temperatures
from edanas.training.finetune import step_count

EARLY, SINGLE, CUT = "early-exit", "single-exit", "cut"

SERVED = 0.02
"""An exit where fewer than this share of the samples leave, as every later one, is not fine-tuned."""


class Wanted(NamedTuple):
    """A network to fine-tune.

    Args:
        kind: `EARLY` or `SINGLE`.
        budget: Executed multiply-adds; `None` for the largest backbone, whatever it costs.
        backbone: Of the supernet.
        last: The last exit to train, from 0.
    """

    kind: str
    budget: float | None
    backbone: Backbone
    last: int = 0

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.kind}-{self.backbone.id}" + (f"-{self.last + 1}" if self.kind == EARLY else "")


class Offer(NamedTuple):
    """What a network does within a budget.

    Args:
        budget: Executed multiply-adds.
        network: With every exit, tempered.
        scheme: The most accurate on the calibration part of those within the budget.
        accuracy: Its on the validation part.
    """

    budget: float
    network: EENN
    scheme: SelectionScheme
    accuracy: float


class _Tempering(ThresholdSetter):
    """Temperatures alone; thresholds stay."""

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        return ThresholdChoice(calibration.scheme, fit_temperatures(calibration))


class UpTo(TrainingScheme):
    """Another scheme, without the exits behind `last`: they serve few, and cost the others accuracy.

    What is behind keeps its inherited weights; thresholds may still let samples go there.

    Args:
        scheme: For networks with every exit.
        last: From 0.
    """

    def __init__(self, scheme: TrainingScheme, last: int) -> None:
        self.scheme, self.last = scheme, last

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """See `TrainingScheme.phases`."""

        def kept(exits: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(exit_ for exit_ in exits if exit_ <= self.last)

        return tuple(
            replace(each, exits=kept(each.exits), segments=kept(each.segments), heads=kept(each.heads))
            for each in self.scheme.phases(points)
            if kept(each.exits)
        )

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """See `TrainingScheme.learned`."""
        return self.scheme.learned(points)

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """See `TrainingScheme.loss`."""
        return self.scheme.loss(batch)


class Networks:
    """The networks of one supernet.

    Args:
        made: Of the run whose search is done; its evaluator is prepared.
        folder: Where fine-tuned networks are kept.
        epochs: Of fine-tuning.
        progress: Where to show it.
    """

    def __init__(self, made: Composition, folder: Path, epochs: int, progress: Progress) -> None:
        self.made, self.bench, self.folder, self.progress = made, made.workbench, folder, progress
        self.training = replace(self.bench.settings.finetune, epochs=epochs)
        self.folder.mkdir(exist_ok=True)

    def wanted(self, archive: Archive, budgets: Sequence[float], candidates: int) -> list[Wanted]:
        """What to fine-tune, by validation accuracy within each budget.

        Args:
            archive: Of the search.
            budgets: Executed multiply-adds.
            candidates: How many early-exit backbones a budget. Of single-exit ones it is the best, and once
                the largest.
        """
        pool = list(self._trade_offs(archive))
        early = [
            Wanted(EARLY, budget, each.candidate.backbone, last_served(each))
            for budget in budgets
            for each in best(pool, budget, EARLY, candidates)
        ]
        single = [
            Wanted(SINGLE, budget, each.candidate.backbone)
            for budget in budgets
            for each in best(pool, budget, SINGLE)
        ]
        return [*early, *single, Wanted(SINGLE, None, self.bench.space.largest())]

    def _trade_offs(self, archive: Archive) -> Iterator[Evaluation]:
        """Every searched backbone with each of its trade-offs."""
        if self.made.fronts is None:
            raise ValueError("the search has no threshold fronts")
        for _, evaluation in archive.replay():
            profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
            if profile is not None:
                yield from self.made.fronts.evaluations(evaluation, profile)

    def is_finetuned(self, wanted: Wanted) -> bool:
        """Whether `finetuned` reads the network back."""
        return self._stem(wanted).with_suffix(".json").exists()

    def finetune(self, wanted: Wanted) -> None:
        """Make the network, with every exit or none, and write it."""
        start, exits, bench = time.monotonic(), self.bench.provider.exit_points, self.bench
        scheme = SelectionScheme(((1.0,) if wanted.kind == EARLY else (None,)) * exits)
        network: Any = self.made.evaluator.network(Candidate(wanted.backbone, scheme))
        network.description = bench.describe(wanted.backbone)
        seed = bench.seed("finish", wanted.kind, wanted.backbone.id)
        if wanted.kind == EARLY:
            bench = replace(bench, scheme=UpTo(bench.scheme, wanted.last))
        with self.progress.task(f"Fine-tuning {wanted.name}", step_count(bench.parts, self.training)) as bar:
            bench.finetune(network, self.training, seed, bar, self.made.evaluator.teacher())
        network.description["finetuned_seconds"] = round(time.monotonic() - start, 1)
        SafetensorsExporter().export(network, self._stem(wanted))

    def finetuned(self, wanted: Wanted) -> EENN:
        """The network that `finetune` wrote."""
        return load(self._stem(wanted).with_suffix(".json"), str(self.bench.device))

    def _stem(self, wanted: Wanted) -> Path:
        return self.folder / wanted.name

    def offers(self, network: EENN, budgets: Sequence[float]) -> list[Offer]:
        """Temper the exits on the calibration part; the most accurate thresholds there within each budget."""
        parts, costs = self.bench.parts, self.bench.anatomy(network).costs
        promise = calibrate(network, parts.calibration, costs, _Tempering())
        front = threshold_front(promise, costs, self.bench.provider.exit_points)
        seen, found = collect_profile(network, parts.validation), []
        for budget in budgets:
            within = np.flatnonzero(front.cost <= budget)
            scheme = front.schemes[int(within[-1]) if len(within) else 0]
            found.append(Offer(budget, network, scheme, outcome(seen, scheme).accuracy))
        return found

    def seen(self, network: EENN) -> ExitProfile:
        """One look at the report part."""
        return collect_profile(network, self.bench.parts.test)

    def cuts(self, network: EENN, last: int, seen: ExitProfile) -> list[dict[str, Any]]:
        """The network cut off at each early exit to `last`: all leave there, and no stage behind it runs."""
        exits = self.bench.provider.exit_points
        every = [SelectionScheme(tuple(0.0 if i == k else None for i in range(exits))) for k in range(exits)]
        return [self.row(CUT, None, network, scheme, seen) for scheme in every[: last + 1]]

    def row(
        self, kind: str, budget: float | None, network: EENN, scheme: SelectionScheme, seen: ExitProfile
    ) -> dict[str, Any]:
        """What the network does on the report part under `scheme`."""
        test = score(seen, scheme, self.bench.anatomy(network))
        return {
            "kind": kind,
            "budget_m": budget and budget / 1e6,
            "seed": self.bench.settings.seed,
            "executed_macs_m": test.executed_macs / 1e6,
            "ada_macs_m": test.ada_macs / 1e6,
            "backbone_macs_m": test.backbone_macs / 1e6,
            "accuracy": test.accuracy,
            "interval": list(wilson(test.accuracy, len(self.bench.parts.test))),
            "utilization": list(test.utilization),
            "thresholds": list(scheme.thresholds),
            "temperatures": network.description.get(TEMPERATURES),
            "backbone": dict(network.description["backbone"]),
            "backbone_accuracy": test.backbone_accuracy,
            "finetuned_seconds": network.description["finetuned_seconds"],
        }


def reported(networks: Networks, wanted: Sequence[Wanted], budgets: Sequence[float]) -> list[dict[str, Any]]:
    """Stages 4 and 5 of `cifar.py`: every row of its table."""
    rows, found = [], []
    for each in {each.name: each for each in wanted if each.kind == EARLY}.values():
        network = networks.finetuned(each)
        found.append((networks.offers(network, budgets), networks.seen(network)))
        rows += networks.cuts(network, each.last, found[-1][1])
    for each in wanted:
        if each.kind == SINGLE:
            network = networks.finetuned(each)
            rows.append(networks.row(SINGLE, each.budget, network, network.scheme, networks.seen(network)))
    for at, budget in enumerate(budgets):
        offers, seen = max(found, key=lambda each: each[0][at].accuracy)
        rows.append(networks.row(EARLY, budget, offers[at].network, offers[at].scheme, seen))
    return rows


def best(pool: Sequence[Evaluation], budget: float, kind: str, count: int = 1) -> list[Evaluation]:
    """The most accurate backbones on the validation part within the budget, each with its best trade-off.

    The cheapest alone where nothing is within.
    """

    def figures(each: Evaluation) -> tuple[float, float]:
        metrics = _metrics(each)
        if kind == EARLY:
            return metrics.executed_macs, metrics.accuracy
        return metrics.backbone_macs, metrics.backbone_accuracy

    within = [each for each in pool if figures(each)[0] <= budget]
    if not within:
        return [min(pool, key=lambda each: figures(each)[0])]
    found: dict[Backbone, Evaluation] = {}
    for each in sorted(within, key=lambda each: -figures(each)[1]):
        found.setdefault(each.candidate.backbone, each)
    return list(found.values())[:count]


def last_served(evaluation: Evaluation) -> int:
    """The first exit, from 0, behind which fewer than `SERVED` of the samples leave."""
    behind = 1 - np.cumsum(_metrics(evaluation).utilization)
    return int(np.argmax(behind < SERVED))


def _metrics(evaluation: Evaluation) -> Metrics:
    if evaluation.metrics is None:
        raise ValueError(f"{evaluation.candidate.id} has no metrics")
    return evaluation.metrics
