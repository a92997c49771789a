"""Training a supernet with all its exits at once: the sandwich rule with in-place distillation.

Each step trains the largest backbone on the labels, and the smallest and a random one on the largest's last
exit (Yu and Huang, Universally Slimmable Networks, 2019; Yu et al., BigNAS, 2020). Gradients of the three add
up to one update.
"""

import io
import pickle
import textwrap
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import ExitClassifier, Supernet, SupernetProvider, TrainingScheme
from edanas.core.errors import RunError
from edanas.core.progress import Progress
from edanas.core.settings import TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, DataParts, ExitPoint, Task
from edanas.training.steps import Batches, derive_seed, learning_rate, make_optimizer, update


class SupernetWithExits(nn.Module):
    """A supernet and a head for every exit point and every number of channels that may reach it.

    Args:
        supernet: The weight-sharing network.
        provider: Names the exit points' channels.
        classifier: Builds the heads.
        task: Channels and classes.
    """

    def __init__(
        self, supernet: Supernet, provider: SupernetProvider, classifier: ExitClassifier, task: Task
    ) -> None:
        super().__init__()
        self.supernet = supernet
        self.heads = nn.ModuleDict(
            {
                f"{index}-{channels}": classifier.build(ExitPoint(index, channels, 1, 1), task.num_classes)
                for index, options in enumerate(provider.exit_channels())
                for channels in options
            }
        )

    def head(self, index: int, channels: int) -> nn.Module:
        """The shared head of exit point `index` for features of so many channels."""
        return self.heads[f"{index}-{channels}"]

    def logits(self, backbone: Backbone, images: torch.Tensor) -> list[torch.Tensor]:
        """Prepared images (B, C, R, R) -> logits (B, K) of every exit of `backbone`, the last exit last."""
        view = self.supernet.view(backbone)
        outputs, features = [], images
        for index, stage in enumerate(view.stages):
            features = stage(features)
            if index < len(view.stages) - 1:
                outputs.append(self.head(index, features.shape[1])(features))
        outputs.append(view.head(features))
        return outputs


class SandwichTrainer:
    """Trains a `SupernetWithExits`, one checkpoint an epoch; a cut training goes on to the same weights.

    Args:
        network: What to train, already on its device.
        space: Where random backbones come from.
        parts: The data; only its train part is read.
        settings: Epochs, rate and the rest.
        scheme: What makes one loss of several.
        seed: The run's seed.
        checkpoint: The file that holds weights, optimiser and epoch.
    """

    def __init__(
        self,
        network: SupernetWithExits,
        space: SearchSpace,
        parts: DataParts,
        settings: TrainingSettings,
        scheme: TrainingScheme,
        seed: int,
        checkpoint: Path,
    ) -> None:
        self.network, self.space, self.settings, self.scheme = network, space, settings, scheme
        self.seed, self.checkpoint = seed, checkpoint
        self.device = next(network.parameters()).device
        self.largest, self.smallest = space.largest(), space.smallest()
        self.batches = Batches(parts, settings, int(self.largest["resolution"]), self.device)
        self.optimizer = make_optimizer(network, settings)

    def run(self, progress: Progress) -> None:
        """Train what is missing; the network is left in eval mode.

        Raises:
            RunError: The checkpoint is damaged, belongs to another network, or cannot be written.
        """
        self.network.to(memory_format=torch.channels_last)
        first = self._resume()
        steps = len(self.batches)
        with progress.task("Training the supernet", steps * self.settings.epochs) as bar:
            bar.advance(first * steps)
            for epoch in range(first, self.settings.epochs):
                self.network.train()
                with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                    torch.manual_seed(derive_seed(self.seed, "supernet", epoch))
                    generator = torch.Generator().manual_seed(derive_seed(self.seed, "sandwich", epoch))
                    rng = np.random.default_rng(derive_seed(self.seed, "backbones", epoch))
                    for step, (images, labels) in enumerate(self.batches.epoch(generator)):
                        loss = self._step(images, labels, rng, epoch * steps + step)
                        bar.advance(note=f"epoch {epoch + 1}/{self.settings.epochs}, loss {loss:.3f}")
                self._save(epoch + 1)
        self.network.eval()

    def _step(self, images: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator, step: int) -> float:
        """One update from the largest, the smallest and a random backbone; the largest's mean exit loss."""
        logits = self.network.logits(self.largest, images)
        loss = self.scheme.loss(logits, labels, self.settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        teacher = logits[-1].detach().softmax(1)
        for backbone in (self.smallest, self.space.sample_backbone(rng)):
            student = self.network.logits(backbone, _resized(images, int(backbone["resolution"])))
            self.scheme.loss(student, teacher).backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(self.settings, step, self.settings.epochs * len(self.batches))
        update(self.optimizer, self.network.parameters(), rate, self.settings.gradient_clip)
        return float(loss.detach()) / len(logits)

    def _save(self, epoch: int) -> None:
        state = {
            "epoch": epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        # By way of memory, since torch reports a full disk as a fault of its file format.
        content = io.BytesIO()
        torch.save(state, content)
        partial = self.checkpoint.with_suffix(".partial")
        try:
            partial.write_bytes(content.getbuffer())
            partial.replace(self.checkpoint)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise RunError(f"{self.checkpoint}: cannot be written: {error.strerror or error}") from error

    def _resume(self) -> int:
        """The number of epochs that the checkpoint holds, after loading it; 0 where there is none."""
        if not self.checkpoint.exists():
            return 0
        try:
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            epoch = int(state["epoch"])
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
        except _UNREADABLE as error:
            raise RunError(
                f"{self.checkpoint}: the supernet's checkpoint is damaged or of another network "
                f"({_line(error)}); delete the file to train anew"
            ) from error
        return epoch


_UNREADABLE = (
    *(RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(EOFError, OSError, pickle.UnpicklingError),
)
"""What torch raises, on reading and on loading, where a checkpoint is not what it should be."""


def _line(error: Exception) -> str:
    """An error's text on one line, which the names of a whole network would not fit on."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=240, placeholder=" ...")


def _resized(images: torch.Tensor, resolution: int) -> torch.Tensor:
    if images.shape[-1] == resolution:
        return images
    small = F.interpolate(
        images, size=(resolution, resolution), mode="bilinear", align_corners=False, antialias=True
    )
    return small.contiguous(memory_format=torch.channels_last)
