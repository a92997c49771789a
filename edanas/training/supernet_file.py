"""Trained supernets with their heads, in one safetensors file with its recipe."""

import hashlib
import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from edanas.core.errors import WeightsError
from edanas.core.machine import home
from edanas.core.runfolder import replace_file
from edanas.core.types import ImageSet

KIND = "edanas supernet 1"
"""The kind of file, in its metadata."""
TRAINED_ON = "trained_on"
"""Name of the tensor with the digests of the training images: (N,) int64, ascending."""

PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""The folder of trained supernets in the package."""

COPIES = {"cifar10-mbv3": "cifar10"}
"""Supernet -> data set of its training images, which were JPEG copies and therefore have other digests."""


def find(name: str) -> Path | None:
    """Return the file of a trained supernet; `None` if there is none.

    A file that `write` did not write counts as none, since only the provider can read it.

    Args:
        name: A path, or a name in `weights/` under `EDANAS_HOME` or in the package.

    Example:
        >>> find("cifar10-mbv3").name
        'cifar10-mbv3.safetensors'
    """
    if not name:
        return None
    local, packaged = (folder / f"{name}.safetensors" for folder in (home() / "weights", PRETRAINED))
    for path in (Path(name).expanduser(), local, packaged):
        if path.is_file():
            return path if _metadata(path).get("kind") == KIND else None
    return None


def names() -> list[str]:
    """Return the names of all trained supernets that `find` can return."""
    folders = (home() / "weights", PRETRAINED)
    return sorted({path.stem for folder in folders for path in folder.glob("*.safetensors")})


def write(
    path: Path,
    parts: Mapping[str, nn.Module],
    recipe: Mapping[str, Any],
    images: ImageSet,
    *,
    half: bool,
) -> None:
    """Write a trained supernet.

    Args:
        path: The file, which is replaced.
        parts: The supernet and its heads, by the prefix of their tensors.
        recipe: Settings of the training, in JSON's types; `read_recipe` returns it.
        images: The training images.
        half: Store weights of two and more dimensions as float16; the others are few, with a wider range.

    Raises:
        RunError: The file cannot be written.
    """
    tensors = {TRAINED_ON: torch.from_numpy(image_digests(images))}
    for name, tensor in tensors_of(parts).items():
        halve = half and tensor.is_floating_point() and tensor.ndim > 1
        stored = tensor.detach().to("cpu", torch.float16 if halve else tensor.dtype)
        tensors[name] = stored.contiguous()
    replace_file(path, save(tensors, {"kind": KIND, "recipe": json.dumps(dict(recipe))}))


def read_recipe(path: Path) -> dict[str, Any]:
    """Return the recipe in a file of a trained supernet.

    Raises:
        WeightsError: The file is of another kind, or damaged.
    """
    metadata = _metadata(path)
    try:
        if metadata.get("kind") != KIND:
            raise ValueError(f"kind {metadata.get('kind')!r}")
        return dict(json.loads(metadata["recipe"]))
    except (ValueError, LookupError, TypeError) as error:
        raise WeightsError(f"{path}: no trained supernet with a recipe ({error})") from error


def tensors_of(parts: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Return the tensors of modules by their names in a file, which begin with the prefixes."""
    return {f"{prefix}.{name}": t for prefix, part in parts.items() for name, t in part.state_dict().items()}


def prefixes(path: Path) -> set[str]:
    """Return the prefixes of the parts in a file."""
    with _opened(path) as file:
        return {name.partition(".")[0] for name in set(file.keys()) - {TRAINED_ON}}


def load(path: Path, parts: Mapping[str, nn.Module], fresh: Container[str] = ()) -> str:
    """Copy the tensors of a file into modules; return a sentence on the copied and the remaining tensors.

    Between grey and colour, the stem's weights are summed over red, green and blue, or divided among them. On
    any other difference nothing is copied.

    Args:
        path: A file that `write` wrote.
        parts: Modules by their prefix; tensors with other prefixes are not read.
        fresh: Names of tensors, with the prefix, that keep their fresh weights, for other classes.

    Raises:
        WeightsError: The file is damaged, or of another network.
    """
    skipped, pairs = [], []
    with _opened(path) as file:
        names = set(file.keys())
        for name, own in tensors_of(parts).items():
            if name not in names:
                raise WeightsError(f"{path}: has no tensor '{name}'; it is of another network")
            if name in fresh:
                skipped.append(name)
                continue
            fitted = _fitted(file.get_tensor(name), own)
            if fitted is None:
                raise WeightsError(
                    f"{path}: tensor '{name}' has another shape than {tuple(own.shape)}; the file is of a "
                    "supernet with other widths, depths, kernels, expansions or heads"
                )
            pairs.append((own, fitted))
    with torch.no_grad():
        for own, fitted in pairs:
            own.copy_(fitted)
    rest = f"; {len(skipped)} tensors of the last layers start afresh, for other classes" if skipped else ""
    return f"{len(pairs)} tensors taken from {path}{rest}"


def image_digests(images: ImageSet) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return the sorted digests of the distinct images: (N,) int64."""
    pixels = np.ascontiguousarray(images.images.cpu().numpy())
    joined = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    return np.unique(np.frombuffer(joined, dtype=np.int64))


def trained_share(path: Path, images: ImageSet) -> float:
    """Return the share of `images` that the supernet in `path` was trained on, by their pixels."""
    with _opened(path) as file:
        training_digests = file.get_tensor(TRAINED_ON).numpy()
    return float(np.isin(image_digests(images), training_digests).mean())


def _fitted(tensor: torch.Tensor, own: torch.Tensor) -> torch.Tensor | None:
    """Return `tensor` in the shape of `own`; `None` if the shapes do not fit."""
    tensor = tensor.to(own.dtype)
    if tensor.shape == own.shape:
        return tensor
    if tensor.ndim == own.ndim == 4 and tensor.shape[0] == own.shape[0] and tensor.shape[2:] == own.shape[2:]:
        if tensor.shape[1] == 3 and own.shape[1] == 1:
            return tensor.sum(1, keepdim=True)
        if tensor.shape[1] == 1 and own.shape[1] == 3:
            return tensor.expand_as(own) / 3
    return None


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}") from error


def _metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; empty if it is of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}
