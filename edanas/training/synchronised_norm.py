"""BatchNorm whose statistics are those of all processes of a training."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from edanas.core.settings import TrainingSettings
from edanas.training.ranks import Ranks

FEWEST = 16
"""Number of samples from which on the statistics of a process's part of a batch suffice on a CPU."""


def synchronises(settings: TrainingSettings, processes: int, device: torch.device) -> bool:
    """Return true if BatchNorm has the statistics of all processes; see `TrainingSettings.sync_batch_norm`.

    On CPUs, sums over processes take longer than the layers.

    Args:
        settings: The settings of the training.
        processes: Number of processes.
        device: The device of the training.

    Example:
        >>> synchronises(TrainingSettings(batch_size=128), 2, torch.device("cpu"))
        False
    """
    if processes > 1 and settings.sync_batch_norm == "auto":
        return device.type != "cpu" or settings.batch_size < FEWEST * processes
    return processes > 1 and bool(settings.sync_batch_norm)


class SynchronisedNorm(TorchFunctionMode):
    """Computes BatchNorm in training mode with the statistics of the batches of all processes.

    The mode replaces the function, not the modules, since supernets normalise with slices of shared modules.
    A step then equals the step of one process with the whole batch, apart from rounding.

    Args:
        ranks: The processes.
    """

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is F.batch_norm:
            return _batch_norm(self.ranks, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _batch_norm(
    ranks: Ranks,
    input: torch.Tensor,  # noqa: A002 - the names of `torch.nn.functional.batch_norm`
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,  # noqa: FBT001, FBT002 - as above
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    mean, variance, count = _statistics(ranks, input.detach())
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * count / (count - 1)).to(running_var.dtype), momentum)
    normalised: torch.Tensor = _Normalise.apply(input, weight, bias, mean, variance, count, eps, ranks)
    return normalised


def _statistics(ranks: Ranks, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return mean (C,) and variance (C,) of each channel, and the number of values, over all processes."""
    dims = [dim for dim in range(features.ndim) if dim != 1]
    channels, count = features.shape[1], features.numel() // features.shape[1]
    variance, mean = (each.double() for each in torch.var_mean(features.float(), dims, correction=0))
    # In double precision, the difference of two squares is exact enough.
    sums = torch.cat([mean * count, (variance + mean**2) * count, mean.new_tensor([count])])
    ranks.sum(sums)
    total = sums[-1]
    mean, square = torch.split(sums[:-1] / total, channels)
    return mean.float(), (square - mean**2).clamp(min=0).float(), total


class _Normalise(torch.autograd.Function):
    """Normalisation with statistics of all processes, whose gradient includes the statistics' own."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        mean: torch.Tensor,
        variance: torch.Tensor,
        count: torch.Tensor,
        eps: float,
        ranks: Ranks,
    ) -> torch.Tensor:
        ctx.save_for_backward(features, weight, mean, variance)
        ctx.count, ctx.eps, ctx.ranks, ctx.has_bias = count, eps, ranks, bias is not None
        return F.batch_norm(features, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        (gradient,) = gradients
        features, weight, mean, variance = ctx.saved_tensors
        scale = weight if weight is not None else torch.ones_like(mean)
        inputs, weights, biases = torch.ops.aten.native_batch_norm_backward(
            *(gradient, features, scale, mean, variance, None, None),
            train=False,
            eps=ctx.eps,
            output_mask=[True, True, True],
        )
        sums = ctx.ranks.sum(torch.cat([weights, biases]).double())
        product, total = torch.split((sums / ctx.count).float(), len(mean))
        inverse = (variance + ctx.eps).rsqrt()
        # inputs - scale * inverse * (total + product * (features - mean) * inverse), in one pass.
        slope = -scale * inverse**2 * product
        shift = -scale * inverse * total - slope * mean
        shape = [1, -1] + [1] * (features.ndim - 2)
        inputs += torch.addcmul(shift.view(shape), features, slope.view(shape)).to(inputs.dtype)
        return (
            inputs,
            weights if weight is not None else None,
            biases if ctx.has_bias else None,
            *(None,) * 5,
        )
