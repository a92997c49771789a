"""The training of a run's supernet, or of its candidates, in a share of the run's time."""

from edanas.core.durations import duration_text
from edanas.core.progress import Progress
from edanas.core.settings import SearchSettings
from edanas.evaluation.finetune import FinetuneEvaluation
from edanas.run.compose import Composition
from edanas.run.estimate import candidate_count, seconds_per_sample, typical_backbone
from edanas.run.time_plan import CANDIDATE_STEPS, CANDIDATES, TimePlan
from edanas.training.finetune import step_count
from edanas.training.loop import Training


def train_in_time(plan: TimePlan, composition: Composition, progress: Progress) -> None:
    """Train the supernet, if the evaluation has one, for a share of the remaining time.

    The evaluation's `prepare` then finds a finished training. A training of 0 epochs stays as it is.

    Args:
        plan: The plan of the run.
        composition: The objects of the run; the evaluation is not yet prepared.
        progress: The display of progress.
    """
    evaluator, settings = composition.evaluator, composition.workbench.settings.training
    if not evaluator.trains_supernet or not settings.trains:
        return
    trainer: object = evaluator.trainer(progress)
    if not isinstance(trainer, Training):
        return
    trainer.resume()
    if trainer.finished:
        return
    trainer.pace = pace = plan.supernet_pace()
    trainer.run(progress)
    epochs = trainer.step / len(trainer.batches)
    if not plan.fixed:
        progress.say(
            f"The supernet's training was fitted to {duration_text(round(pace.limit))}: {trainer.step:,} "
            f"steps, {epochs:.1f} epochs."
        )


def search_in_time(plan: TimePlan, composition: Composition) -> SearchSettings:
    """Return the length of the search, and shorten the training of candidates if the evaluation has one.

    Each candidate gets an equal share of the time of the search. Its training has at least a quarter of an
    epoch; a search with less time has fewer candidates.

    Args:
        plan: The plan of the run.
        composition: The objects of the run; the evaluation is prepared.
    """
    bench, evaluator = composition.workbench, composition.evaluator
    search = bench.settings.search
    if not isinstance(evaluator, FinetuneEvaluation) or not bench.settings.training.trains:
        return plan.limited_search(search)
    evaluator.steps = plan.decided(CANDIDATE_STEPS, lambda: _candidate_steps(plan, composition))
    return plan.limited_search(search, CANDIDATES)


def _candidate_steps(plan: TimePlan, composition: Composition) -> int:
    """Return the number of steps of each candidate's training, from the measured time of a step."""
    bench, training = composition.workbench, composition.workbench.settings.training
    steps = step_count(bench.parts, training)
    if plan.fixed:
        return steps
    task = bench.parts.task
    backbone = typical_backbone(bench.space.whole(), bench.provider, task, bench.settings.seed)
    each = seconds_per_sample(bench.provider.build(backbone, task), task, bench.settings)
    candidates = candidate_count(bench.settings)
    time = plan.remaining() * CANDIDATES / candidates - bench.judging_passes() * each
    least = -(-len(bench.parts.train) // (4 * training.batch_size))
    return max(1, min(steps, max(least, int(time / (bench.scheme.passes * training.batch_size * each)))))
