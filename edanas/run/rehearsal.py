"""Checks of a run's inputs before it starts, for `--dry-run`: what the run would refuse is refused."""

import time

from edanas.core.errors import AbsentWeightsError
from edanas.core.progress import Silent
from edanas.evaluation.initial_weights import load_initial_weights
from edanas.plugins.registry import Registry
from edanas.run.compose import Composition, make_loggers
from edanas.run.finishing import warm_start_candidates
from edanas.run.time_plan import TimePlan
from edanas.supernets.download import without_download


def rehearse(registry: Registry, composition: Composition, *, has_run: bool = False) -> str | None:
    """Check loggers, plan, warm start, weights and teacher of a run, without any change.

    Args:
        registry: The extensions by kind and name.
        composition: The objects of the run.
        has_run: True if the run resumes, so that its warm start is in its archive; default False.

    Returns:
        A sentence on weights that are not downloaded yet, and so not checked; `None` = all is checked.

    Raises:
        EdanasError: The run would be refused for the same reason.
    """
    bench, evaluator = composition.workbench, composition.evaluator
    make_loggers(registry, bench.settings)
    TimePlan.of_run(bench.folder, bench.settings, time.monotonic())
    if not has_run:
        warm_start_candidates(composition)
    try:
        with without_download():
            if evaluator.trains_supernet:
                evaluator.trainer(Silent())
            elif bench.settings.weights:
                load_initial_weights(bench, bench.provider.supernet(bench.parts.task))
    except AbsentWeightsError as error:
        return f"{error}; the run downloads them"
    return None
