"""The exit classifier of Shallow-Deep networks: a learned mixture of max and average pooling, then linear."""

from collections.abc import Callable

import torch
from torch import nn

from edanas.core.contracts import ExitClassifier
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ExitPoint


class MixedPool(ExitClassifier):
    """Max-pooling and average pooling, mixed by a learned share, and a linear layer.

    With C input channels and K classes the head costs C x `cells`^2 x K multiply-adds.

    Source: the internal classifiers of Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and
    mitigating network overthinking", ICML 2019. Features of 4, 8, 16 or 32 pixels are pooled to 4 x 4 cells
    as in the source. The source does not pool smaller features; here they are also read as 4 x 4 cells,
    because one head must fit features of every size.

    Args:
        cells: Number of rows, and of columns, of the grid of cells; 1 or more.

    Raises:
        ConfigError: `cells` is below 1.

    Example:
        >>> head = MixedPool().build(ExitPoint(0, channels=8, height=8, width=8), num_classes=10)
        >>> head(torch.zeros(2, 8, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, cells: int = 4) -> None:
        if cells < 1:
            raise ConfigError(f"classifier.cells: found {cells}; allowed: 1 or more")
        self.cells = cells

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        return MixedPoolHead(point.channels, self.cells, num_classes)


class MixedPoolHead(nn.Module):
    """The module that `MixedPool` builds."""

    def __init__(self, channels: int, cells: int, num_classes: int) -> None:
        super().__init__()
        self.largest, self.mean = nn.AdaptiveMaxPool2d(cells), nn.AdaptiveAvgPool2d(cells)
        self.share = nn.Parameter(torch.rand(1))
        self.linear = nn.Linear(channels * cells**2, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of features (B, C, H, W)."""
        pooled = self.share * self.largest(features) + (1 - self.share) * self.mean(features)
        logits: torch.Tensor = self.linear(pooled.flatten(1))
        return logits


@hookimpl
def edanas_exit_classifiers() -> dict[str, Callable[..., ExitClassifier]]:
    """Register the exit classifier by its name."""
    return {"mixed-pool": MixedPool}
