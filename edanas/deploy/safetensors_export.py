"""Exporter of a network's weights as safetensors, with a JSON description of the network."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from edanas.core.contracts import ExitNetwork, Exporter
from edanas.core.finite import check_finite
from edanas.core.hookspecs import hookimpl
from edanas.core.records import sealed
from edanas.core.runfolder import replace_file

FORMAT_VERSION = 1
"""The version of the JSON description; it rises when older versions of edanas would misread new files."""


class SafetensorsExporter(Exporter):
    """Exporter of weights as safetensors and a description as JSON, the files that `edanas.load` reads.

    The JSON file is written last and holds the SHA-256 of the weights. So a reader notices two files that do
    not belong together, for example after an interrupted export.
    """

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.json and `stem`.safetensors, and return their paths.

        An existing file is replaced as a whole or not at all.

        Raises:
            RunError: The folder is missing or not writable, or no space is left.
        """
        described = stem.with_name(f"{stem.name}.json")
        weights = stem.with_name(f"{stem.name}.safetensors")
        stored = weights_bytes(network)
        description = network_description(network, weights.name, stored)
        text = json.dumps(sealed(description), indent=2, allow_nan=False)
        replace_file(weights, stored)
        replace_file(described, f"{text}\n".encode())
        return [described, weights]


def weights_bytes(network: nn.Module) -> bytes:
    """Return the content of a `.safetensors` file with all weights of a network.

    Raises:
        WeightsError: A weight is not finite.
    """
    # The format can store weights that share memory only as copies.
    tensors = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in network.state_dict().items()
    }
    check_finite(tensors, type(network).__name__)
    return save(tensors, metadata={"format": "pt"})


def network_description(network: ExitNetwork, weights: str, stored: bytes) -> dict[str, Any]:
    """Return the content of the JSON file: `network.description` and attributes of the network.

    Args:
        network: An EENN. Its attributes override the fields of its description. The description alone has the
            registered names of the criterion and the inference rule.
        weights: The name of the file with the weights, in the same folder as the JSON file.
        stored: The content of the file with the weights.
    """
    return {
        "criterion": {"name": type(network.criterion).__name__, "options": {}},
        "inference": {"name": type(network.inference).__name__, "options": {}},
        **network.description,
        "format_version": FORMAT_VERSION,
        "thresholds": list(network.scheme.thresholds),
        "heads": list(network.points),
        "classes": list(network.classes),
        "mean": list(network.mean),
        "std": list(network.std),
        "resolution": network.resolution,
        "dtype": str(_dtype(network)).removeprefix("torch."),
        "weights": weights,
        "weights_sha256": hashlib.sha256(stored).hexdigest(),
    }


def _dtype(network: nn.Module) -> torch.dtype:
    return next((weight.dtype for weight in network.parameters()), torch.float32)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Register the exporter `safetensors`."""
    return {"safetensors": SafetensorsExporter}
