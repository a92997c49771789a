"""Built-in exit classifiers."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from edanas.core.contracts import ExitClassifier
from edanas.core.errors import ConfigError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ExitPoint

POOLINGS: dict[str, type[nn.Module]] = {"average": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}
"""Global poolings, by name."""


class PoolLinear(ExitClassifier):
    """Global pooling, then one or two linear layers.

    With one linear layer the head costs C x K multiply-adds, for C input channels and K classes.

    Args:
        hidden: Number of units of a hidden layer with Hardswish between pooling and logits. 0, the default,
            leaves the hidden layer out.
        dropout: Probability of dropping an input of the last linear layer during training.
        pooling: `average` (default) or `max`.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> head = PoolLinear().build(ExitPoint(0, channels=8, height=4, width=4), num_classes=10)
        >>> head(torch.zeros(2, 8, 4, 4)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self, hidden: int = 0, dropout: float = 0.0, pooling: Literal["average", "max"] = "average"
    ) -> None:
        if hidden < 0:
            raise ConfigError(f"classifier.hidden: found {hidden}; allowed: 0 (no hidden layer) or more")
        if pooling not in POOLINGS:
            raise ConfigError(f"classifier.pooling: found {pooling!r}.{near_miss(str(pooling), POOLINGS)}")
        _check_dropout(dropout)
        self.hidden = hidden
        self.dropout = dropout
        self.pooling = pooling

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        layers: list[nn.Module] = [POOLINGS[self.pooling](1), nn.Flatten()]
        width = point.channels
        if self.hidden:
            layers += [nn.Linear(width, self.hidden), nn.Hardswish()]
            width = self.hidden
        if self.dropout:
            layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, nn.Linear(width, num_classes))


class Convolutional(ExitClassifier):
    """The paper's head: max-pooling, 3x3 convolutions with ReLU and no normalisation, and a linear layer.

    The paper's code pools "until the exit costs less than the next". A typical head then costs 0.4M to 0.5M
    multiply-adds on images of 32 x 32 pixels. With `max_size = 2` heads cost as much as a typical head of the
    paper's code, with 4 as much as its most expensive heads.

    Args:
        channels: Number of output channels of each convolution, in sequence.
        max_size: Largest height and width of the features, in pixels, after max-pooling has halved them as
            often as necessary.
        dropout: Probability of dropping an input of the linear layer during training.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self, channels: tuple[int, ...] = (32, 64, 128), max_size: int = 2, dropout: float = 0.0
    ) -> None:
        if not channels or min(channels) < 1:
            raise ConfigError(
                f"classifier.channels: found {list(channels)}; allowed: one or more numbers, each 1 or more"
            )
        _check_from_one("max_size", max_size)
        _check_dropout(dropout)
        self.channels = tuple(channels)
        self.max_size = max_size
        self.dropout = dropout

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        return ConvolutionalHead(point.channels, self.channels, num_classes, self.max_size, self.dropout)


class ConvolutionalHead(nn.Module):
    """The module that `Convolutional` builds."""

    def __init__(
        self, in_channels: int, channels: Sequence[int], num_classes: int, max_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.max_size = max_size
        widths = [in_channels, *channels]
        self.convolutions = nn.Sequential(
            *(
                layer
                for before, after in pairwise(widths)
                for layer in (nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU())
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(widths[-1], num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of features (B, C, H, W)."""
        while max(features.shape[-2:]) > self.max_size:
            features = nn.functional.max_pool2d(features, kernel_size=2, ceil_mode=True)
        pooled = nn.functional.adaptive_avg_pool2d(self.convolutions(features), 1).flatten(1)
        logits: torch.Tensor = self.linear(self.dropout(pooled))
        return logits


