"""Loader of finished networks that the exporter `safetensors` wrote."""

import hashlib
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from edanas.core.errors import EdanasError, WeightsError
from edanas.core.finite import check_finite
from edanas.core.records import MISMATCH, parse, unsealed
from edanas.deploy.safetensors_export import FORMAT_VERSION

Network = TypeVar("Network", bound=nn.Module)

_NEEDED = (
    *("supernet", "classifier", "criterion", "backbone", "in_channels", "num_classes", "thresholds"),
    *("heads", "classes", "mean", "std", "dtype", "weights", "weights_sha256"),
)
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
}


def load_network(path: Path, build: Callable[[dict[str, Any]], Network]) -> Network:
    """Load a network that the exporter `safetensors` wrote, and return it in eval mode on the CPU.

    No code from the files runs: the description is JSON, the weights are safetensors.

    Args:
        path: The `.json` or the `.safetensors` file of the network; both files are in the same folder.
        build: A function from the content of the JSON file to the network with fresh weights.

    Raises:
        WeightsError: A file is missing, damaged or of another version, or the two files do not belong
            together.
        EdanasError: An error of `build`, e.g. for a plugin that is not installed. The message begins with the
            path of the JSON file.

    Example:
        >>> import tempfile
        >>> from edanas.deploy.safetensors_export import SafetensorsExporter
        >>> from edanas.testing.evaluations import toy_network
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = SafetensorsExporter().export(toy_network(), Path(folder) / "toy")
        ...     load_network(paths[0], lambda description: toy_network(seed=1)).scheme.thresholds
        (0.5, None)
    """
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder; expected a network's .safetensors or .json file")
    described = path.with_suffix(".json")
    description = _description(described)
    weights = described.parent / description["weights"]
    try:
        stored = weights.read_bytes()
    except OSError as error:
        raise WeightsError(f"{weights}: cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(stored).hexdigest() != description["weights_sha256"]:
        raise WeightsError(f"{weights}: damaged, or not what {described.name} was written with")
    network = _built(described, description, build)
    try:
        tensors = load_tensors(stored)
        check_finite(tensors, weights)
        network.load_state_dict(tensors)
    except (RuntimeError, SafetensorError) as error:
        text = textwrap.shorten(str(error), width=240, placeholder=" ...")
        raise WeightsError(f"{weights}: does not fit the network of {described.name}: {text}") from error
    return network.eval()


def _built(path: Path, description: dict[str, Any], build: Callable[[dict[str, Any]], Network]) -> Network:
    """Build the described network with fresh weights of the saved type."""
    try:
        with torch.random.fork_rng(devices=[]):
            network = build(description)
        # The evaluation uses this memory format; other formats round differently and are slower.
        return network.to(_DTYPES[description["dtype"]]).to(memory_format=torch.channels_last)
    except EdanasError as error:
        raise type(error)(f"{path}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: the description is damaged, and no network can be built from it: "
            f"{type(error).__name__}: {error}"
        ) from error


def _description(path: Path) -> dict[str, Any]:
    try:
        description = unsealed(parse(path.read_text(encoding="utf-8")))
        version = description["format_version"]
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError) as error:
        if MISMATCH in str(error):
            raise WeightsError(f"{path}: is damaged, or was edited: {MISMATCH}") from error
        raise WeightsError(
            f"{path}: is not a network's description; expected the .json file that edanas "
            "writes with a network"
        ) from error
    if version != FORMAT_VERSION:
        raise WeightsError(f"{path}: format version {version!r}; this edanas reads version {FORMAT_VERSION}")
    missing = [name for name in _NEEDED if name not in description]
    if missing:
        raise WeightsError(f"{path}: {', '.join(missing)} is missing from the description")
    weights, classes, count = (description[name] for name in ("weights", "classes", "num_classes"))
    if not isinstance(weights, str) or not weights.isprintable() or Path(weights).name != (weights or None):
        raise WeightsError(
            f"{path}: weights: found {weights!r}; allowed: the name of a file in the same folder"
        )
    if not isinstance(classes, list) or len(classes) != count or not all(isinstance(c, str) for c in classes):
        raise WeightsError(f"{path}: classes: found {classes!r}; allowed: a list of {count!r} names")
    fields: dict[str, Any] = description
    return fields
