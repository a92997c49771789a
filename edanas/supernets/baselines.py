"""The hand-made networks of the paper's Table I for images of 32 pixels, with stages between exit points.

The paper gives only the layers and the number of exits of each network. The docstrings of the classes state
the choices that are made here. The numbers of multiply-adds in the paper do not determine these choices. The
paper has no numbers for AlexNet, VGG-13 and ResNet-18. Its numbers for EECNN and the standalone CNN are twice
the multiplications in another publication, and belong to an unknown input size: the described layers need
19.8M multiply-adds on 32 pixels, not 25.14M.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from edanas.core.contracts import SupernetProvider
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Task
from edanas.supernets.fixed_network import FixedProvider, Parts
from edanas.supernets.option_checks import checked_number


class Baseline(FixedProvider):
    """Base class of the hand-made networks.

    Args:
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        width: Multiplier of all numbers of channels, those of exit classifiers included, from 0.01 to 4; 1 by
            default.

    Raises:
        ConfigError: An option is out of range.
    """

    scales_heads = True

    def __init__(self, *, resolutions: tuple[int, ...] = (32,), width: float = 1.0) -> None:
        super().__init__(resolutions)
        self.width: float = checked_number(
            "width", width, "a number from 0.01 to 4", lambda v: 0.01 <= v <= 4
        )

    def scaled(self, channels: int) -> int:
        """Return a number of channels multiplied by the option `width`, rounded, and at least 1."""
        return max(1, round(channels * self.width))


class EECNN(Baseline):
    """EECNN: two 5x5 convolutions and two linear layers, with one exit point after the first convolution.

    Without an early exit, the network is the paper's standalone CNN. The convolutions have 32 and 64 filters,
    and 2x2 max-pooling follows each convolution. The linear layers have 1,024 units and K units, for K
    classes. The exit point follows the first max-pooling.

    Disabato and Roveri, Reducing the Computation Load of Convolutional Neural Networks through Gate
    Classification, IJCNN 2018. Choices made here: convolutions are padded, and features are averaged to 8 x 8
    pixels before the linear layers. For images of 32 pixels the features already have 8 x 8 pixels.

    Args:
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        width: Multiplier of all numbers of channels, those of exit classifiers included, from 0.01 to 4; 1 by
            default.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> stages, head = EECNN(width=0.25).parts(Task(in_channels=1, num_classes=10))
        >>> len(stages)
        2
    """

    exit_points = 1

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        first, second, hidden = self.scaled(32), self.scaled(64), self.scaled(1024)
        stages = [
            nn.Sequential(*convolution(before, after, 5), _max_pooling())
            for before, after in ((task.in_channels, first), (first, second))
        ]
        linear = (nn.Linear(second * 8 * 8, hidden), nn.ReLU(), nn.Linear(hidden, task.num_classes))
        return stages, nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), *linear)


class AlexNet(Baseline):
    """AlexNet for images of 32 pixels: five convolutions, each with an exit point, and three linear layers.

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NeurIPS 2012; numbers
    of channels as in its one-column version. Scardapane et al., Differentiable Branching in Deep Networks
    for Fast Inference, ICASSP 2020, use five exits. Choices made here: kernels are 3x3, the first convolution
    has stride 2, and 2x2 max-pooling follows the first, second and fifth convolution.

    Args:
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        width: Multiplier of all numbers of channels, those of exit classifiers included, from 0.01 to 4; 1 by
            default.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = 5

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        stages: list[nn.Module] = []
        before = task.in_channels
        for channels, pooled in ((64, True), (192, True), (384, False), (256, False), (256, True)):
            after = self.scaled(channels)
            layers = convolution(before, after, 3, stride=1 if stages else 2)
            stages.append(nn.Sequential(*layers, *([_max_pooling()] if pooled else [])))
            before = after
        hidden = self.scaled(4096)
        linear = [nn.Dropout(), nn.Linear(before * 2 * 2, hidden), nn.ReLU()]
        linear += [nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()]
        stages.append(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), *linear))
        return stages, nn.Linear(hidden, task.num_classes)


