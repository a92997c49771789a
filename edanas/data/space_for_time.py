"""Choice of the sizes of networks that a time limit can train."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edanas.core.contracts import SupernetProvider
from edanas.core.durations import duration_text
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Task

EPOCHS = 8
"""Number of epochs that the supernet's training must have, or the largest networks leave the space."""

SHARE = 0.5
"""Share of a run's time limit in which the supernet's training takes place."""

SPEED = {"elastic-resnet": 5e10, "ofa-mbv3": 1.2e10}
"""Floating-point operations per second and thread in training, by supernet provider.

The values are constants, so that a run has the same settings on every machine. On an AMD EPYC processor of
2024 they are about the speeds of dense and of depthwise networks in float32.
"""

_FLOPS = 6
"""Floating-point operations of a training step for each multiply-add: two, forward and twice backward."""


def sizes_for_time(
    build: Callable[[Mapping[str, Any]], SupernetProvider],
    options: Mapping[str, Any],
    task: Task,
    seconds: float,
    *,
    speed: float,
    images: int,
    random_backbones: int,
) -> dict[str, Any]:
    """Return the options of a supernet provider whose largest networks get `EPOCHS` epochs in a time limit.

    A step trains the largest, the smallest and random backbones. The largest widths leave the space, until
    the epochs fit. If they do not fit with two widths, the space has one backbone, the largest whose epochs
    fit: a single network with early exits learns more in a short time than a supernet does.

    Args:
        build: Function from options to a supernet provider.
        options: Options of the provider; its other options have their defaults.
        task: Number of channels of the images, and number of classes.
        seconds: Time limit of the run.
        speed: Floating-point operations per second of all threads together, in training.
        images: Number of training images.
        random_backbones: Number of random backbones in a training step.

    Returns:
        The changed options; empty if all networks fit, or if the provider has no option `widths`.
    """
    affordable = seconds * SHARE * speed / (_FLOPS * EPOCHS * max(1, images))
    choices = _choices(build(options))
    widths, depths = choices.get("width", []), choices.get("depth", [])
    if not widths or not depths:
        return {}

    def step_macs(changed: Mapping[str, Any]) -> float:
        smallest, largest = _extremes(build({**options, **changed}), task)
        return (
            largest
            if smallest == largest
            else largest + smallest + random_backbones * (largest + smallest) / 2
        )

    for count in range(len(widths), 1, -1):
        changed: dict[str, Any] = {} if count == len(widths) else {"widths": widths[:count]}
        if step_macs(changed) <= affordable:
            return changed
    single = sorted(_single(widths, depths, choices), key=step_macs)
    return [single[0], *(each for each in single if step_macs(each) <= affordable)][-1]


def short_training(augmentations: Sequence[str], batch_size: int) -> dict[str, Any]:
    """Return the settings of the training of a space with one backbone, by their dotted names.

    On 30,000 photographs of 32 pixels, 4.3 epochs gave the last exit 58.5% with equal weights of all exits,
    shifts and erased squares. Smaller weights of the early exits and mirroring alone gave 64.4%, and a
    learning rate of 0.01 in place of 0.003 gave 66.8%.

    Args:
        augmentations: Names of the augmentations of longer trainings.
        batch_size: Batch size of the training.

    Example:
        >>> short_training(["shift", "flip", "erase"], batch_size=128)["training.augment"]
        ['flip']
    """
    return {
        "scheme.early": 0.3,
        "training.augment": [name for name in augmentations if name == "flip"],
        "training.learning_rate": round(0.01 * (batch_size / 128) ** 0.5, 5),
    }


def left_out(changed: Mapping[str, Any], seconds: float) -> str:
    """Return a sentence on the networks that a time limit leaves out; empty if it leaves out none.

    Example:
        >>> left_out({"widths": [0.2, 0.4]}, 600.0)
        'In 10 min, networks wider than 0.4 would train for fewer than 8 epochs, and are left out.'
    """
    if not changed:
        return ""
    time, width = duration_text(seconds), changed["widths"][-1]
    if "depths" not in changed:
        return (
            f"In {time}, networks wider than {width} would train for fewer than {EPOCHS} epochs, and are "
            "left out."
        )
    return (
        f"In {time}, a supernet would train for fewer than {EPOCHS} epochs. The run trains one network of "
        f"width {width}, and searches its early exits and the stage where it ends."
    )


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


def _choices(provider: SupernetProvider) -> dict[str, list[Any]]:
    """Return the choices of each kind of variable, ascending, by the last part of its name."""
    choices: dict[str, list[Any]] = {}
    for variable in provider.variables():
        values = [each for each in variable.choices if each is not None]
        choices.setdefault(variable.name.rpartition(".")[2], values)
    return choices


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
