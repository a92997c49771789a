"""Choice of the networks that a time limit can train, and of their training."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from edanas.core.contracts import SupernetProvider
from edanas.core.durations import duration_text
from edanas.core.settings import FLIPS, TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Task

LONG, SINGLE, ALONE = 30, 40, 12
"""Least epochs with several backbones in each step, with a single one, and of one network alone."""

FINETUNED = 0.6
"""Learning rate of the results of dense networks, relative to that of `auto` for their supernet, or to that
of the network of a space with one backbone.

It was measured on 10,000 photographs, in one run each of 270 seconds of one core, by validation. At a
twentieth of the rate, in a fifth of the time, single exits had 62.1, 66.7 and 72.5% at 3.2M, 6.8M and 11.5M
multiply-adds. At this rate, in half of the time, they had 64.5, 70.5 and 72.9%. Early exits were equal.
"""

SHARE = 0.45
"""Share of a run's time limit in which the supernet's training takes place."""

SPEED = {"elastic-resnet": 5e10, "ofa-mbv3": 1.2e10}
"""Floating-point operations per second and thread in training, by supernet provider.

The values are constants, so that a run has the same settings on every machine. On an AMD EPYC processor of
2024 they are about the speeds of dense and of depthwise networks in float32.
"""

_FLOPS = 6
"""Floating-point operations of a training step for each multiply-add: two, forward and twice backward."""


def affordable_macs(seconds: float, speed: float, images: int) -> float:
    """Return the multiply-adds of a sample that a supernet's training can spend, all epochs together.

    Args:
        seconds: Time limit of the run.
        speed: Floating-point operations per second of all threads together, in training.
        images: Number of training images.
    """
    return seconds * SHARE * speed / (_FLOPS * max(1, images))


def settings_for_time(
    build: Callable[[Mapping[str, Any]], SupernetProvider],
    options: Mapping[str, Any],
    task: Task,
    affordable: float,
    training: TrainingSettings,
    fits: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """Return the changes of the settings that a time limit demands, by their dotted names.

    The settings stay if `LONG` epochs fit. Otherwise a step trains a single backbone, if `SINGLE` epochs fit.
    Otherwise the space has one backbone, the largest of which `ALONE` epochs fit.

    Measured in 90 seconds of one core, on 30,000 photographs of 32 pixels and backbones of up to 5M
    multiply-adds: with several backbones in each step, the largest had 47.5% and the smallest 37.6%. With a
    single backbone in each step, they had 62.6% and 47.5%. One network alone had 66.8%.

    Args:
        build: Function from options to a supernet provider.
        options: Options of the provider; its other options have their defaults.
        task: Number of channels of the images, and number of classes.
        affordable: The result of `affordable_macs`.
        training: Settings of the training of the supernet.
        fits: True for options of the provider whose largest network keeps the run's limits of memory. Of
            spaces with one backbone, those that keep them come first.

    Returns:
        The changed settings; empty if the provider has no option `widths`.
    """
    choices = choices_of(build(options))
    widths, depths = choices.get("width", []), choices.get("depth", [])
    if not widths or not depths:
        return {}

    def epoch_macs(changed: Mapping[str, Any], settings: TrainingSettings) -> float:
        smallest, largest = _extremes(build({**options, **changed}), task)
        costs = (smallest, (smallest + largest) / 2, largest)
        return largest if smallest == largest else sum(map(operator.mul, settings.passes, costs))

    if LONG * epoch_macs({}, training) <= affordable:
        return {}
    single = replace(training, backbones="single")
    if SINGLE * epoch_macs({}, single) <= affordable:
        return {"training.backbones": "single"} | _fast(training)
    alone = sorted(_single(widths, depths, choices), key=lambda each: epoch_macs(each, single))
    alone = [each for each in alone if fits({**options, **each})] or alone[:1]
    fitting = [each for each in alone if ALONE * epoch_macs(each, single) <= affordable]
    flip = [name for name in training.augment if name in FLIPS]
    fast = _fast(training)
    rate = {"finetune.learning_rate": round(FINETUNED * fast["training.learning_rate"], 5)}
    return _dotted([alone[0], *fitting][-1]) | fast | rate | {"training.augment": flip}


def _dotted(options: Mapping[str, Any]) -> dict[str, Any]:
    return {f"supernet.{name}": choices for name, choices in options.items()}


def _fast(training: TrainingSettings) -> dict[str, Any]:
    """Return the settings of a short training: a higher rate, and smaller weights of the early exits.

    With 4.3 epochs of 30,000 photographs, the last exit of one network had 58.5% with equal weights of all
    exits and all augmentations; 64.4% with smaller weights and mirroring alone; and 66.8% at a learning rate
    of 0.01 in place of 0.003.
    """
    rate = 0.01 * (training.batch_size / 128) ** 0.5
    return {"scheme.early": 0.3, "training.learning_rate": round(rate, 5)}


def time_sentence(changes: Mapping[str, Any], seconds: float) -> str:
    """Return a sentence on what a time limit changes; empty if it changes nothing.

    Args:
        changes: The result of `settings_for_time`.
        seconds: Time limit of the run.

    Example:
        >>> time_sentence({"training.backbones": "single"}, 600.0)
        'In 10 min each step trains a single backbone.'
    """
    time = duration_text(seconds)
    if "training.backbones" in changes:
        return f"In {time} each step trains a single backbone."
    if "supernet.widths" in changes:
        return (
            f"In {time} a supernet would train for too few epochs. The run trains one network of width "
            f"{changes['supernet.widths'][-1]}, and searches its early exits and the stage where it ends."
        )
    return ""


def _single(
    widths: Sequence[float], depths: Sequence[int], choices: Mapping[str, list[Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the options of spaces with one backbone each."""
    others = {option: [choices[name][0]] for name, option in _SMALLEST.items() if name in choices}
    for width in widths:
        for depth in depths:
            yield {
                "widths": [width],
                "depths": [depth],
                "resolutions": [choices["resolution"][-1]],
                **others,
            }


_SMALLEST = {"kernel": "kernels", "expand": "expansions"}
"""Options whose smallest value a space with one backbone has, by the last part of a variable's name."""


def choices_of(provider: SupernetProvider) -> dict[str, list[Any]]:
    """Return the choices of each kind of variable, ascending, by the last part of its name."""
    choices: dict[str, set[Any]] = {}
    for variable in provider.variables():
        values = {each for each in variable.choices if each is not None}
        choices.setdefault(variable.name.rpartition(".")[2], set()).update(values)
    return {name: sorted(values) for name, values in choices.items()}


def _extremes(provider: SupernetProvider, task: Task) -> tuple[float, float]:
    """Return the multiply-adds of the smallest and of the largest backbone."""
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)

    def macs(backbone: Backbone) -> float:
        costs = provider.costs(backbone, task)
        if costs is None:  # counted only once the backbone is built
            return 0.0
        stages, last = costs
        return float(sum(stage.macs for stage in stages) + last.macs)

    return macs(space.smallest()), macs(space.largest())
