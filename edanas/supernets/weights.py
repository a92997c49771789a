"""Trained weights from files: reading them, and filling a supernet with what fits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edanas.core.errors import WeightsError, unknown
from edanas.core.types import Task
from edanas.supernets.download import Remote, fetch


@dataclass(frozen=True)
class TensorNames:
    """What a family of networks calls its tensors.

    Args:
        canonical: A name without what differs between the forms of one network.
        classifier: Weight and bias of the last linear layer, as canonical names; empty where not known.
        stem: Weight of the convolution that reads the images, as a canonical name; empty where not known.
        misfit: What it means where a tensor has another shape, or there is none of that name.
    """

    canonical: Callable[[str], str] = str
    classifier: tuple[str, ...] = ()
    stem: str = ""
    misfit: str = "The file is of another network"


def locate(weights: str, zoo: Mapping[str, Remote]) -> tuple[Path, tuple[str, ...]]:
    """The file that `weights` names, and how it was checked if it is a download.

    Raises:
        WeightsError: It is a folder, or neither a file nor a name in `zoo`, or cannot be downloaded.
    """
    path = Path(weights).expanduser()
    if path.is_dir():
        raise WeightsError(f"weights '{weights}': a folder; expected a file, or a name in the zoo")
    if path.exists():
        return path, ()
    if weights in zoo:
        path, checked = fetch(zoo[weights])
        return path, (checked,)
    raise WeightsError(f"weights '{weights}': no such file. {unknown('name in the zoo', weights, zoo)}")


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from a safetensors file or what `torch.save` wrote; no code in it is run.

    Raises:
        WeightsError: The file cannot be read, or holds anything but tensors by name.
    """
    try:
        with path.open("rb") as file:
            is_safetensors = file.read(9)[8:] == b"{"
        if is_safetensors:
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        raise WeightsError(f"{path}: not a weights file of torch or safetensors, or damaged") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise WeightsError(f"{path}: holds {type(content).__name__}; expected tensors by name")
    return {str(name): tensor for name, tensor in content.items()}


def fill(
    supernet: nn.Module, task: Task, tensors: Mapping[str, torch.Tensor], source: str, names: TensorNames
) -> str:
    """Copy `tensors` into `supernet`; returns a sentence on what was taken and left.

    The classifier keeps its fresh weights where the numbers of classes differ; for grey images the stem's
    weights are summed over red, green and blue. Nothing is changed where anything else does not fit.

    Raises:
        WeightsError: A tensor is missing, has another shape, or is too much.
    """
    found = {names.canonical(name): tensor for name, tensor in tensors.items()}
    remarks = _adapt(found, task, names)
    own = {names.canonical(name): tensor for name, tensor in supernet.state_dict().items()}
    afresh = names.classifier if names.classifier[:1] and names.classifier[0] in remarks else ()
    expected = {
        name: tensor
        for name, tensor in own.items()
        if name in found or not (name.endswith("num_batches_tracked") or name in afresh)
    }
    _compare(found, expected, source, names.misfit)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(found[name])
    return "; ".join([f"{len(expected)} tensors taken from {source}", *remarks.values()])


def _adapt(found: dict[str, torch.Tensor], task: Task, names: TensorNames) -> dict[str, str]:
    """Change `found` where classes or colours differ; a remark by the first tensor concerned."""
    remarks = {}
    weight = found.get(names.classifier[0]) if names.classifier else None
    classes = task.num_classes
    if weight is not None and weight.ndim and len(weight) != classes:
        for name in names.classifier:
            found.pop(name, None)
        remarks[names.classifier[0]] = (
            f"the classifier starts afresh ({len(weight)} classes there, {classes} here)"
        )
    stem = found.get(names.stem)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3 and task.in_channels == 1:
        found[names.stem] = stem.sum(1, keepdim=True)
        remarks[names.stem] = "the stem's weights are summed over red, green and blue"
    return remarks


def _compare(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], source: str, misfit: str
) -> None:
    """Refuse at the first tensor that is missing, has another shape, or is too much."""
    for name in (*expected, *found):
        has = tuple(found[name].shape) if name in found else "none"
        wants = tuple(expected[name].shape) if name in expected else "none"
        if has != wants:
            raise WeightsError(f"{source}: tensor '{name}' has shape {has}; expected {wants}. {misfit}")
