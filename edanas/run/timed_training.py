"""The training of a run's supernet in a share of the run's time."""

from edanas.core.durations import duration_text
from edanas.core.progress import Progress
from edanas.run.compose import Composition
from edanas.run.time_plan import TimePlan
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
    space = composition.workbench.space.whole()
    trainer.pace = pace = plan.supernet_pace(single=space.largest() == space.smallest())
    trainer.run(progress)
    epochs = trainer.step / len(trainer.batches)
    if not plan.fixed:
        progress.say(
            f"The supernet's training was fitted to {duration_text(round(pace.limit))}: {trainer.step:,} "
            f"steps, {epochs:.1f} epochs."
        )
