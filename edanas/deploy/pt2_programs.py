"""Writer and reader of `.pt2` files, which hold no paths of this machine and no pickled objects."""

import io
import warnings
from typing import Any

import torch
from torch import nn

from edanas.core.errors import ExportError
from edanas.core.finite import check_finite
from edanas.deploy.pt2_safety import plain_archive

_BATCH, _SIDE = 1 << 20, 1 << 20


def dynamic_dimensions(*, batch: bool, image: bool) -> dict[int, Any]:
    """Return the dynamic dimensions of an input by their index, for `torch.export`.

    Args:
        batch: True if the batch size (index 0) is dynamic.
        image: True if height and width (indices 2 and 3) are dynamic.
    """
    free: dict[int, Any] = {0: torch.export.Dim("batch", max=_BATCH)} if batch else {}
    if image:
        free |= {at: torch.export.Dim(name, max=_SIDE) for at, name in ((2, "height"), (3, "width"))}
    return free


def program_bytes(
    module: nn.Module, examples: tuple[torch.Tensor, ...], free: dict[int, Any], name: str
) -> bytes:
    """Return the content of a `.pt2` file with a module; equal modules give equal bytes.

    Args:
        module: A module whose `forward` takes one tensor, or one tensor and further tensors as `*rest`.
        examples: Example inputs for tracing.
        free: The dynamic dimensions of all inputs, from `dynamic_dimensions`.
        name: The name of the module in errors.

    Raises:
        ExportError: The module cannot be traced, or only for one batch size.
    """
    rest = tuple(free for _ in examples[1:])
    shapes = (free, rest) if rest else (free,)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own code
            exported = torch.export.export(module, examples, dynamic_shapes=shapes)
            # The guards are code, and `load_program` opens no file with code.
            exported._guards_code = []
            for part in exported.graph_module.modules():
                for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
                    node.meta.pop("stack_trace", None)  # holds paths of this machine
            file = io.BytesIO()
            torch.export.save(exported, file)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{name}: torch.export cannot trace it: {type(error).__name__}: {text}") from error
    return file.getvalue()


def load_program(content: bytes) -> nn.Module:
    """Load the module of a `.pt2` file from the content of the file.

    Raises:
        ExportError: The file holds code or pickled objects; see `edanas.deploy.pt2_safety`.
        WeightsError: The program holds weights that are not finite.

    Example:
        >>> content = program_bytes(nn.ReLU(), (torch.zeros(1, 2),), {}, "relu")
        >>> load_program(content)(torch.tensor([[-1.0, 1.0]]))
        tensor([[0., 1.]])
    """
    plain = plain_archive(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own code
        module: nn.Module = torch.export.load(io.BytesIO(plain)).module()
    check_finite(module.state_dict(), "the program")
    return module
