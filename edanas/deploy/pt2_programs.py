"""Programs of `torch.export` as bytes, and back: without traces of this machine, and without pickles."""

import io
import warnings
from typing import Any

import torch
from torch import nn

from edanas.core.errors import ExportError
from edanas.deploy.pt2_safety import plain_archive

_BATCH, _SIDE = 1 << 20, 1 << 20


def dynamic_dimensions(*, batch: bool, image: bool) -> dict[int, Any]:
    """Which dimensions of an input may change."""
    found: dict[int, Any] = {0: torch.export.Dim("batch", max=_BATCH)} if batch else {}
    if image:
        found |= {at: torch.export.Dim(name, max=_SIDE) for at, name in ((2, "height"), (3, "width"))}
    return found


def program_bytes(
    module: nn.Module, examples: tuple[torch.Tensor, ...], free: dict[int, Any], name: str
) -> bytes:
    """A module as the content of a `.pt2` file, the same bytes each time.

    Args:
        module: Of one input and perhaps more, which are gathered as `*rest`.
        examples: Its inputs.
        free: Dimensions of each input that may change.
        name: For errors.

    Raises:
        ExportError: It cannot be traced, or only for one size of the batch.
    """
    rest = tuple(free for _ in examples[1:])
    shapes = (free, rest) if rest else (free,)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, on itself
            made = torch.export.export(module, examples, dynamic_shapes=shapes)
            # That batches of all inputs are of one size, as code: nobody opens a file with code in it.
            made._guards_code = []
            for part in made.graph_module.modules():
                for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
                    node.meta.pop("stack_trace", None)  # has the paths of this machine
            file = io.BytesIO()
            torch.export.save(made, file)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{name}: torch.export cannot trace it: {type(error).__name__}: {text}") from error
    return file.getvalue()


def load_program(content: bytes) -> nn.Module:
    """The module of a `.pt2` file.

    Raises:
        ExportError: It holds something that would be unpickled, or code; see `edanas.deploy.pt2_safety`.
    """
    plain = plain_archive(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, on itself
        found: nn.Module = torch.export.load(io.BytesIO(plain)).module()
    return found