class VGG13(Baseline):
    """VGG-13 for images of 32 pixels: ten convolutions and one linear layer.

    An exit point follows each convolution except the last. Simonyan and Zisserman, Very Deep Convolutional
    Networks, ICLR 2015, configuration B. Scardapane et al., Differentiable Branching in Deep Networks for
    Fast Inference, ICASSP 2020, use nine exits. Choices made here: convolutions have BatchNorm, and one
    linear layer follows the last pooling.

    Args:
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        width: Multiplier of all numbers of channels, those of exit classifiers included, from 0.01 to 4; 1 by
            default.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = 9

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        stages: list[nn.Module] = []
        before = task.in_channels
        for channels in (64, 128, 256, 512, 512):
            for pooled in (False, True):
                after = self.scaled(channels)
                layers = convolution(before, after, 3, norm=True)
                stages.append(nn.Sequential(*layers, *([_max_pooling()] if pooled else [])))
                before = after
        return stages, pool_linear(before, task)


class ResNet18(Baseline):
    """ResNet-18 for images of 32 pixels: a stem and eight blocks.

    An exit point follows the stem and each block. He et al., Deep Residual Learning for Image Recognition,
    CVPR 2016. As usual for small images, the stem is a 3x3 convolution of stride 1 without pooling.
    Scardapane et al., Differentiable Branching in Deep Networks for Fast Inference, ICASSP 2020, use nine
    exits. Only average pooling lies between the ninth exit point and the last exit.

    Args:
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        width: Multiplier of all numbers of channels, those of exit classifiers included, from 0.01 to 4; 1 by
            default.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = 9

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        from torchvision.models.resnet import BasicBlock

        before = self.scaled(64)
        stages: list[nn.Module] = [nn.Sequential(*convolution(task.in_channels, before, 3, norm=True))]
        for position, channels in enumerate((64, 64, 128, 128, 256, 256, 512, 512)):
            after, stride = self.scaled(channels), 2 if position in (2, 4, 6) else 1
            shortcut = None
            if stride != 1:
                conv = nn.Conv2d(before, after, 1, stride=stride, bias=False)
                shortcut = nn.Sequential(conv, nn.BatchNorm2d(after))
            stages.append(BasicBlock(before, after, stride, shortcut))
            before = after
        stages.append(nn.AdaptiveAvgPool2d(1))
        return stages, nn.Sequential(nn.Flatten(), nn.Linear(before, task.num_classes))


class ResNet8(Baseline):
    """ResNet-8 of MLPerf Tiny, for images of 32 pixels: a stem and three blocks of 16, 32 and 64 channels.

    One exit point follows the first block. Banbury et al., MLPerf Tiny Benchmark, NeurIPS
    Datasets and Benchmarks 2021. Ghanathe and Wilton, T-RecX: Tiny-Resource Efficient Convolutional Neural
    Networks with Early-Exit, 2023, put one early exit on this network.

    Args:
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        width: Multiplier of all numbers of channels, from 0.01 to 4; 1 by default.
        early_view: Last exit of T-RecX, which also reads a 2x2 convolution of stride 2 with 32 channels;
            false by default. In the source that convolution is depthwise on the first 32 channels, with a
            copy of the kernel of the early exit for four fifths of the training; here each of its channels
            reads two channels, and its kernel is its own.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = 1

    def __init__(
        self, *, resolutions: tuple[int, ...] = (32,), width: float = 1.0, early_view: bool = False
    ) -> None:
        super().__init__(resolutions=resolutions, width=width)
        self.early_view = early_view

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        from torchvision.models.resnet import BasicBlock

        before = self.scaled(16)
        blocks: list[nn.Module] = []
        for channels, stride in ((16, 1), (32, 2), (64, 2)):
            after = self.scaled(channels)
            shortcut = nn.Conv2d(before, after, 1, stride=stride) if stride > 1 else None
            blocks.append(BasicBlock(before, after, stride, shortcut))
            before = after
        stem = convolution(task.in_channels, self.scaled(16), 3, norm=True)
        stages = [nn.Sequential(*stem, blocks[0]), nn.Sequential(*blocks[1:])]
        if self.early_view:
            return stages, EarlyView(before, self.scaled(32), task.num_classes)
        return stages, pool_linear(before, task)


class EarlyView(nn.Module):
    """The last exit of T-RecX: it reads the mean of each channel, and 4x4 cells of a small convolution.

    Args:
        channels: Number of input channels.
        filters: Number of output channels of the convolution, each of which reads a group of input channels.
        classes: Number of classes.
    """

    def __init__(self, channels: int, filters: int, classes: int) -> None:
        super().__init__()
        groups = math.gcd(channels, filters)
        self.view = nn.Conv2d(channels, filters, kernel_size=2, stride=2, groups=groups)
        self.cells, self.mean = nn.AdaptiveAvgPool2d(4), nn.AdaptiveAvgPool2d(1)
        # Two layers instead of one on the joined vector, since C code joins only features of equal size.
        self.of_mean, self.of_cells = nn.Linear(channels, classes), nn.Linear(16 * filters, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of features (B, C, H, W)."""
        means, view = self.mean(features), features
        if features.shape[-1] % 2:
            view = nn.functional.pad(features, (0, 1, 0, 1))
        cells = self.cells(nn.functional.relu(self.view(view)))
        logits: torch.Tensor = self.of_mean(means.flatten(1)) + self.of_cells(cells.flatten(1))
        return logits


def convolution(
    before: int, after: int, kernel: int, *, stride: int = 1, norm: bool = False
) -> list[nn.Module]:
    """Return a padded convolution with ReLU, and either BatchNorm or a bias."""
    conv = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=not norm)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()] if norm else [conv, nn.ReLU()]


def _max_pooling() -> nn.Module:
    """Return 2x2 max-pooling that rounds sizes up, so that features of one pixel can be pooled."""
    return nn.MaxPool2d(2, ceil_mode=True)


def pool_linear(channels: int, task: Task) -> nn.Module:
    """Return a last exit: the mean of each channel, then a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, task.num_classes))


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the hand-made networks of Table I, and that of MLPerf Tiny."""
    networks = {"eecnn": EECNN, "alexnet": AlexNet, "vgg13": VGG13, "resnet18": ResNet18}
    return {**networks, "resnet8": ResNet8}
