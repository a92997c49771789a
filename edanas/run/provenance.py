"""The provenance of a run: versions, machine, and digests of images and weights."""

import hashlib
import importlib.metadata
import os
import platform
from typing import Any

import torch

from edanas.core.devices import device_of, threads_of
from edanas.core.errors import RunError, WeightsError
from edanas.core.machine import user_path
from edanas.core.settings import Settings
from edanas.core.types import DataParts
from edanas.core.version import VERSION
from edanas.data.splits import digest_of
from edanas.evaluation.teachers import parse_teacher
from edanas.supernets.timm_models import pretrained_timm_model
from edanas.training.supernet_file import find

_PACKAGES = (
    "edanas",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "pymoo",
    "xgboost",
    "ofa",
    "timm",
    "onnxruntime",
)
"""The packages whose versions are recorded."""


def environment(settings: Settings) -> dict[str, Any]:
    """Return the versions, machine, device, threads and seed of a run, for its repetition.

    Example:
        >>> sorted(environment(Settings()))
        ['cores', 'device', 'platform', 'processor', 'seed', 'threads', 'versions']
    """
    device = device_of(settings)
    return {**machine(device), "threads": threads_of(settings), "seed": settings.seed}


def machine(device: torch.device) -> dict[str, Any]:
    """Return the versions of packages, and the platform, processor, cores and device of this machine.

    Args:
        device: The device to name.
    """
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def digest_of_parts(parts: DataParts) -> str:
    """Return a digest of the images and labels of all parts: 16 hexadecimal digits of BLAKE2b."""
    return digest_of(parts.train, parts.calibration, parts.validation, parts.test)


def digest_of_file(name: str) -> str | None:
    """Return the SHA-256 digest of a weights file.

    Args:
        name: The value of the setting `weights`.

    Returns:
        64 hexadecimal digits; `None` if `name` is empty or names no existing file, e.g. because the supernet
        provider downloads the weights.

    Raises:
        RunError: The file cannot be read.

    Example:
        >>> digest_of_file("no-such-file.safetensors") is None
        True
    """
    path = find(name) or user_path(name)
    if not name or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


def digest_of_teacher(name: str) -> str | None:
    """Return the SHA-256 digest of a teacher's weights: of their file, or of the tensors that timm publishes.

    Args:
        name: The value of the setting `teacher`.

    Returns:
        64 hexadecimal digits; `None` if `name` is empty or its file does not exist.

    Raises:
        RunError: The file cannot be read.
        WeightsError: timm cannot load the published weights.
    """
    model, path = parse_teacher(name)
    if model and path is None:
        try:
            published = pretrained_timm_model(model).state_dict()
        except WeightsError as error:
            raise WeightsError(f"teacher: {error}") from error
        digest = hashlib.sha256()
        for part, tensor in published.items():
            digest.update(f"{part} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()
    if path is None:
        return None
    # `teacher` may name the .json file of a finished network, whose weights are in a file beside it.
    return digest_of_file(str(path.with_suffix(".safetensors") if path.suffix == ".json" else path))


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = VERSION if name == "edanas" else "missing"
    return versions
