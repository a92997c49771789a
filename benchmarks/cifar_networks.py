"""From a searched supernet to the rows of `cifar.py`'s table: fine-tuned, thresholds set, looked at once."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edanas import load
from edanas.compose import Composition
from edanas.core.archive import Archive
from edanas.core.contracts import Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.progress import Progress
from edanas.core.types import Backbone, Candidate, Evaluation, ExitProfile, SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation.scoring import score
from edanas.exits.calibration import calibrate
from edanas.exits.eenn import EENN
from edanas.exits.fronts import threshold_front
from edanas.exits.intervals import wilson
from edanas.exits.profiles import collect_profile, outcome
from edanas.exits.setters import temperatures_of
from edanas.exits.temperature import TEMPERATURES
from edanas.training.finetune import steps_of

EARLY, SINGLE, CUT = "early-exit", "single-exit", "cut"


class Wanted(NamedTuple):
    """A network to fine-tune.

    Args:
        kind: `EARLY` or `SINGLE`.
        budget: Executed multiply-adds; `None` for the largest backbone, whatever it costs.
        backbone: Of the supernet.
    """

    kind: str
    budget: float | None
    backbone: Backbone


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
        return ThresholdChoice(calibration.scheme, temperatures_of(calibration))


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

    def wanted(self, archive: Archive, budgets: Sequence[float]) -> list[Wanted]:
        """The best backbone of each kind by validation accuracy within each budget, and the largest."""
        pool = list(self._trade_offs(archive))
        found = [
            Wanted(kind, budget, best(pool, budget, kind)) for kind in (EARLY, SINGLE) for budget in budgets
        ]
        return [*found, Wanted(SINGLE, None, self.bench.space.largest())]

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

    def finetuned(self, wanted: Wanted) -> EENN:
        """The network with every exit, or none, after fine-tuning; read back if it was made before."""
        stem, bench = self._stem(wanted), self.bench
        if not self.is_finetuned(wanted):
            start, exits = time.monotonic(), bench.provider.exit_points
            scheme = SelectionScheme(((1.0,) if wanted.kind == EARLY else (None,)) * exits)
            network: Any = self.made.evaluator.network(Candidate(wanted.backbone, scheme))
            network.description = bench.describe(wanted.backbone)
            seed = bench.seed("finish", wanted.kind, wanted.backbone.id)
            steps = steps_of(bench.parts, self.training)
            with self.progress.task(f"Fine-tuning {stem.name}", steps) as bar:
                bench.finetune(network, self.training, seed, bar, self.made.evaluator.teacher())
            network.description["finetuned_seconds"] = round(time.monotonic() - start, 1)
            SafetensorsExporter().export(network, stem)
        return load(stem.with_suffix(".json"), str(bench.device))

    def _stem(self, wanted: Wanted) -> Path:
        return self.folder / f"{wanted.kind}-{wanted.backbone.id}"

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

    def report(self, kind: str, budget: float | None, network: EENN) -> dict[str, Any]:
        """One look at the report part, under the scheme that the network has."""
        return self._row(kind, budget, network, network.scheme, self._reported(network))

    def cuts(self, network: EENN) -> list[dict[str, Any]]:
        """The network cut off at each exit: everybody leaves there, and nothing else is computed."""
        exits, profile = self.bench.provider.exit_points, self._reported(network)
        every = [SelectionScheme(tuple(0.0 if i == k else None for i in range(exits))) for k in range(exits)]
        return [self._row(CUT, None, network, scheme, profile) for scheme in every]

    def _reported(self, network: EENN) -> ExitProfile:
        return collect_profile(network, self.bench.parts.test)

    def _row(
        self, kind: str, budget: float | None, network: EENN, scheme: SelectionScheme, profile: ExitProfile
    ) -> dict[str, Any]:
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


def best(pool: Sequence[Evaluation], budget: float, kind: str) -> Backbone:
    """The most accurate on the validation part within the budget; the cheapest where nothing is within."""

    def figures(each: Evaluation) -> tuple[float, float]:
        metrics = each.metrics
        if metrics is None:
            raise ValueError(f"{each.candidate.id} has no metrics")
        if kind == EARLY:
            return metrics.executed_macs, metrics.accuracy
        return metrics.backbone_macs, metrics.backbone_accuracy

    within = [each for each in pool if figures(each)[0] <= budget]
    if not within:
        return min(pool, key=lambda each: figures(each)[0]).candidate.backbone
    return max(within, key=lambda each: figures(each)[1]).candidate.backbone
