"""Trained weights for the elastic MobileNetV3: a file, or a name in the zoo of the once-for-all authors."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from edanas.core.errors import WeightsError, unknown
from edanas.supernets.download import Remote, fetch
from edanas.supernets.elastic import ElasticMobileNetV3

_SOURCES = (
    "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/",
    "https://github.com/han-cai/files/raw/master/ofa/ofa_nets/",
)

ZOO: Mapping[str, Remote] = {
    name: Remote(name, tuple(source + name for source in _SOURCES), git_object=git_object)
    for name, git_object in (
        ("ofa_mbv3_d234_e346_k357_w1.0", "55d835981d8acd1053657a951b18887a724ddcbf"),
        ("ofa_mbv3_d234_e346_k357_w1.2", "d75a3613bae216091f61fc4b7df77d49cc82ed32"),
    )
}
"""The authors' supernets, trained on ImageNet, by name."""

_CLASSIFIER = ("classifier.linear.weight", "classifier.linear.bias")
_STEM = "first_conv.conv.weight"


def load(supernet: ElasticMobileNetV3, weights: str) -> str:
    """Fill `supernet` from a file or a name in the zoo; returns a sentence on what was taken and left.

    The classifier keeps its fresh weights where the numbers of classes differ; for grey images the stem's
    weights are summed over red, green and blue. Nothing is changed where anything else does not fit.

    Raises:
        WeightsError: There is no such file or name, it holds no weights, or those of another network.
    """
    path, checked = _locate(weights)
    found = {canonical(name): tensor for name, tensor in read_tensors(path).items()}
    remarks = _adapt(supernet, found)
    own = {canonical(name): tensor for name, tensor in supernet.state_dict().items()}
    expected = {name: tensor for name, tensor in own.items() if name in found or not _may_lack(name, remarks)}
    _compare(found, expected, path)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(found[name])
    return "; ".join([f"{len(expected)} tensors taken from {path}", *checked, *remarks.values()])


def canonical(name: str) -> str:
    """A tensor's name without what differs between elastic layers, plain ones and the zoo's files."""
    name = re.sub(r"^(blocks\.\d+)\.(?:mobile_inverted_conv|conv)\.", r"\1.", name)
    return re.sub(r"\b(conv|bn|linear)\.\1\.", r"\1.", name)


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


def _locate(weights: str) -> tuple[Path, tuple[str, ...]]:
    """The file, and how it was checked if it is a download."""
    path = Path(weights).expanduser()
    if path.is_dir():
        raise WeightsError(f"weights '{weights}': a folder; expected a file, or a name in the zoo")
    if path.exists():
        return path, ()
    if weights in ZOO:
        path, checked = fetch(ZOO[weights])
        return path, (checked,)
    raise WeightsError(f"weights '{weights}': no such file. {unknown('name in the zoo', weights, ZOO)}")


def _adapt(supernet: ElasticMobileNetV3, found: dict[str, torch.Tensor]) -> dict[str, str]:
    """Change `found` where classes or colours differ; a remark by the first tensor concerned."""
    remarks = {}
    weight = found.get(_CLASSIFIER[0])
    classes = supernet.task.num_classes
    if weight is not None and weight.ndim == 2 and len(weight) != classes:
        for name in _CLASSIFIER:
            found.pop(name, None)
        remarks[_CLASSIFIER[0]] = (
            f"the classifier starts afresh ({len(weight)} classes there, {classes} here)"
        )
    stem = found.get(_STEM)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3 and supernet.task.in_channels == 1:
        found[_STEM] = stem.sum(1, keepdim=True)
        remarks[_STEM] = "the stem's weights are summed over red, green and blue"
    return remarks


def _may_lack(name: str, remarks: Mapping[str, str]) -> bool:
    return name.endswith("num_batches_tracked") or (name in _CLASSIFIER and _CLASSIFIER[0] in remarks)


def _compare(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse at the first tensor that is missing, has another shape, or is too much."""
    for name in (*expected, *found):
        has = tuple(found[name].shape) if name in found else "none"
        wants = tuple(expected[name].shape) if name in expected else "none"
        if has != wants:
            raise WeightsError(
                f"{path}: tensor '{name}' has shape {has}; expected {wants}. "
                "The file is of a network with other widths, depths, kernels, expansions or last layers"
            )
