"""Runs an early-exit network that edanas exported as ONNX: one file a segment, and a manifest.

Needs numpy and onnxruntime, nothing else. As a program, on an array of images stored by numpy:

    python NAME.run_onnx.py NAME.onnx.json images.npy

Copy it, and change it as you like.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Confidences = npt.NDArray[np.float32]

FORMAT, VERSION = "edanas-onnx", 1


class EarlyExitNetwork:
    """The network; after each exit only the images that stay are carried on.

    Args:
        manifest: The `.onnx.json` file; the others lie beside it.
        threads: How many threads onnxruntime uses; 0 = as it likes.
        providers: Where it runs, in onnxruntime's names.
    """

    form = FORMAT

    def __init__(
        self, manifest: str | Path, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        manifest = Path(manifest)
        self.manifest: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        if (self.manifest.get("format"), self.manifest.get("format_version")) != (self.form, VERSION):
            raise ValueError(f"{manifest}: is not of format {self.form}, version {VERSION}")
        self.classes: list[str] = self.manifest["classes"]
        self.segments: list[dict[str, Any]] = [
            {
                "exit": each["exit"],
                "threshold": each["threshold"],
                "body": self._session(manifest, each["body"], threads, providers),
                "head": self._session(manifest, each["head"], threads, providers),
            }
            for each in self.manifest["segments"]
        ]
        self.computed = [0] * len(self.segments)
        """How many images went through each segment so far."""

    def predict(self, images: Images) -> tuple[Labels, Labels, Confidences]:
        """Images (B, C, H, W) uint8 -> labels (B,), exits taken (B,), confidences (B,)."""
        labels = np.zeros(len(images), dtype=np.int64)
        exits = np.zeros(len(images), dtype=np.int64)
        confidences = np.zeros(len(images), dtype=np.float32)
        samples = np.arange(len(images))  # whose features are carried
        features: Any = images
        said: list[Any] = []  # what heads left to later ones, where these look back
        for number, segment in enumerate(self.segments):
            if not len(samples):
                break
            (features,) = self._run(segment["body"], features)
            label, confidence, *left = self._run(segment["head"], features, *said)
            said += left
            self.computed[number] += len(samples)
            # Everybody is written down; a later exit overwrites those who stay.
            labels[samples], exits[samples], confidences[samples] = label, segment["exit"], confidence
            if segment["threshold"] is not None:
                stays = ~(confidence >= np.float32(segment["threshold"]))
                if not stays.all():
                    samples, features = samples[stays], features[stays]
                    said = [each[stays] for each in said]
        return labels, exits, confidences

    def backbone(self, images: Images) -> Labels:
        """Labels (B,) of the last exit for all images; no other head runs, so exits may not look back."""
        if self.manifest.get("looks_back"):
            raise ValueError("the last exit looks back at the others, and cannot run alone")
        features: Any = images
        for segment in self.segments:
            (features,) = self._run(segment["body"], features)
        labels: Labels = self._run(self.segments[-1]["head"], features)[0]
        return labels

    def _session(self, manifest: Path, name: str, threads: int, providers: Sequence[str]) -> Any:
        path = manifest.with_name(name)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest["files"][name]["sha256"]:
            raise ValueError(f"{path}: damaged, or not what {manifest.name} was written with")
        return self._open(content, threads, providers)

    def _open(self, content: bytes, threads: int, providers: Sequence[str]) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(content, options, providers=list(providers))

    def _run(self, session: Any, *values: Any) -> list[Any]:
        named = zip(session.get_inputs(), values, strict=True)
        found: list[Any] = session.run(None, {each.name: value for each, value in named})
        return found


def stored_images(path: str, channels: int) -> Images:
    """What numpy stored there: (B, channels, H, W) uint8; anything else is a `ValueError`."""
    try:
        found: Any = np.load(path)
    except (EOFError, ValueError) as error:
        raise ValueError(f"{path}: holds no array of numpy") from error
    shape: tuple[int, ...] = getattr(found, "shape", ())
    kind = getattr(found, "dtype", "no array")
    if kind != np.uint8 or len(shape) != 4 or shape[1] != channels:
        raise ValueError(
            f"{path}: found {kind} of shape {shape}; expected uint8 of shape (B, {channels}, H, W)"
        )
    images: Images = found
    return images


def main() -> None:
    """Print number, class, exit and confidence of each image."""
    parser = argparse.ArgumentParser(description="Classify images with an exported early-exit network.")
    parser.add_argument("manifest", help="the .onnx.json file")
    parser.add_argument("images", help="an .npy file: uint8 of shape (B, C, H, W)")
    parser.add_argument("--threads", type=int, default=0, help="0: as onnxruntime likes")
    given = parser.parse_args()
    try:
        network = EarlyExitNetwork(given.manifest, given.threads)
        images = stored_images(given.images, network.manifest["channels"])
    except (OSError, ValueError) as error:
        parser.error(str(error))
    last = network.manifest["exit_points"]
    answers = zip(*network.predict(images), strict=True)
    for number, (label, left_at, confidence) in enumerate(answers, 1):
        name = "last" if left_at == last else str(left_at + 1)
        print(f"{number},{network.classes[label]},{name},{confidence:.6f}")


if __name__ == "__main__":
    main()
