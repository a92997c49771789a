"""Supernet providers of Shallow-Deep networks: exit points at shares of the multiply-adds, and ResNet-56."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise

from torch import nn

from edanas.core.contracts import Supernet, SupernetProvider
from edanas.core.errors import ConfigError, WeightsError, type_of
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, Task
from edanas.supernets.baselines import Baseline, convolution
from edanas.supernets.fixed_network import FixedProvider, FixedSupernet, Parts

SHARES = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Shares of the multiply-adds after which the source places its internal classifiers."""

_TASK = Task(in_channels=3, num_classes=10)
"""The task for which multiply-adds are counted, so that exit points do not depend on the data."""


class ShallowDeepProvider(FixedProvider):
    """A network with exit points after given shares of its multiply-adds.

    The stages of the network `of` are joined. For each share, the exit point is the end of the stage up to
    which the multiply-adds, as a share of those of the whole network, are nearest. Shares with the same exit
    point give one exit point.

    Source: Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and mitigating network
    overthinking", ICML 2019. On VGG-16 and ResNet-56 the exit points are those of the public code.

    Args:
        of: The supernet provider of the network, which must have a single network, e.g. `resnet56`, `vgg13`,
            `timm` or `module`.
        at: Shares of the multiply-adds, ascending, above 0 and below 1.

    Raises:
        ConfigError: `of` has more than one network, or an option is out of range.

    Example:
        >>> ShallowDeepProvider(ResNet56(width=0.25)).exit_points
        6
    """

    def __init__(self, of: SupernetProvider, *, at: tuple[float, ...] = SHARES) -> None:
        if not isinstance(of, FixedProvider):
            raise ConfigError(
                f"supernet.of: found {type_of(of)}, which has many backbones; allowed: a provider "
                "of a single network, such as resnet56, vgg13, timm or module"
            )
        if not at or any(not 0 < share < 1 for share in at) or any(a >= b for a, b in pairwise(at)):
            raise ConfigError(f"supernet.at: found {list(at)}; allowed: rising numbers above 0 and below 1")
        super().__init__(of.resolutions, series=of.series)
        self.of, self.at = of, at
        stages, last = of.costs(Backbone((("resolution", max(of.resolutions)),)), _TASK)
        self.ends = ends_at_shares([*(stage.macs for stage in stages), last.macs], at)
        self.exit_points = len(self.ends)

    def parts(self, task: Task) -> Parts:
        """Build the network with joined stages; see `FixedProvider.parts`."""
        return self._joined(self.of.parts(task))

    def skeleton(self, task: Task) -> Parts:
        """Build the structure with joined stages; see `FixedProvider.skeleton`."""
        return self._joined(self.of.skeleton(task))

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights with the provider `of`; see `SupernetProvider.load_weights`.

        Raises:
            WeightsError: `supernet` is not of this provider, or the weights cannot be loaded.
        """
        if not isinstance(supernet, FixedSupernet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        stages = [stage for joined in supernet.stages for stage in joined.children()]
        apart = FixedSupernet((stages, supernet.head), self.of.side, supernet.task, series=self.series)
        return self.of.load_weights(apart, weights)

    def _joined(self, parts: Parts) -> Parts:
        stages, head = parts
        bounds = [0, *self.ends, len(stages)]
        return [nn.Sequential(*stages[start:end]) for start, end in pairwise(bounds)], head


def ends_at_shares(macs: Sequence[int], shares: Sequence[float]) -> tuple[int, ...]:
    """Return the numbers of parts after which the multiply-adds are nearest to given shares of the sum.

    Args:
        macs: Multiply-adds of each part of a network in order; no end lies after the last part.
        shares: Shares of the multiply-adds, ascending.

    Example:
        >>> ends_at_shares([10, 10, 10, 10], [0.3, 0.7])
        (1, 3)
    """
    total = sum(macs)
    reached = [part / total for part in accumulate(macs)][:-1]
    nearest = (min(range(len(reached)), key=lambda at: abs(reached[at] - share)) for share in shares)
    return tuple(dict.fromkeys(at + 1 for at in nearest))


class ResNet56(Baseline):
    """ResNet-56 for images of 32 pixels: a stem and 27 blocks of 16, 32 and 64 channels.

    An exit point follows the stem and each block but the last. He et al., Deep Residual Learning for Image
    Recognition, CVPR 2016, Section 4.2; shortcuts between numbers of channels are convolutions.

    Args:
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        width: Multiplier of all numbers of channels, from 0.01 to 4; 1 by default.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = 27

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        from torchvision.models.resnet import BasicBlock

        before = self.scaled(16)
        stages: list[nn.Module] = [nn.Sequential(*convolution(task.in_channels, before, 3, norm=True))]
        for position in range(27):
            after, stride = self.scaled(16 * 2 ** (position // 9)), 2 if position in (9, 18) else 1
            shortcut = None
            if stride != 1:
                conv = nn.Conv2d(before, after, 1, stride=stride, bias=False)
                shortcut = nn.Sequential(conv, nn.BatchNorm2d(after))
            stages.append(BasicBlock(before, after, stride, shortcut))
            before = after
        pooled = nn.AdaptiveAvgPool2d(1)
        return stages, nn.Sequential(pooled, nn.Flatten(), nn.Linear(before, task.num_classes))


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register Shallow-Deep networks and ResNet-56."""
    return {"shallow-deep": ShallowDeepProvider, "resnet56": ResNet56}
