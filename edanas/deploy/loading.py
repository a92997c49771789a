"""A finished network, built again from what was written of it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from edanas.core.errors import WeightsError
from edanas.deploy.safetensors_export import FORMAT_VERSION

Builder = Callable[[dict[str, Any]], nn.Module]
"""From the content of the JSON file to a network with fresh weights."""


def load_network(path: Path, build: Builder) -> nn.Module:
    """The network that the exporter `safetensors` wrote, in eval mode on the CPU.

    No code from the files is run: the description is JSON, the weights are safetensors.

    Args:
        path: The `.json` or the `.safetensors` file; the other one lies beside it.
        build: Makes the network from its description.

    Raises:
        WeightsError: A file is missing, damaged, of another version, or the two do not belong together.
    """
    described = path.with_suffix(".json")
    description = _description(described)
    weights = described.with_name(str(description["weights"]))
    try:
        stored = weights.read_bytes()
    except OSError as error:
        raise WeightsError(f"{weights}: cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(stored).hexdigest() != description["weights_sha256"]:
        raise WeightsError(
            f"{weights}: damaged, or not what {described.name} was written with"
        )
    with torch.random.fork_rng(devices=[]):
        network = build(description)
    try:
        network.load_state_dict(load_tensors(stored))
    except (RuntimeError, SafetensorError) as error:
        text = " ".join(str(error).split())
        raise WeightsError(f"{weights}: does not fit the network of {described.name}: {text}") from error
    return network.eval()


def _description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        version = description["format_version"]
        missing = {"weights", "weights_sha256", "backbone", "supernet", "thresholds"} - set(description)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise WeightsError(f"{path}: is not a network's description") from error
    if version != FORMAT_VERSION:
        raise WeightsError(f"{path}: format version {version}; this edanas reads version {FORMAT_VERSION}")
    if missing:
        raise WeightsError(f"{path}: {', '.join(sorted(missing))} is missing from the description")
    found: dict[str, Any] = description
    return found
