"""Runner of an early-exit network that edanas exported as ONNX files with a manifest.

This file needs numpy and onnxruntime, and nothing else. As a program, it classifies images in a file of
numpy:

    python NAME.run_onnx.py NAME.onnx.json images.npy
    python NAME.run_onnx.py NAME.onnx.json cat.jpg dog.png

Files of images, which need the package pillow, get the pixels that edanas gives them.

You may copy and change this file.
"""

import argparse
import csv
import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Confidences = npt.NDArray[np.float32]

FORMAT, VERSION = "edanas-onnx", 1


class EarlyExitNetwork:
    """An exported early-exit network, which runs a segment only for images that have not exited before it.

    Args:
        manifest: The `.onnx.json` file; the other files are in the same folder.
        threads: Number of threads; 0, the default = chosen by onnxruntime.
        providers: Names of onnxruntime's execution providers; by default the CPU's.

    Raises:
        ValueError: A file is damaged, or the manifest has another format or version.
        OSError: A file cannot be read.
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
        """Number of images that each segment has run for since the network was opened."""

    def predict(self, images: Images) -> tuple[Labels, Labels, Confidences]:
        """Classify images.

        Args:
            images: Pixels (B, C, H, W) uint8 of B images with C channels. If the manifest states a size, H
                and W must equal it; see `read_image`.

        Returns:
            The predicted class (B,) of each image, the index (B,) of the exit where it exits, and the
            confidence (B,) there. Exits count from 0; the last exit has the number of exit points.

        Raises:
            ValueError: The images have another size than the manifest states.
        """
        check_size(self.manifest, images)
        labels = np.zeros(len(images), dtype=np.int64)
        exits = np.zeros(len(images), dtype=np.int64)
        confidences = np.zeros(len(images), dtype=np.float32)
        samples = np.arange(len(images))  # the images that have not exited
        features: Any = images
        memory: list[Any] = []  # outputs of heads for later heads
        for number, segment in enumerate(self.segments):
            if not len(samples):
                break
            (features,) = self._run(segment["body"], features)
            label, confidence, *outputs = self._run(segment["head"], features, *memory)
            memory += outputs
            self.computed[number] += len(samples)
            # Later exits overwrite the results of the images that go on.
            labels[samples], exits[samples], confidences[samples] = label, segment["exit"], confidence
            if segment["threshold"] is not None:
                stays = ~(confidence >= np.float32(segment["threshold"]))
                if not stays.all():
                    samples, features = samples[stays], features[stays]
                    memory = [each[stays] for each in memory]
        return labels, exits, confidences

    def backbone(self, images: Images) -> Labels:
        """Return the classes (B,) that the last exit predicts for all images; no other head runs.

        Raises:
            ValueError: The last exit reads the outputs of other heads, or the images have another size than
                the manifest states.
        """
        if self.manifest.get("looks_back"):
            raise ValueError("the last exit reads the outputs of earlier exits, and cannot run without them")
        check_size(self.manifest, images)
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
        outputs: list[Any] = session.run(None, {each.name: value for each, value in named})
        return outputs


def check_size(manifest: Mapping[str, Any], images: Images) -> None:
    """Check that images (B, C, H, W) have the size that a manifest states; older manifests state none.

    Raises:
        ValueError: They have another size.
    """
    size = manifest.get("preprocessing", {}).get("image_size")
    if size is not None and list(images.shape[:1:-1]) != size:
        if manifest["preprocessing"].get("series", False):
            raise ValueError(
                f"series: found shape {images.shape}; allowed: (B, {manifest['channels']}, 1, {size[0]})"
            )
        raise ValueError(
            f"images: found {images.shape[3]}x{images.shape[2]} pixels; allowed: {size[0]}x{size[1]}. Resize "
            "them with Pillow's BILINEAR, as `read_image` does"
        )


def read_image(path: str, manifest: Mapping[str, Any]) -> Images:
    """Read an image file of any size as pixels (1, C, H, W) uint8, by the steps in the manifest.

    Raises:
        OSError: The file cannot be read.
        ValueError: The image has more than 8 bits per pixel.
    """
    from PIL import Image, ImageOps

    size = manifest.get("preprocessing", {}).get("image_size", [manifest["resolution"]] * 2)
    with Image.open(path) as file:
        file.draft(None, (2 * max(size), 2 * max(size)))  # JPEG files are decoded at a reduced size
        if file.mode.startswith(("I", "F")):
            raise ValueError(f"{path}: has more than 8 bits per pixel; convert it to 8 bits")
        image = ImageOps.exif_transpose(file)
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        image = image.convert("RGB")
        image = image.convert("L") if manifest["channels"] == 1 else image
        pixels = np.asarray(image.resize(tuple(size), Image.Resampling.BILINEAR), dtype=np.uint8)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))[None]


def stored_samples(path: str, manifest: Mapping[str, Any]) -> Images:
    """Load images (B, C, H, W) uint8, or series (B, C, L) or (B, C, 1, L), from a file of `numpy.save`.

    Raises:
        ValueError: The file is not an array of numpy, or has another type or shape.
        OSError: The file cannot be read.
    """
    try:
        array: Any = np.load(path)
    except (EOFError, ValueError) as error:
        raise ValueError(f"{path}: is not an array of numpy") from error
    shape: tuple[int, ...] = getattr(array, "shape", ())
    kind = getattr(array, "dtype", "no array")
    channels = manifest["channels"]
    if manifest.get("preprocessing", {}).get("series", False):
        if kind not in (np.float32, np.float64) or len(shape) not in (3, 4) or shape[1] != channels:
            raise ValueError(f"{path}: found {kind} of shape {shape}; expected floats (B, {channels}, L)")
        series: Images = array.astype(np.float32).reshape(len(array), channels, 1, -1)
        return series
    if kind != np.uint8 or len(shape) != 4 or shape[1] != channels:
        raise ValueError(
            f"{path}: found {kind} of shape {shape}; expected uint8 of shape (B, {channels}, H, W)"
        )
    images: Images = array
    return images


def main(network_type: type[EarlyExitNetwork] = EarlyExitNetwork) -> None:
    """Print a line for each image: its number from 1, the class name, the exit and the confidence."""
    parser = argparse.ArgumentParser(description="Classify images with an exported early-exit network.")
    parser.add_argument("manifest", help="the manifest, a .json file")
    parser.add_argument(
        "images",
        nargs="+",
        help="image files, or one .npy file of B samples with C channels: images (B, C, H, W) uint8, or "
        "series (B, C, L) of floats",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="number of threads; 0, the default: chosen by the runtime"
    )
    options = parser.parse_args()
    try:
        network = network_type(options.manifest, options.threads)
        images = (
            stored_samples(options.images[0], network.manifest)
            if options.images[0].endswith(".npy")
            else np.concatenate([read_image(each, network.manifest) for each in options.images])
        )
        predictions = zip(*network.predict(images), strict=True)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    last = network.manifest["exit_points"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    lines = csv.writer(sys.stdout, lineterminator="\n")
    for number, (label, exit_, confidence) in enumerate(predictions, 1):
        name = "last" if exit_ == last else str(exit_ + 1)
        lines.writerow([number, _cell(network.classes[label]), name, f"{confidence:.6f}"])


def _cell(name: str) -> str:
    """Return a class name without control characters, and with `'` before the sign of a formula."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain


if __name__ == "__main__":
    main()