class ConvPoolFC(ExitClassifier):
    """One 3x3 convolution, ReLU, global max-pooling and a linear layer.

    With stride 1, the convolution costs 9 x C x H x W x `filters` multiply-adds on features of C channels and
    H x W pixels.

    The paper's Table I compares with the exits of Scardapane et al., "Differentiable branching in deep
    networks for fast inference", ICASSP 2020: "a convolutional layer with 128 filters, a max-pooling, and a
    fully-connected layer". Pooling is global here, because one head must fit features of every size.

    Args:
        filters: Number of output channels of the convolution.
        stride: Stride of the convolution, in pixels; a stride of 2 divides the cost of the convolution by
            four.
        dropout: Probability of dropping an input of the linear layer during training.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, filters: int = 128, stride: int = 1, dropout: float = 0.0) -> None:
        _check_from_one("filters", filters)
        _check_from_one("stride", stride)
        _check_dropout(dropout)
        self.filters = filters
        self.stride = stride
        self.dropout = dropout

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        return nn.Sequential(
            nn.Conv2d(point.channels, self.filters, kernel_size=3, stride=self.stride, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            nn.Dropout(self.dropout),
            nn.Linear(self.filters, num_classes),
        )


class Separable(ExitClassifier):
    """A 1x1 convolution, a depthwise 2x2 convolution of stride 2, average pooling, and a linear layer.

    The early exit of Ghanathe and Wilton, T-RecX: Tiny-Resource Efficient Convolutional Neural Networks with
    Early-Exit, 2023, as in their code. ReLU follows the depthwise convolution; there is no normalisation.

    Args:
        filters: Number of output channels of both convolutions.
        cells: Number of pooling cells along each side; each cell is averaged.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> head = Separable().build(ExitPoint(0, channels=16, height=32, width=32), num_classes=10)
        >>> head(torch.zeros(2, 16, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, filters: int = 32, cells: int = 4) -> None:
        _check_from_one("filters", filters)
        _check_from_one("cells", cells)
        self.filters = filters
        self.cells = cells

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        return SeparableHead(point.channels, self.filters, self.cells, num_classes)


class SeparableHead(nn.Module):
    """The module that `Separable` builds."""

    def __init__(self, in_channels: int, filters: int, cells: int, num_classes: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(in_channels, filters, kernel_size=1)
        self.depthwise = nn.Conv2d(filters, filters, kernel_size=2, stride=2, groups=filters)
        self.pool = nn.AdaptiveAvgPool2d(cells)
        self.linear = nn.Linear(filters * cells**2, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of features (B, C, H, W)."""
        features = self.pointwise(features)
        height, width = features.shape[-2:]
        if height % 2 or width % 2:
            features = nn.functional.pad(features, (0, width % 2, 0, height % 2))
        pooled = self.pool(nn.functional.relu(self.depthwise(features)))
        logits: torch.Tensor = self.linear(pooled.flatten(1))
        return logits


class MLP(ExitClassifier):
    """Average pooling, then two linear layers with ReLU between them.

    With C input channels and K classes the head costs (C x `cells`^2 + K) x `hidden` multiply-adds.

    Disabato and Roveri, "Reducing the computation load of convolutional neural networks through gate
    classification", IJCNN 2018, use the exit "two fully-connected layers with 1024 and 10 neurons"; the paper
    calls their network EECNN. Here the linear layers read averages instead of all pixels, because one head
    must fit features of every size.

    Args:
        hidden: Number of units of the hidden layer.
        cells: Number of rows, and of columns, of the grid over whose cells features are averaged. 1, the
            default, averages over the whole image.
        dropout: Probability of dropping an input of the last linear layer during training.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, hidden: int = 1024, cells: int = 1, dropout: float = 0.0) -> None:
        _check_from_one("hidden", hidden)
        _check_from_one("cells", cells)
        _check_dropout(dropout)
        self.hidden = hidden
        self.cells = cells
        self.dropout = dropout

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(self.cells),
            nn.Flatten(),
            nn.Linear(point.channels * self.cells**2, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, num_classes),
        )


class CarriedLogits(ExitClassifier):
    """A head without weights or cost: the last K numbers of the features are the logits of the K classes.

    The supernet `cascade` needs this head, because its stages are whole networks whose logits are appended to
    the features.
    """

    reads = "logits"

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, C, H, W), C x H x W >= num_classes -> logits (B, num_classes)."""
        return CarriedHead(num_classes)


class CarriedHead(nn.Module):
    """The module that `CarriedLogits` builds."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) from the end of features (B, C, H, W)."""
        return features.flatten(1)[:, -self.num_classes :]


def _check_from_one(option: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"classifier.{option}: found {value}; allowed: 1 or more")


def _check_dropout(dropout: float) -> None:
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"classifier.dropout: found {dropout}; allowed: 0 or more and below 1")


@hookimpl
def edanas_exit_classifiers() -> dict[str, Callable[..., ExitClassifier]]:
    """Register the built-in exit classifiers by name."""
    return {
        "pool-linear": PoolLinear,
        "paper": Convolutional,
        "conv-pool-fc": ConvPoolFC,
        "separable": Separable,
        "mlp": MLP,
        "carried": CarriedLogits,
    }
