"""The processes of one supernet's training, which torch.distributed connects.

Each process makes every step on the same backbones and on its own part of the batch. The gradients are summed
once a step, after the backward passes of all backbones. The wrapper `DistributedDataParallel` is not used: it
sums during one backward pass, and expects all parameters in one forward pass. A step here has several passes,
each through other parameters, and losses with parameters of their own.

The first process leads: it reads and writes files, and chooses the number of steps. The other processes
repeat its calls.
"""

import io
import signal
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from edanas.core.devices import named_device
from edanas.core.errors import ConfigError, RunError
from edanas.core.launched import Place, place
from edanas.core.machine import out_of_memory

_STEP_LIMIT = {"cpu": timedelta(seconds=60), "cuda": timedelta(seconds=300)}
"""Longest wait for the other processes within a step; on GPUs, they may compile kernels."""

_BETWEEN_LIMIT = timedelta(days=1)
"""Longest wait for the next call of the first process, which may compute a teacher's logits."""

_CPU = torch.device("cpu")

_BUCKET = 2**24
"""Number of gradients that are summed in one operation: 64 MiB."""


class Ranks:
    """The processes of a training; by default this process alone, whose methods do nothing.

    Args:
        at: The place of this process.
        steps: The group for sums and decisions within a step; `None` for a process alone.

    Example:
        >>> Ranks().agreed(3.0)
        (3.0,)
    """

    def __init__(self, at: Place | None = None, steps: Any = None) -> None:
        self.at, self._steps = at or Place(), steps
        self._training = False

    @property
    def count(self) -> int:
        """Number of processes."""
        return self.at.count

    @property
    def leads(self) -> bool:
        """True for the first process."""
        return self.at.rank == 0

    def agreed(self, *values: float) -> tuple[float, ...]:
        """Return the values of the first process."""
        if self.count == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64)
        with self._detecting_loss():
            dist.broadcast(tensor, 0, group=self._steps)
        return tuple(tensor.tolist())

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add up a tensor over all processes, in place, and return it."""
        if self.count > 1:
            with self._detecting_loss():
                dist.all_reduce(tensor, group=self._steps)
        return tensor

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: float) -> float:
        """Add up the gradients over all processes, and return the sum of `loss` over them.

        The same parameters must have gradients in every process.
        """
        if self.count == 1:
            return loss
        gradients = [each.grad for each in parameters if each.grad is not None]
        while gradients:
            sizes = torch.tensor([each.numel() for each in gradients]).cumsum(0)
            count = max(1, int((sizes <= _BUCKET).sum()))
            bucket, gradients = gradients[:count], gradients[count:]
            flat = self.sum(torch.cat([each.reshape(-1).float() for each in bucket]))
            parts = torch.split(flat, [each.numel() for each in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view(gradient.shape))
        return float(self.sum(torch.tensor(loss, dtype=torch.float64)))

    @contextmanager
    def sharing_cores(self) -> Iterator[None]:
        """Divide the threads of torch among the processes of this machine."""
        before = torch.get_num_threads()
        if self.at.local_count > 1:
            torch.set_num_threads(max(1, before // self.at.local_count))
        try:
            yield
        finally:
            if self.at.local_count > 1:
                torch.set_num_threads(before)

    @contextmanager
    def calling(self, name: str, state: Callable[[], dict[str, Any]]) -> Iterator[None]:
        """Let the other processes repeat a call of the first process, which the context makes.

        Args:
            name: Name of the method.
            state: Function that returns the state of the training before the call.
        """
        if self.count == 1 or not self.leads:
            yield
            return
        content = io.BytesIO()
        torch.save(state(), content)
        self._training = True
        with self._detecting_loss():
            dist.broadcast_object_list([(name, content.getvalue())], 0, device=_CPU)
        yield
        self._training = False

    def next_call(self) -> tuple[str, bytes] | None:
        """Wait for a call of the first process; return the method and the state, or `None` at the end."""
        call: list[Any] = [None]
        with self._detecting_loss():
            dist.broadcast_object_list(call, 0, device=_CPU)
        return call[0]  # type: ignore[no-any-return]

    def release(self) -> None:
        """Let the other processes end; the first process goes on alone."""
        if self.count > 1 and self.leads and not self._training:
            with suppress(RunError), self._detecting_loss():
                dist.broadcast_object_list([None], 0, device=_CPU)
        self.at = Place()

    @contextmanager
    def _detecting_loss(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            raise _lost(self.at, str(error)) from error


ALONE = Ranks()
"""This process alone."""

_joined = ALONE


def present() -> Ranks:
    """Return the processes that `joined` connected; by default, this process alone."""
    return _joined


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Connect this process with those of the same launch, e.g. by torchrun, while the context lasts.

    A signal to end, which torchrun sends after another process died, becomes an error with advice.

    Args:
        device: The setting `device`; `auto` and `cuda` give each process of a machine its own GPU.

    Raises:
        ConfigError: The machine has fewer GPUs than processes, or `device` names one GPU for all.
        RunError: Another process of the launch ended before its time.
    """
    global _joined
    at = place()
    if at.count == 1 or _joined is not ALONE:
        yield _joined
        return
    kind = _use_own_gpu(device, at)
    before = signal.signal(signal.SIGTERM, _raise_loss)
    try:
        backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
        with Ranks(at)._detecting_loss():
            dist.init_process_group(backend, timeout=_BETWEEN_LIMIT)
            ranks = Ranks(at, dist.new_group(timeout=_STEP_LIMIT[kind]))
        _joined = ranks
        yield ranks
    finally:
        _joined.release()
        _joined = ALONE
        signal.signal(signal.SIGTERM, before)
        with suppress(RuntimeError, ValueError, AssertionError):
            dist.destroy_process_group()


def _use_own_gpu(name: str, at: Place) -> str:
    """Choose the GPU of this process; return the type of its device, `cpu` or `cuda`.

    Raises:
        ConfigError: See `joined`.
    """
    device = named_device(name)
    if device.type != "cuda":
        return "cpu"
    gpus = torch.cuda.device_count()
    if device.index is not None and at.local_count > 1:
        raise ConfigError(
            f"device: found '{name}' with {at.local_count} processes on this machine; allowed: auto or cuda, "
            "which give each process its own GPU, or cpu"
        )
    # A launcher may show each process its own GPU only.
    if gpus > 1 and at.local_rank >= gpus:
        raise ConfigError(
            f"device: found '{name}' with {at.local_count} processes on this machine of {gpus} GPUs; "
            f"allowed: up to {gpus} processes, e.g. torchrun --nproc-per-node {gpus}"
        )
    torch.cuda.set_device(at.local_rank if gpus > 1 else 0)
    return "cuda"


def _lost(at: Place, reason: str) -> BaseException:
    """Return the error for the loss of another process; processes from the third on end without a message."""
    reason = textwrap.shorten(reason, width=160, placeholder=" ...")
    if at.rank > 1:
        return SystemExit(1)
    return RunError(
        f"process {at.rank} of {at.count}: another process of the training ended, or the connection to it "
        f"was lost ({reason}). The training is kept up to its last checkpoint, at most a minute old; run the "
        "same command again to resume it, with any number of processes"
    )


def _raise_loss(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as `signal` calls it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _lost(place(), signal.Signals(number).name)
