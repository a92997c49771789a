"""Built-in exit classifiers."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from edanas.core.contracts import ExitClassifier
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ExitPoint


class PoolLinear(ExitClassifier):
    """Global average pooling and one or two linear layers: with one, C x K multiply-adds.

    Args:
        hidden: Width of a layer between the pooled features and the logits, with Hardswish; 0 for none.
        dropout: Probability of dropping an input of the last linear layer during training.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> head = PoolLinear().build(ExitPoint(0, channels=8, height=4, width=4), num_classes=10)
        >>> head(torch.zeros(2, 8, 4, 4)).shape
        torch.Size([2, 10])
    """

    def __init__(self, hidden: int = 0, dropout: float = 0.0) -> None:
        if hidden < 0:
            raise ConfigError(f"classifier.hidden: found {hidden}; allowed: 0 (no hidden layer) or more")
        _check_dropout(dropout)
        self.hidden = hidden
        self.dropout = dropout

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        width = point.channels
        if self.hidden:
            layers += [nn.Linear(width, self.hidden), nn.Hardswish()]
            width = self.hidden
        if self.dropout:
            layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, nn.Linear(width, num_classes))


class Convolutional(ExitClassifier):
    """The paper's head: max-pooling, 3x3 convolutions without normalisation, ReLU, and a linear layer.

    The paper's code pools "until the exit costs less than the next": 0.4M to 0.5M multiply-adds on a typical
    network at 32 px. `max_size = 2` has that cost; 4 has that of its most expensive heads.

    Args:
        channels: Output channels of the convolutions, in sequence.
        max_size: Features are halved by max-pooling until neither side is larger than this.
        dropout: Probability of dropping an input of the linear layer during training.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self, channels: tuple[int, ...] = (32, 64, 128), max_size: int = 2, dropout: float = 0.0
    ) -> None:
        if not channels or min(channels) < 1:
            raise ConfigError(
                f"classifier.channels: found {list(channels)}; allowed: numbers from 1, at least one"
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
    """The head of `Convolutional`."""

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
        """Features (B, C, H, W) -> logits (B, K)."""
        while max(features.shape[-2:]) > self.max_size:
            features = nn.functional.max_pool2d(features, kernel_size=2, ceil_mode=True)
        pooled = nn.functional.adaptive_avg_pool2d(self.convolutions(features), 1).flatten(1)
        logits: torch.Tensor = self.linear(self.dropout(pooled))
        return logits


class ConvPoolFC(ExitClassifier):
    """One 3x3 convolution, ReLU, global max-pooling and a linear layer: 9 x C x 128 x H x W multiply-adds.

    The exits of Scardapane et al., Differentiable Branching in Deep Networks for Fast Inference (ICASSP
    2020), with which the paper's Table I compares: "a convolutional layer with 128 filters, a max-pooling,
    and a fully-connected layer". Pooling is global here, because one head serves features of every size.

    Args:
        filters: Output channels of the convolution.
        stride: Stride of the convolution; 2 divides its cost by four.
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


class MLP(ExitClassifier):
    """Average pooling and two linear layers with ReLU between them: (C x cells^2 + K) x 1024 multiply-adds.

    The exit of Disabato and Roveri, Reducing the Computation Load of Convolutional Neural Networks through
    Gate Classification (IJCNN 2018), the paper's EECNN: "two fully-connected layers with 1024 and 10
    neurons". Their input here is averages instead of every pixel, because one head serves features of every
    size.

    Args:
        hidden: Units between the pooled features and the logits.
        cells: Features are averaged over a grid of `cells` x `cells`; 1 for the whole image.
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
    """The last K numbers of the features as logits; no cost, no weights.

    For the supernet `cascade`, whose stages are whole networks that pass on their logits.
    """

    reads = "logits"

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, C, H, W), C x H x W >= num_classes -> logits (B, num_classes)."""
        return CarriedHead(num_classes)


class CarriedHead(nn.Module):
    """The head of `CarriedLogits`."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, C, H, W) -> logits (B, K)."""
        return features.flatten(1)[:, -self.num_classes :]


def _check_from_one(option: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"classifier.{option}: found {value}; allowed: 1 or more")


def _check_dropout(dropout: float) -> None:
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"classifier.dropout: found {dropout}; allowed: from 0 to below 1")


@hookimpl
def edanas_exit_classifiers() -> dict[str, Callable[..., ExitClassifier]]:
    """Return the built-in exit classifiers by name."""
    return {
        "pool-linear": PoolLinear,
        "paper": Convolutional,
        "conv-pool-fc": ConvPoolFC,
        "mlp": MLP,
        "carried": CarriedLogits,
    }
