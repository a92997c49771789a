"""Files of trained supernets: weights and heads as safetensors, with the settings of the training."""

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
from edanas.core.finite import check_finite
from edanas.core.machine import home, user_path
from edanas.core.records import CHECKSUM, checksum, parse, sealed, unsealed
from edanas.core.runfolder import replace_file
from edanas.core.types import ImageSet

KIND = "edanas supernet 1"
"""Value of `kind` in the metadata of a file of a trained supernet."""
TRAINED_ON = "trained_on"
"""Name of the tensor that holds the digest of each training image, sorted: (images,) int64."""

PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""Folder of the trained supernets that the package contains."""

COPIES = {"cifar10-mbv3": "cifar10", "cifar10-resnet": "cifar10"}
"""Name of a supernet -> data set that it was trained on.

The training images of these supernets were JPEG copies of the data set, so the digests do not match it.
"""


def find(name: str) -> Path | None:
    """Return the path of the file of a trained supernet, or `None` if there is no file.

    `None` is also returned for files that `write` did not write; only a supernet provider can read them.

    Args:
        name: Path of a file, or name of a supernet in `EDANAS_HOME/weights` or in the package. The name has
            no suffix.

    Example:
        >>> find("cifar10-mbv3").name
        'cifar10-mbv3.safetensors'
    """
    if not name:
        return None
    local, packaged = (folder / f"{name}.safetensors" for folder in (home() / "weights", PRETRAINED))
    for path in (user_path(name), local, packaged):
        if path.is_file():
            return path if _metadata(path).get("kind") == KIND else None
    return None


def names() -> list[str]:
    """Return the names, sorted, of the files in `EDANAS_HOME/weights` and in the package."""
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
    """Write the file of a trained supernet.

    Args:
        path: Path of the file; an existing file is replaced.
        parts: Modules to write, e.g. the supernet and its heads, by the prefix of the names of their tensors.
        recipe: Settings of the training, in types that JSON can store; `read_recipe` returns the recipe.
        images: The training images, whose digests are stored.
        half: Store tensors of two or more dimensions as float16. Tensors of one dimension keep their type,
            since they are small and have a wider range.

    Raises:
        RunError: The file cannot be written.
        WeightsError: A weight is not finite, or too large for float16.
    """
    tensors = {TRAINED_ON: torch.from_numpy(image_digests(images))}
    for name, tensor in tensors_of(parts).items():
        halve = half and tensor.is_floating_point() and tensor.ndim > 1
        stored = tensor.detach().to("cpu", torch.float16 if halve else tensor.dtype)
        tensors[name] = stored.contiguous()
    check_finite(tensors, path)
    metadata = {"kind": KIND, "recipe": json.dumps(sealed(recipe)), CHECKSUM: _content(tensors)}
    replace_file(path, save(tensors, metadata))


def read_recipe(path: Path) -> dict[str, Any]:
    """Return the recipe (the settings of the training) in the file of a trained supernet.

    Raises:
        WeightsError: `write` did not write the file, or the file is damaged.
    """
    metadata = _metadata(path)
    try:
        if metadata.get("kind") != KIND:
            raise ValueError(f"kind {metadata.get('kind')!r}")
        return unsealed(parse(metadata["recipe"]))
    except (ValueError, LookupError, TypeError) as error:
        raise WeightsError(
            f"{path}: is not the file of a trained supernet, or its recipe (the settings of the training) is "
            f"damaged ({error})"
        ) from error


def tensors_of(parts: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Return the tensors of `parts` (prefix -> module) by their names in a file: `PREFIX.NAME`."""
    return {f"{prefix}.{name}": t for prefix, part in parts.items() for name, t in part.state_dict().items()}


def prefixes(path: Path) -> set[str]:
    """Return the prefixes of the tensors in the file of a trained supernet, e.g. `supernet`.

    Raises:
        WeightsError: The file cannot be read.
    """
    with _opened(path) as file:
        return {name.partition(".")[0] for name in set(file.keys()) - {TRAINED_ON}}


def load(path: Path, parts: Mapping[str, nn.Module], fresh: Container[str] = ()) -> str:
    """Copy the tensors of a file into modules.

    If the file is for colour images and the modules are for grey images, the stem's weights are summed over
    red, green and blue. In the opposite case, each weight is divided equally among red, green and blue. If
    any other shape differs, an error is raised and nothing is copied.

    Args:
        path: Path of a file that `write` wrote.
        parts: Modules by the prefix of the names of their tensors. Other tensors in the file are ignored.
        fresh: Names, with prefix, of tensors that keep their present weights, because the file was trained on
            other classes.

    Returns:
        A sentence that reports the numbers of copied tensors and of tensors that keep their weights.

    Raises:
        WeightsError: The file is damaged, or belongs to another network.
    """
    skipped, pairs, loaded = [], [], {}
    _check_content(path)
    with _opened(path) as file:
        names = set(file.keys())
        for name, own in tensors_of(parts).items():
            if name not in names:
                raise WeightsError(f"{path}: has no tensor '{name}'; the file belongs to another network")
            if name in fresh:
                skipped.append(name)
                continue
            stored = file.get_tensor(name)
            fitted = _fitted(stored, own)
            if fitted is None:
                raise WeightsError(
                    f"{path}: tensor '{name}' has shape {tuple(stored.shape)}; expected {tuple(own.shape)}. "
                    "The file belongs to a supernet with other widths, depths, kernels, expansions or heads"
                )
            pairs.append((own, fitted))
            loaded[name] = stored
    check_finite(loaded, path)
    with torch.no_grad():
        for own, fitted in pairs:
            own.copy_(fitted)
    rest = (
        f"; {len(skipped)} tensors of the last layers keep fresh weights, since the classes differ"
        if skipped
        else ""
    )
    return f"{len(pairs)} tensors taken from {path}{rest}"


def image_digests(images: ImageSet) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return a digest of the pixels of each distinct image, sorted: (images,) int64."""
    pixels = np.ascontiguousarray(images.images.cpu().numpy())
    joined = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    return np.unique(np.frombuffer(joined, dtype=np.int64))


def trained_share(path: Path, images: ImageSet) -> float:
    """Return the share of `images` on which a supernet was trained; images are compared by their pixels.

    Args:
        path: File of the trained supernet.
        images: The images to look up.

    Raises:
        WeightsError: The file cannot be read.
    """
    _check_content(path)
    with _opened(path) as file:
        training_digests = file.get_tensor(TRAINED_ON).numpy()
    return float(np.isin(image_digests(images), training_digests).mean())


def _content(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the checksum of names, types, shapes and values of tensors."""
    parts = []
    for name, tensor in sorted(tensors.items()):
        values = tensor.contiguous().reshape(-1).view(torch.uint8)
        parts.append([name, str(tensor.dtype), list(tensor.shape), values.numpy().tobytes()])
    return checksum(parts)


def _check_content(path: Path) -> None:
    """Compare the tensors of a file with their checksum, which files of older versions lack.

    Raises:
        WeightsError: The file cannot be read, or its tensors differ.
    """
    with _opened(path) as file:
        seal = (file.metadata() or {}).get(CHECKSUM)
        if seal is not None and seal != _content({name: file.get_tensor(name) for name in file.keys()}):  # noqa: SIM118
            raise WeightsError(
                f"{path}: is damaged: its content does not match its checksum; restore a copy, or train again"
            )


def _fitted(tensor: torch.Tensor, own: torch.Tensor) -> torch.Tensor | None:
    """Return `tensor` in type and shape of `own`; `None` if it cannot be converted."""
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
    """Return the metadata of a safetensors file; empty if the file has another format or cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}
