"""Trained supernets with their heads, in one safetensors file that carries its recipe."""

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
TRAINED_ON = "trained_on"
"""The tensor of image_digests of the images that the supernet was trained on: (N,) int64, ascending."""

PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""The folder of trained supernets that come with the package."""

COPIES = {"cifar10-mbv3": "cifar10"}
"""Which data set's train images those were trained on in another form: as JPEG copies, of other pixels."""


def find(name: str) -> Path | None:
    """The file of a trained supernet; `None` where there is none.

    A file that is there but was not written by `write` is none either: it is the provider's to read.

    Args:
        name: A path; or a name in `weights/` under `EDANAS_HOME`, or of those that come with the package.
    """
    if not name:
        return None
    own, pretrained = (folder / f"{name}.safetensors" for folder in (home() / "weights", PRETRAINED))
    for path in (Path(name).expanduser(), own, pretrained):
        if path.is_file():
            return path if _metadata(path).get("kind") == KIND else None
    return None


def names() -> list[str]:
    """What `find` finds without a path."""
    folders = (home() / "weights", PRETRAINED)
    return sorted({path.stem for folder in folders for path in folder.glob("*.safetensors")})


def write(
    path: Path,
    parts: Mapping[str, nn.Module],
    recipe: Mapping[str, Any],
    seen: ImageSet,
    *,
    half: bool,
) -> None:
    """Write a trained supernet.

    Args:
        path: The file; it is replaced whole.
        parts: The supernet and its heads, by the prefix that their tensors get.
        recipe: What it was made with and is for, in JSON's types; `read_recipe` gives it back.
        seen: The images it was trained on.
        half: Store weights of two and more dimensions as float16; the others are few, and wider in range.

    Raises:
        RunError: The file cannot be written.
    """
    tensors = {TRAINED_ON: torch.from_numpy(image_digests(seen))}
    for name, tensor in tensors_of(parts).items():
        shrunk = half and tensor.is_floating_point() and tensor.ndim > 1
        kept = tensor.detach().to("cpu", torch.float16 if shrunk else tensor.dtype)
        tensors[name] = kept.contiguous()
    replace_file(path, save(tensors, {"kind": KIND, "recipe": json.dumps(dict(recipe))}))


def read_recipe(path: Path) -> dict[str, Any]:
    """What the file says it was made with.

    Raises:
        WeightsError: It is no such file, or damaged.
    """
    metadata = _metadata(path)
    try:
        if metadata.get("kind") != KIND:
            raise ValueError(f"kind {metadata.get('kind')!r}")
        return dict(json.loads(metadata["recipe"]))
    except (ValueError, LookupError, TypeError) as error:
        raise WeightsError(f"{path}: no trained supernet with a recipe ({error})") from error


def tensors_of(parts: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """The tensors of modules by their names in a file, which begin with the modules' prefixes."""
    return {f"{prefix}.{name}": t for prefix, part in parts.items() for name, t in part.state_dict().items()}


def prefixes(path: Path) -> set[str]:
    """Of which parts there are tensors in the file."""
    with _opened(path) as file:
        return {name.partition(".")[0] for name in set(file.keys()) - {TRAINED_ON}}


def load(path: Path, parts: Mapping[str, nn.Module], fresh: Container[str] = ()) -> str:
    """Fill modules from the file; returns a sentence on what was taken and left.

    Between grey and colour, the stem's weights are summed over red, green and blue, or shared out among
    them. Nothing is changed where anything else does not fit.

    Args:
        path: What `write` wrote.
        parts: Modules by their prefix; tensors of other prefixes are left.
        fresh: Names of tensors, with the prefix, that keep their fresh weights: those for other classes.

    Raises:
        WeightsError: The file is damaged, or of another network.
    """
    afresh, taken = [], []
    with _opened(path) as file:
        names = set(file.keys())
        for name, own in tensors_of(parts).items():
            if name not in names:
                raise WeightsError(f"{path}: has no tensor '{name}'; it is of another network")
            if name in fresh:
                afresh.append(name)
                continue
            found = _fitted(file.get_tensor(name), own)
            if found is None:
                raise WeightsError(
                    f"{path}: tensor '{name}' has another shape than {tuple(own.shape)}; the file is of a "
                    "supernet with other widths, depths, kernels, expansions or heads"
                )
            taken.append((own, found))
    with torch.no_grad():
        for own, found in taken:
            own.copy_(found)
    rest = f"; {len(afresh)} tensors of the last layers start afresh, for other classes" if afresh else ""
    return f"{len(taken)} tensors taken from {path}{rest}"


def image_digests(images: ImageSet) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """A number for each distinct image, ascending: (N,) int64."""
    pixels = np.ascontiguousarray(images.images.cpu().numpy())
    each = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    return np.unique(np.frombuffer(each, dtype=np.int64))


def trained_share(path: Path, images: ImageSet) -> float:
    """The share of `images` that the supernet in `path` was trained on, by their pixels."""
    with _opened(path) as file:
        seen = file.get_tensor(TRAINED_ON).numpy()
    asked = image_digests(images)
    return float(np.isin(asked, seen).mean())


def _fitted(found: torch.Tensor, own: torch.Tensor) -> torch.Tensor | None:
    """`found` in the shape of `own`; `None` where the two do not fit."""
    found = found.to(own.dtype)
    if found.shape == own.shape:
        return found
    if found.ndim == own.ndim == 4 and found.shape[0] == own.shape[0] and found.shape[2:] == own.shape[2:]:
        if found.shape[1] == 3 and own.shape[1] == 1:
            return found.sum(1, keepdim=True)
        if found.shape[1] == 1 and own.shape[1] == 3:
            return found.expand_as(own) / 3
    return None


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}") from error


def _metadata(path: Path) -> dict[str, str]:
    """A safetensors file's own notes; empty where it is none."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}
