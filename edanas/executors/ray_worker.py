"""Workers of the executor `ray`: the payload that they receive once, and their answers."""

import importlib.metadata
import io
import os
import pickle
import platform
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import nn

from edanas.core.hookspecs import GROUP
from edanas.core.machine import computing
from edanas.core.version import VERSION
from edanas.executors.shared_tensors import SMALLEST

Payload = tuple[bytes, list[Any]]
"""A pickle, and the arrays of its large tensors, which Ray shares among the workers of a node."""


def payload(value: Any, cloudpickle: Any) -> Payload:
    """Return an object as a payload; tensors of a GPU are loaded into the memory of the CPU.

    Args:
        value: The object; it may have classes of the calling script, which are sent along.
        cloudpickle: The module `ray.cloudpickle`.
    """

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is torch.Tensor and not obj.requires_grad and obj.device.type == "cpu":
                if obj.layout == torch.strided and obj.numel() * obj.element_size() >= SMALLEST:
                    values = obj.contiguous().view(-1).view(torch.uint8).numpy()
                    return _shared, (pickle.PickleBuffer(values.data), obj.dtype, tuple(obj.shape))
            elif isinstance(obj, torch.Tensor) and obj.device.type != "cpu":
                kind = nn.Parameter if isinstance(obj, nn.Parameter) else _tensor
                return kind, (obj.detach().cpu(), obj.requires_grad)
            return super().reducer_override(obj)

    file, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    return file.getvalue(), [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]


def _shared(buffer: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the tensor in a buffer, which is read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        return torch.frombuffer(buffer, dtype=torch.uint8).view(dtype).view(shape)


def _tensor(value: torch.Tensor, requires_grad: bool) -> torch.Tensor:  # noqa: FBT001 - as of nn.Parameter
    return value.requires_grad_(requires_grad)


def installed() -> dict[str, str]:
    """Return the versions that must be equal on all nodes: of edanas, its plugins, torch, numpy and Python.

    Example:
        >>> installed()["edanas"] == VERSION
        True
    """
    plugins = {
        point.dist.name: point.dist.version
        for point in importlib.metadata.entry_points(group=GROUP)
        if point.dist is not None
    }
    versions = {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
    return {**plugins, **versions, "edanas": VERSION}


class RayWorker:
    """The class of the actors; errors are answers, since Ray reports an error of a constructor as a death."""

    def load(self, content: Payload, versions: Mapping[str, str], threads: int) -> tuple[bool, Any]:
        """Load the function.

        Args:
            content: The function.
            versions: The versions of the driver; see `installed`.
            threads: Number of torch's threads.

        Returns:
            True with the id of the node and of the process, or False with the error as text.
        """
        import ray

        own = installed()
        for name, version in versions.items():
            if own.get(name) != version:
                return False, (
                    f"node {platform.node()} has {name} {own.get(name, '(not installed)')}; expected "
                    f"{version}, as where the run was started"
                )
        data, buffers = content
        try:
            self.function = pickle.loads(data, buffers=buffers)  # noqa: S301 - bytes of our own driver
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"
        self._threads = ExitStack()
        self._threads.enter_context(computing(threads))
        return True, (ray.get_runtime_context().get_node_id(), os.getpid())

    def answer(self, item: Any) -> tuple[bool, Any]:
        """Apply the function to an item; return True with the answer, or False with the error as text."""
        try:
            return True, self.function(item)
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"
