"""Fine-tuning, threshold setting and the single test of `cifar.py`'s networks."""

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
"""Exits after which fewer than this share of the samples exit are not fine-tuned."""


class Wanted(NamedTuple):
    """A network to fine-tune.

    Args:
        kind: `EARLY` or `SINGLE`.
        budget: Executed multiply-adds; `None` for the largest backbone, whatever it costs.
        backbone: The supernet's backbone.
        last: The last exit to train, from 0.
    """

    kind: str
    budget: float | None
    backbone: Backbone
    last: int = 0

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.kind}-{self.backbone.id}" + (f"-{self.last + 1}" if self.kind == EARLY else "")


class Offer(NamedTuple):
    """The best use of a network within a budget.

    Args:
        budget: Executed multiply-adds.
        network: The network with every exit and its temperatures.
        scheme: The most accurate scheme within the budget on the calibration part.
        accuracy: Accuracy of the scheme on the validation part.
    """

    budget: float
    network: EENN
    scheme: SelectionScheme
    accuracy: float


class _Tempering(ThresholdSetter):
    """Sets temperatures and keeps thresholds."""

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        return ThresholdChoice(calibration.scheme, fit_temperatures(calibration))


class UpTo(TrainingScheme):
    """A training scheme without the exits after `last`.

    Few samples reach those exits, and training them costs the others accuracy.

    The part after `last` keeps its inherited weights; samples may still reach it.

    Args:
        scheme: The scheme for networks with every exit.
        last: The last exit to train, from 0.
    """

    def __init__(self, scheme: TrainingScheme, last: int) -> None:
        self.scheme, self.last = scheme, last

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """See `TrainingScheme.phases`."""

        def trained(exits: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(exit_ for exit_ in exits if exit_ <= self.last)

        return tuple(
            replace(
                each, exits=trained(each.exits), segments=trained(each.segments), heads=trained(each.heads)
            )
            for each in self.scheme.phases(points)
            if trained(each.exits)
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
        composition: The searched run's objects; its evaluator is prepared.
        folder: Folder of the fine-tuned networks.
        epochs: Epochs of fine-tuning.
        progress: Display of the progress.
    """

    def __init__(self, composition: Composition, folder: Path, epochs: int, progress: Progress) -> None:
        self.composition, self.bench = composition, composition.workbench
        self.folder, self.progress = folder, progress
        self.training = replace(self.bench.settings.finetune, epochs=epochs)
        self.folder.mkdir(exist_ok=True)

    def wanted(self, archive: Archive, budgets: Sequence[float], candidates: int) -> list[Wanted]:
        """Return the networks to fine-tune, by validation accuracy within each budget.

        Args:
            archive: The search's archive.
            budgets: Executed multiply-adds.
            candidates: Early-exit backbones for each budget. The single-exit ones are the best for each
                budget, and the largest.
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
        """Yield every trade-off of every searched backbone."""
        if self.composition.fronts is None:
            raise ValueError("the search has no threshold fronts")
        for _, evaluation in archive.replay():
            profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
            if profile is not None:
                yield from self.composition.fronts.evaluations(evaluation, profile)

    def is_finetuned(self, order: Wanted) -> bool:
        """True if the network's file exists."""
        return self._stem(order).with_suffix(".json").exists()

    def finetune(self, order: Wanted) -> None:
        """Build the network with all exits or none, fine-tune it and write it."""
        start, exits, bench = time.monotonic(), self.bench.provider.exit_points, self.bench
        scheme = SelectionScheme(((1.0,) if order.kind == EARLY else (None,)) * exits)
        network: Any = self.composition.evaluator.network(Candidate(order.backbone, scheme))
        network.description = bench.describe(order.backbone)
        seed = bench.seed("finish", order.kind, order.backbone.id)
        if order.kind == EARLY:
            bench = replace(bench, scheme=UpTo(bench.scheme, order.last))
        with self.progress.task(f"Fine-tuning {order.name}", step_count(bench.parts, self.training)) as bar:
            bench.finetune(network, self.training, seed, bar, self.composition.evaluator.teacher())
        network.description["finetuned_seconds"] = round(time.monotonic() - start, 1)
        SafetensorsExporter().export(network, self._stem(order))

    def finetuned(self, order: Wanted) -> EENN:
        """Load the network that `finetune` wrote."""
        return load(self._stem(order).with_suffix(".json"), str(self.bench.device))

    def _stem(self, order: Wanted) -> Path:
        return self.folder / order.name

    def offers(self, network: EENN, budgets: Sequence[float]) -> list[Offer]:
        """Set temperatures on the calibration part; return its most accurate scheme within each budget."""
        parts, costs = self.bench.parts, self.bench.anatomy(network).costs
        calibration = calibrate(network, parts.calibration, costs, _Tempering())
        front = threshold_front(calibration, costs, self.bench.provider.exit_points)
        validation, offers = collect_profile(network, parts.validation), []
        for budget in budgets:
            within = np.flatnonzero(front.cost <= budget)
            scheme = front.schemes[int(within[-1]) if len(within) else 0]
            offers.append(Offer(budget, network, scheme, outcome(validation, scheme).accuracy))
        return offers

    def test_profile(self, network: EENN) -> ExitProfile:
        """Return the exit profile of the report part."""
        return collect_profile(network, self.bench.parts.test)

    def cuts(self, network: EENN, last: int, profile: ExitProfile) -> list[dict[str, Any]]:
        """Return rows of the network cut off at each early exit up to `last`, where every sample exits."""
        exits = self.bench.provider.exit_points
        every = [SelectionScheme(tuple(0.0 if i == k else None for i in range(exits))) for k in range(exits)]
        return [self.row(CUT, None, network, scheme, profile) for scheme in every[: last + 1]]

    def row(
        self, kind: str, budget: float | None, network: EENN, scheme: SelectionScheme, profile: ExitProfile
    ) -> dict[str, Any]:
        """Return the figures of the network on the report part under `scheme`."""
        test = score(profile, scheme, self.bench.anatomy(network))
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


def reported(networks: Networks, orders: Sequence[Wanted], budgets: Sequence[float]) -> list[dict[str, Any]]:
    """Return every row of `cifar.py`'s table: stages 4 and 5."""
    rows, networks_with_offers = [], []
    for each in {each.name: each for each in orders if each.kind == EARLY}.values():
        network = networks.finetuned(each)
        # The offers come first, since they set the temperatures of the confidences.
        offers = networks.offers(network, budgets)
        profile = networks.test_profile(network)
        networks_with_offers.append((offers, profile))
        rows += networks.cuts(network, each.last, profile)
    for each in orders:
        if each.kind == SINGLE:
            network = networks.finetuned(each)
            rows.append(
                networks.row(SINGLE, each.budget, network, network.scheme, networks.test_profile(network))
            )
    for at, budget in enumerate(budgets):
        chosen, profile = max(networks_with_offers, key=lambda each: each[0][at].accuracy)
        rows.append(networks.row(EARLY, budget, chosen[at].network, chosen[at].scheme, profile))
    return rows


def best(pool: Sequence[Evaluation], budget: float, kind: str, count: int = 1) -> list[Evaluation]:
    """Return the most accurate backbones on the validation part within the budget, best trade-off each.

    If no backbone is within the budget, return the cheapest one.
    """

    def figures(each: Evaluation) -> tuple[float, float]:
        metrics = _metrics(each)
        if kind == EARLY:
            return metrics.executed_macs, metrics.accuracy
        return metrics.backbone_macs, metrics.backbone_accuracy

    within = [each for each in pool if figures(each)[0] <= budget]
    if not within:
        return [min(pool, key=lambda each: figures(each)[0])]
    backbones: dict[Backbone, Evaluation] = {}
    for each in sorted(within, key=lambda each: -figures(each)[1]):
        backbones.setdefault(each.candidate.backbone, each)
    return list(backbones.values())[:count]


def last_served(evaluation: Evaluation) -> int:
    """Return the first exit, from 0, after which fewer than `SERVED` of the samples exit."""
    behind = 1 - np.cumsum(_metrics(evaluation).utilization)
    return int(np.argmax(behind < SERVED))


def _metrics(evaluation: Evaluation) -> Metrics:
    if evaluation.metrics is None:
        raise ValueError(f"{evaluation.candidate.id} has no metrics")
    return evaluation.metrics
