"""What a run was made with: versions and machine, and digests of images and weights."""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from edanas.core.devices import device_of, threads_of
from edanas.core.errors import RunError, WeightsError
from edanas.core.settings import Settings
from edanas.core.types import DataParts
from edanas.core.version import VERSION
from edanas.evaluation.teachers import named_teacher
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


def environment(settings: Settings) -> dict[str, Any]:
    """Versions, machine, seed and device: what a repetition needs to know."""
    device = device_of(settings)
    return {**machine(device), "threads": threads_of(settings), "seed": settings.seed}


def machine(device: torch.device) -> dict[str, Any]:
    """Versions, platform, processor, cores and device."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def digest_of_parts(parts: DataParts) -> str:
    """Sixteen hexadecimal digits that name the images and labels of all parts."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (parts.train, parts.calibration, parts.validation, parts.test):
        for tensor in (part.images, part.labels):
            digest.update(repr(tuple(tensor.shape)).encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def digest_of_file(name: str) -> str | None:
    """The SHA-256 of a file's content; `None` where `name` is none, but the provider's, say."""
    path = find(name) or Path(name).expanduser()
    if not name or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


def digest_of_teacher(name: str) -> str | None:
    """The SHA-256 of the file that the weights of a teacher lie in, or of the tensors that timm publishes.

    Args:
        name: As the setting `teacher`; `None` is returned where it is empty, or its file is not there.

    Raises:
        RunError: The file cannot be read.
        WeightsError: timm cannot get what it publishes.
    """
    model, path = named_teacher(name)
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
    # A finished network may be named by its description.
    return digest_of_file(str(path.with_suffix(".safetensors") if path.suffix == ".json" else path))


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = VERSION if name == "edanas" else "missing"
    return found
