"""Logits of a teacher for each training image and its mirror, computed once and kept in a file beside it.

They serve the training of supernets by a teacher in a file, and outlive the run. Fine-tuning has the
supernet of its run as its teacher; `edanas.training.distillation.StoredTeacher` stores its probabilities.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.machine import home
from edanas.core.mapped import pieces
from edanas.core.preprocess import prepare
from edanas.core.progress import Progress
from edanas.core.runfolder import replacing
from edanas.core.types import ImageSet
from edanas.evaluation.teachers import ExternalTeacher
from edanas.training.distillation import mixed_targets
from edanas.training.precision import FP32, compute_precision, faster_precision

_BATCH = 256

_MANY = 40 * _BATCH
"""Number of images from which on the faster precision is measured, which takes as long as six batches."""

_DIGEST = 16
"""Number of bytes of the digest behind the array in a file; readers of `.npy` files ignore them."""

Logits = npt.NDArray[np.float16]
"""Logits (N, V, K) of N images, V views and K classes: the image, and its mirror if V is 2."""


def kept_logits(
    teacher: ExternalTeacher, path: Path, images: ImageSet, *, mirrored: bool, progress: Progress
) -> Logits:
    """Return a teacher's logits for all images; compute them if no file holds them.

    The file is memory-mapped. Its name holds a digest of the images and of the teacher's file. It lies beside
    the teacher's file, or in `EDANAS_HOME/logits` if that folder cannot be written to.

    Args:
        teacher: The teacher, on the device to compute on.
        path: The teacher's file.
        images: The training images of the run.
        mirrored: Keep the logits of the mirrored images, too.
        progress: Shows the progress of the computation.

    Returns:
        Logits (N, V, K) float16 for N images and K classes; V is 2 with `mirrored`, otherwise 1.

    Raises:
        RunError: The file cannot be written.
    """
    file = logits_file(path, images)
    views = 2 if mirrored else 1
    shape = (len(images), views, images.task.num_classes)
    stored = _read(file)
    if stored is not None and stored.shape[::2] == shape[::2] and stored.shape[1] >= views:
        return stored[:, :views]
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial:
        written = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        _compute(teacher, images, written, progress)
        written.flush()
        del written
        with partial.open("r+b") as content:
            content.write(_digest(content))
    logits: Logits = np.load(file, mmap_mode="r")
    return logits


def logits_file(path: Path, images: ImageSet) -> Path:
    """Return the path of the file that holds a teacher's logits for some images.

    Args:
        path: The teacher's file.
        images: The training images of a run.
    """
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    for tensor in (images.images, images.labels):
        digest.update(repr(tuple(tensor.shape)).encode())
        for piece in pieces(tensor):
            digest.update(piece.cpu().contiguous().numpy().data)
    folder = path.parent if os.access(path.parent, os.W_OK) else home() / "logits"
    return folder / f"{path.stem}.logits-{digest.hexdigest()}.npy"


def kept_targets(
    logits: Logits, labels: torch.Tensor, share: float, smoothing: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from indices of training images (B,) to target probabilities (B, K).

    A target mixes the label with the teacher's probabilities, the softmax of the mean logits over the views.

    Args:
        logits: The result of `kept_logits`.
        labels: Labels of the training images (N,), on the device of the training.
        share: Weight of the teacher's probabilities, from 0 to 1; the labels have the rest.
        smoothing: Label smoothing: the share of the labels' probability that is spread over all classes.

    Example:
        >>> logits = np.zeros((3, 2, 2), dtype=np.float16)
        >>> targets = kept_targets(logits, torch.tensor([0, 1, 0]), share=0.5, smoothing=0.0)
        >>> targets(torch.tensor([1]))
        tensor([[0.2500, 0.7500]])
    """

    def targets(indices: torch.Tensor) -> torch.Tensor:
        rows = torch.from_numpy(logits[indices.cpu().numpy()].astype(np.float32))
        probabilities = rows.mean(1).softmax(1).to(labels.device)
        return mixed_targets(labels[indices], probabilities, share, smoothing)

    return targets


@torch.inference_mode()
def _compute(teacher: ExternalTeacher, images: ImageSet, written: Logits, progress: Progress) -> None:
    """Write the logits (N, V, K) of each image and, if V is 2, of its mirror."""
    device, network = next(teacher.network.parameters()).device, teacher.network
    network.to(memory_format=torch.channels_last)

    def compute(precision: str, start: int = 0) -> list[npt.NDArray[np.float32]]:
        raw = images.images[start : start + _BATCH].to(device)
        prepared = prepare(raw, teacher.resolution, teacher.own.mean, teacher.own.std)
        prepared = prepared.contiguous(memory_format=torch.channels_last)
        views = (prepared, prepared.flip(3))[: written.shape[1]]
        with compute_precision(precision, device):
            return [network(view).float().cpu().numpy() for view in views]

    precision = faster_precision(compute, device) if len(images) >= _MANY else FP32
    with progress.task("Computing the teacher's logits", len(images)) as bar:
        for start in range(0, len(images), _BATCH):
            logits = np.stack(compute(precision, start), 1)
            written[start : start + len(logits)] = logits
            bar.advance(len(logits))


def _digest(content: BinaryIO, size: int | None = None) -> bytes:
    """Return the digest of the first `size` bytes of a file, all by default, and move to their end."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    rest = content.seek(0, os.SEEK_END) if size is None else size
    content.seek(0)
    while rest and (block := content.read(min(rest, 1 << 20))):
        digest.update(block)
        rest -= len(block)
    return digest.digest()


def _read(file: Path) -> Logits | None:
    """Return the logits in a file; `None` if there is none, or it does not match the digest at its end."""
    try:
        with file.open("rb") as content:
            size = content.seek(0, os.SEEK_END) - _DIGEST
            if size < 0 or _digest(content, size) != content.read():
                return None
        logits = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return logits if logits.ndim == 3 and logits.dtype == np.float16 else None
