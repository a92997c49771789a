"""The end of a training whose loss or gradient is not finite."""

import math

import torch
from torch import nn

from edanas.core.errors import TrainingError
from edanas.core.settings import TrainingSettings


class FiniteSteps:
    """Checks each step of a training, and counts the steps that were skipped.

    `edanas.training.steps.update` leaves the weights as they are if the loss or the gradient of a step is not
    finite. The first such step ends the training, unless the setting `skip_nonfinite` allows more. Statistics
    of a skipped step are taken back.

    Args:
        subject: Noun for the network in messages, e.g. `the supernet`.
        module: The module that is trained.
        settings: Settings of training; `skip_nonfinite` is used, and the message names others.
        steps_per_epoch: Number of steps in an epoch.

    Example:
        >>> steps = FiniteSteps("the supernet", nn.Linear(1, 1), TrainingSettings(skip_nonfinite=1), 10)
        >>> steps.check(loss=math.nan, norm=1.0, rate=0.1, step=12)
        >>> steps.skipped
        1
    """

    def __init__(
        self, subject: str, module: nn.Module, settings: TrainingSettings, steps_per_epoch: int
    ) -> None:
        self.subject, self.settings, self.steps_per_epoch = subject, settings, steps_per_epoch
        self.skipped = 0
        self._buffers = list(module.buffers()) if settings.skip_nonfinite else []
        self.remember()

    @torch.no_grad()
    def remember(self) -> None:
        """Keep the present statistics of the module, to which a skipped step returns."""
        self._before = [buffer.clone() for buffer in self._buffers]

    @torch.no_grad()
    def check(self, loss: float, norm: float, rate: float, step: int) -> None:
        """Check a step after its update.

        Args:
            loss: The loss.
            norm: The norm of the gradient.
            rate: The learning rate.
            step: Number of completed steps before this step.

        Raises:
            TrainingError: The loss or the norm is not finite, and no more steps may be skipped.
        """
        if math.isfinite(loss) and math.isfinite(norm):
            self.remember()
            return
        if self.skipped >= self.settings.skip_nonfinite:
            raise TrainingError(self._message(loss, norm, rate, step))
        self.skipped += 1
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(before)

    def _message(self, loss: float, norm: float, rate: float, step: int) -> str:
        epoch, within = divmod(step, self.steps_per_epoch)
        cause = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
        skipped = f" after {self.skipped} skipped steps" if self.skipped else ""
        return (
            f"training of {self.subject}: {cause} in epoch {epoch + 1}, step {within + 1} of "
            f"{self.steps_per_epoch}, at the learning rate {rate:.3g}{skipped}; allowed: finite numbers. "
            f"Lower learning_rate (found {self.settings.learning_rate:g}), set gradient_clip (found "
            f"{self.settings.gradient_clip:g}), or allow skipped steps by skip_nonfinite"
        )
