"""An EENN in torch, asked in the way in which exported forms are."""

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
    """Answers with `EENN.predict`, on the network's device.

    Args:
        network: In eval mode; it is left as it is.
        batch_size: Images that are computed at once.
    """

    def __init__(self, network: EENN, batch_size: int = 256) -> None:
        self.exit_points = network.exit_points
        self.network, self.batch_size = network, batch_size
        self._alone = copy.copy(network)  # on the same weights
        self._alone.scheme = (None,) * network.exit_points

    def ready(self, size: int) -> None:
        """Let the runtime measure now what it otherwise measures after some batches of `size`."""
        for network in (self.network, self._alone):
            rule = network.rule("auto", network.device)
            if size > 1 and isinstance(rule, Throughput):
                rule.measure(size)

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        label, left_at, sure = self.network.predict(images, batch_size=self.batch_size)
        return label.numpy(), left_at.numpy(), sure.numpy()

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`: the runtime is the same, with no exit placed."""
        labels: npt.NDArray[np.int64] = self._alone.predict(images, batch_size=self.batch_size).label.numpy()
        return labels

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`: what goes through the heads, where nobody is carried on who left."""
        network = self.network
        counts = dict.fromkeys((*network.scheme.placed, network.exit_points), 0)

        def count(at: int) -> Callable[..., None]:
            def hook(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
                counts[at] += len(given[0])

            return hook

        heads = [network.heads[str(at)] for at in network.scheme.placed]
        handles = [
            head.register_forward_pre_hook(count(at))
            for at, head in zip(counts, (*heads, network.backbone.head), strict=True)
        ]
        try:
            network.predict(images, batch_size=self.batch_size, compact="always")
        finally:
            for handle in handles:
                handle.remove()
        return tuple(counts.values())
