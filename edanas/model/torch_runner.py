"""A runner for networks in torch, with the interface of the runners for exported files."""

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts import Runner
from edanas.model.eenn import EENN
from edanas.model.throughput import Throughput


class TorchRunner(Runner):
    """A runner that classifies with `EENN.predict` on the network's device.

    Args:
        network: A network in eval mode; it is not changed.
        batch_size: Number of images computed at once.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> runner = TorchRunner(toy_network())
        >>> runner.predict(np.zeros((1, 1, 12, 12), dtype=np.uint8))[1]  # exits
        array([2])
    """

    def __init__(self, network: EENN, batch_size: int = 256) -> None:
        self.exit_points = network.exit_points
        self.network, self.batch_size = network, batch_size
        self._alone = copy.copy(network)  # shares the weights
        self._alone.scheme = (None,) * network.exit_points

    def ready(self, size: int) -> None:
        """Measure the network's speed for batches of `size` images now instead of after some batches."""
        for network in (self.network, self._alone):
            rule = network.rule("auto", network.device)
            if size > 1 and isinstance(rule, Throughput):
                rule.measure(size)

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        label, exit_, confidence = self.network.predict(images, batch_size=self.batch_size)
        return label.numpy(), exit_.numpy(), confidence.numpy()

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`. The images run through `EENN.predict` with no exit placed."""
        labels: npt.NDArray[np.int64] = self._alone.predict(images, batch_size=self.batch_size).label.numpy()
        return labels

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`. The inputs of every head are counted, with compaction after every exit."""
        network = self.network
        counts = dict.fromkeys((*network.scheme.placed, network.exit_points), 0)

        def count(point: int) -> Callable[..., None]:
            def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
                counts[point] += len(inputs[0])

            return hook

        heads = [network.heads[str(point)] for point in network.scheme.placed]
        handles = [
            head.register_forward_pre_hook(count(point))
            for point, head in zip(counts, (*heads, network.backbone.head), strict=True)
        ]
        try:
            network.predict(images, batch_size=self.batch_size, compact="always")
        finally:
            for handle in handles:
                handle.remove()
        return tuple(counts.values())
