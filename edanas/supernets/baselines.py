"""The hand-made networks of the paper's Table I, for images of 32 pixels, in stages between their exits.

The paper gives only their layers and the numbers of exits; each class states the choices made beyond that.
The paper's multiply-adds cannot settle them. There are none for AlexNet, VGG-13 and ResNet-18. Those of EECNN
and its standalone CNN are twice the multiplications of another publication, for an unknown input size: the
layers as described need 19.8M on 32 pixels, not 25.14M.
"""

from collections.abc import Callable, Mapping

from torch import nn

from edanas.core.contracts import SupernetProvider
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Task
from edanas.supernets.fixed_network import FixedProvider, Parts
from edanas.supernets.option_checks import checked_number


class Baseline(FixedProvider):
    """A hand-made network.

    Args:
        resolutions: Sides of the input images in pixels.
        width: Multiplier of all numbers of channels.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, *, resolutions: tuple[int, ...] = (32,), width: float = 1.0) -> None:
        super().__init__(resolutions)
        self.width: float = checked_number(
            "width", width, "a number from 0.01 to 4", lambda v: 0.01 <= v <= 4
        )

    def scaled(self, channels: int) -> int:
        """Return `channels` multiplied by the width, at least 1."""
        return max(1, round(channels * self.width))


class EECNN(Baseline):
    """Two 5x5 convolutions and two linear layers, with one exit point: EECNN and its standalone CNN.

    Disabato and Roveri, Reducing the Computation Load of Convolutional Neural Networks through Gate
    Classification (IJCNN 2018): 32 filters, 2x2 max-pooling, 64 filters, 2x2 max-pooling, 1,024 and K units;
    the exit follows the first pooling. Without an exit it is the standalone CNN. Convolutions are padded. The
    linear layers read 8 x 8 averages, which are all features of images of 32 pixels.

    Args:
        resolutions: Sides of the input images in pixels.
        width: Multiplier of all numbers of channels.

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
            nn.Sequential(*_convolution(before, after, 5), _max_pooling())
            for before, after in ((task.in_channels, first), (first, second))
        ]
        linear = (nn.Linear(second * 8 * 8, hidden), nn.ReLU(), nn.Linear(hidden, task.num_classes))
        return stages, nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), *linear)


class AlexNet(Baseline):
    """AlexNet for 32 pixels: five convolutions with an exit point after each, and three linear layers.

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks (NeurIPS 2012), in the
    channels of its one-column form; with five exits in Scardapane et al., Differentiable Branching in Deep
    Networks for Fast Inference (ICASSP 2020). Choices made here: kernels are 3x3, the first convolution has
    stride 2, and 2x2 max-pooling follows the first, second and fifth.

    Args:
        resolutions: Sides of the input images in pixels.
        width: Multiplier of all numbers of channels.

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
            layers = _convolution(before, after, 3, stride=1 if stages else 2)
            stages.append(nn.Sequential(*layers, *([_max_pooling()] if pooled else [])))
            before = after
        hidden = self.scaled(4096)
        linear = [nn.Dropout(), nn.Linear(before * 2 * 2, hidden), nn.ReLU()]
        linear += [nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()]
        stages.append(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), *linear))
        return stages, nn.Linear(hidden, task.num_classes)


class VGG13(Baseline):
    """VGG-13 for 32 pixels: ten convolutions with an exit point after each but the last, one linear layer.

    Simonyan and Zisserman, Very Deep Convolutional Networks (ICLR 2015), configuration B; with nine exits in
    Scardapane et al., Differentiable Branching in Deep Networks for Fast Inference (ICASSP 2020). Choices
    made here: convolutions have BatchNorm, and one linear layer follows the last pooling.

    Args:
        resolutions: Sides of the input images in pixels.
        width: Multiplier of all numbers of channels.

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
                layers = _convolution(before, after, 3, norm=True)
                stages.append(nn.Sequential(*layers, *([_max_pooling()] if pooled else [])))
                before = after
        return stages, _pool_linear(before, task)


class ResNet18(Baseline):
    """ResNet-18 for 32 pixels: a stem and eight blocks, with an exit point after each.

    He et al., Deep Residual Learning for Image Recognition (CVPR 2016), in the usual form for small images:
    the stem is a 3x3 convolution of stride 1 without pooling. With nine exits in Scardapane et al.,
    Differentiable Branching in Deep Networks for Fast Inference (ICASSP 2020). Only the pooling lies between
    the ninth exit point and the last exit.

    Args:
        resolutions: Sides of the input images in pixels.
        width: Multiplier of all numbers of channels.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = 9

    def parts(self, task: Task) -> Parts:
        """Build stages and last exit; see `FixedProvider.parts`."""
        from torchvision.models.resnet import BasicBlock

        before = self.scaled(64)
        stages: list[nn.Module] = [nn.Sequential(*_convolution(task.in_channels, before, 3, norm=True))]
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


def _convolution(
    before: int, after: int, kernel: int, *, stride: int = 1, norm: bool = False
) -> list[nn.Module]:
    """Return a padded convolution with ReLU, and either BatchNorm or a bias."""
    conv = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=not norm)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()] if norm else [conv, nn.ReLU()]


def _max_pooling() -> nn.Module:
    """Return 2x2 max-pooling, which keeps a single pixel, so that small images can be used."""
    return nn.MaxPool2d(2, ceil_mode=True)


def _pool_linear(channels: int, task: Task) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, task.num_classes))


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the hand-made networks of Table I."""
    return {"eecnn": EECNN, "alexnet": AlexNet, "vgg13": VGG13, "resnet18": ResNet18}
