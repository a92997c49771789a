"""Reading of trained weights from files, and copying of the weights into a supernet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edanas.core.errors import WeightsError, unknown
from edanas.core.finite import check_finite
from edanas.core.machine import user_path
from edanas.core.types import Task
from edanas.supernets.download import Remote, fetch


@dataclass(frozen=True)
class TensorNames:
    """Names of the tensors of a family of networks.

    Args:
        canonical: Function that returns the canonical name of a tensor, which is the same in supernets,
            backbones and files. By default names are already canonical.
        classifier: Canonical names of weight and bias of the last linear layer; empty if unknown.
        stem: Canonical name of the weight of the first convolution; empty if unknown.
        misfit: A sentence that explains, in error messages, why a tensor is missing or has another shape.
    """

    canonical: Callable[[str], str] = str
    classifier: tuple[str, ...] = ()
    stem: str = ""
    misfit: str = "The file is of another network"


def locate(weights: str, zoo: Mapping[str, Remote]) -> tuple[Path, tuple[str, ...]]:
    """Return the file of weights, after a download if necessary.

    Args:
        weights: Path of a file, or a name in `zoo`.
        zoo: Name -> file that can be downloaded.

    Returns:
        Path of the file, and a tuple with the result of the check of a download. The tuple is empty if
        `weights` is the path of a file.

    Raises:
        WeightsError: `weights` is a folder, or neither a file nor a name in `zoo`, or the download fails.
    """
    path = user_path(weights)
    if path.is_dir():
        raise WeightsError(
            f"weights '{weights}': is a folder; expected a file, or a name of published weights"
        )
    if path.exists():
        return path, ()
    if weights in zoo:
        path, checked = fetch(zoo[weights])
        return path, (checked,)
    published = f" {unknown('name of published weights', weights, zoo)}" if zoo else ""
    raise WeightsError(f"weights '{weights}': no such file.{published}")


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in a file of safetensors or `torch.save`, by name.

    No code from the file runs. If the file has a dictionary `state_dict`, its tensors are returned.

    Raises:
        WeightsError: The file cannot be read, or its content is not a dictionary of tensors.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "weights.pt"
        ...     torch.save({"bias": torch.zeros(2)}, path)
        ...     read_tensors(path)
        {'bias': tensor([0., 0.])}
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
        raise WeightsError(f"{path}: found {type(content).__name__}; expected tensors by name")
    return {str(name): tensor for name, tensor in content.items()}


def fill(
    supernet: nn.Module, task: Task, tensors: Mapping[str, torch.Tensor], source: str, names: TensorNames
) -> str:
    """Copy tensors into a supernet.

    If the number of classes differs, the classifier keeps its fresh weights. If the tensors are for colour
    images and the supernet is for grey images, the stem's weights are summed over red, green and blue. If any
    other name or shape differs, an error is raised and nothing is copied.

    Args:
        supernet: The supernet that gets the weights.
        task: Number of channels of the images, and number of classes, of the supernet.
        tensors: The tensors to copy, by name.
        source: Origin of the tensors, for messages, e.g. a path.
        names: Names of the tensors in this family of networks.

    Returns:
        A sentence that reports the number of copied tensors, and the changes.

    Raises:
        WeightsError: A tensor is missing, has another shape, is superfluous, or is not finite.
    """
    source_tensors = {names.canonical(name): tensor for name, tensor in tensors.items()}
    remarks = _adapt(source_tensors, task, names)
    own = {names.canonical(name): tensor for name, tensor in supernet.state_dict().items()}
    fresh = names.classifier if names.classifier[:1] and names.classifier[0] in remarks else ()
    expected = {
        name: tensor
        for name, tensor in own.items()
        if name in source_tensors or not (name.endswith("num_batches_tracked") or name in fresh)
    }
    _check_shapes(source_tensors, expected, source, names.misfit)
    check_finite({name: source_tensors[name] for name in expected}, source)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(source_tensors[name])
    return "; ".join([f"{len(expected)} tensors taken from {source}", *remarks.values()])


def _adapt(tensors: dict[str, torch.Tensor], task: Task, names: TensorNames) -> dict[str, str]:
    """Adapt `tensors` to the classes and colours of the task; return name of a changed tensor -> remark."""
    remarks = {}
    weight = tensors.get(names.classifier[0]) if names.classifier else None
    classes = task.num_classes
    if weight is not None and weight.ndim and len(weight) != classes:
        for name in names.classifier:
            tensors.pop(name, None)
        remarks[names.classifier[0]] = (
            f"the classifier has fresh weights ({len(weight)} classes in the weights, {classes} in the data)"
        )
    stem = tensors.get(names.stem)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3 and task.in_channels == 1:
        tensors[names.stem] = stem.sum(1, keepdim=True)
        remarks[names.stem] = "the stem's weights are summed over red, green and blue"
    return remarks


def _check_shapes(
    tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], source: str, misfit: str
) -> None:
    """Raise an error for the first tensor that is missing, has another shape, or is superfluous."""
    for name in (*expected, *tensors):
        shape = tuple(tensors[name].shape) if name in tensors else "none"
        expected_shape = tuple(expected[name].shape) if name in expected else "none"
        if shape != expected_shape:
            raise WeightsError(
                f"{source}: tensor '{name}' has shape {shape}; expected {expected_shape}. {misfit}"
            )
