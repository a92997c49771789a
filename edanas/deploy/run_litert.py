"""Runner of an early-exit network that edanas exported as `.tflite` files with a manifest.

This file needs numpy and ai-edge-litert, and nothing else. As a program, it classifies images in a file of
numpy, or image files, which need the package pillow:

    python NAME.run_litert.py NAME.litert.json images.npy
    python NAME.run_litert.py NAME.litert.json cat.jpg dog.png

You may copy and change this file.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.deploy.run_onnx import Confidences, EarlyExitNetwork, Images, Labels, check_size, main

FORMAT, VERSION = "edanas-litert", 1

Values = npt.NDArray[Any]


class LitertNetwork(EarlyExitNetwork):
    """An exported early-exit network, which runs a segment only for images that have not exited before it.

    Args:
        manifest: The `.litert.json` file; the other files are in the same folder.
        threads: Number of threads; 0, the default = chosen by LiteRT.

    Raises:
        ValueError: A file is damaged, or the manifest has another format or version.
        OSError: A file cannot be read.
    """

    form = FORMAT

    def __init__(self, manifest: str | Path, threads: int = 0) -> None:
        manifest = Path(manifest)
        self.manifest: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        if (self.manifest.get("format"), self.manifest.get("format_version")) != (self.form, VERSION):
            raise ValueError(f"{manifest}: is not of format {self.form}, version {VERSION}")
        self.classes: list[str] = self.manifest["classes"]
        self.segments = [
            {**each, "run": self._session(manifest, each["file"], threads, ())}
            for each in self.manifest["segments"]
        ]
        self.computed = [0] * len(self.segments)
        """Number of images that each segment has run for since the network was opened."""

    def predict(self, images: Images) -> tuple[Labels, Labels, Confidences]:
        """Classify images (B, C, H, W) uint8; see `EarlyExitNetwork.predict`."""
        check_size(self.manifest, images)
        rows = [self._predict_one(image) for image in images]
        labels, exits, confidences = zip(*rows, strict=True) if rows else ((), (), ())
        return (
            np.array(labels, dtype=np.int64),
            np.array(exits, dtype=np.int64),
            np.array(confidences, dtype=np.float32),
        )

    def backbone(self, images: Images) -> Labels:
        """Return the classes (B,) of the last exit for all images; see `EarlyExitNetwork.backbone`."""
        if self.manifest["looks_back"]:
            raise ValueError("the last exit reads the outputs of earlier exits, and cannot run without them")
        check_size(self.manifest, images)
        labels = []
        for image in images:
            features = self.pixels(image)
            for segment in self.segments:
                features, logits = segment["run"](features)
            labels.append(int(logits.argmax()))
        return np.array(labels, dtype=np.int64)

    def pixels(self, image: Images) -> Values:
        """Return the input of the first segment for an image (C, H, W) or a series (C, 1, L).

        It is (1, R, R, C) from 0 to 255 for images, and (1, 1, R, C), normalised, for series.
        """
        side = self.manifest["resolution"]
        height, width = image.shape[1:]
        series = self.manifest.get("preprocessing", {}).get("series", False)
        rows, columns = resampling(height, height if series else side), resampling(width, side)
        resized = (rows @ image.astype(np.float64) @ columns.T).astype(np.float32)
        if series:
            mean, std = (
                np.array(self.manifest[each], dtype=np.float32)[:, None, None] for each in ("mean", "std")
            )
            resized = (resized - mean) / std
        pixels: Values = resized.transpose(1, 2, 0)[None]
        return pixels

    def _predict_one(self, image: Images) -> tuple[int, int, float]:
        features = self.pixels(image)
        logits: list[Values] = []
        for number, segment in enumerate(self.segments):
            features, latest = segment["run"](features)
            self.computed[number] += 1
            logits.append(latest)
            label, confidence = self.decide(logits)
            threshold = segment["threshold"]
            if threshold is None or confidence >= np.float32(threshold):
                return label, segment["exit"], float(confidence)
        raise ValueError("the last segment has a threshold; expected null")

    def decide(self, logits: Sequence[Values]) -> tuple[int, np.float32]:
        """Return class and confidence at an exit, from the logits (K,) of all exits up to it, in order."""
        answers = [self.answer(logits[: at + 1]) for at in range(len(logits))]
        label = int(answers[-1].argmax())
        criterion = self.manifest["criterion"]
        if criterion["name"] == "patience":
            equal = 0
            for answer in reversed(answers):
                if int(answer.argmax()) != label:
                    break
                equal += 1
            return label, np.float32(min(1.0, equal / criterion["numbers"][0]))
        return label, np.float32(CRITERIA[criterion["name"]](softmax(answers[-1])))

    def answer(self, logits: Sequence[Values]) -> Values:
        """Return the output (K,) of the inference rule, whose softmax are the class probabilities."""
        rule = self.manifest["inference"]
        if rule["name"] == "early-stop":
            return logits[-1]
        if rule["name"] == "mean-logit":
            logarithms: Values = np.mean([np.log(softmax(each)) for each in logits], axis=0)
            return logarithms
        shares = [rule["numbers"][each["point"]] if rule["numbers"] else 1.0 for each in self.segments]
        probabilities = [share * softmax(each) for share, each in zip(shares, logits, strict=False)]
        total: Values = np.log(np.sum(probabilities, axis=0) / sum(shares[: len(logits)]))
        return total

    def _open(self, content: bytes, threads: int, providers: Sequence[str]) -> Callable[[Values], Any]:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=content, num_threads=threads or None)
        interpreter.allocate_tensors()
        (source,), outputs = interpreter.get_input_details(), interpreter.get_output_details()

        def run(features: Values) -> tuple[Values, Values]:
            scaled = stored(features, source["dtype"], *source["quantization"])
            interpreter.set_tensor(source["index"], scaled)
            interpreter.invoke()
            values = [interpreter.get_tensor(each["index"]) for each in outputs]
            return values[0], real(values[-1], *outputs[-1]["quantization"])

        return run


def stored(features: Values, dtype: Any, scale: float, zero: int) -> Values:
    """Return the features of a sample as a segment takes them; integers stay as they are."""
    if features.dtype == dtype:
        return features
    integers: Values = (np.rint(features / np.float32(scale)) + zero).clip(-128, 127).astype(dtype)
    return integers


def real(logits: Values, scale: float, zero: int) -> Values:
    """Return logits (K,) as float32; integers have a scale above 0."""
    numbers = logits[0].astype(np.float32)
    values: Values = (numbers - np.float32(zero)) * np.float32(scale) if scale else numbers
    return values


def resampling(before: int, after: int) -> Values:
    """Return the weights (after, before) of bilinear resampling of a row of pixels, with antialiasing."""
    centres = (np.arange(after)[:, None] + 0.5) * before / after
    distances = abs(np.arange(before) + 0.5 - centres) / max(before / after, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    normalised: Values = weights / weights.sum(1, keepdims=True)
    return normalised


def softmax(logits: Values) -> Values:
    """Return class probabilities (K,)."""
    weights = np.exp(logits - logits.max())
    probabilities: Values = weights / weights.sum()
    return probabilities


def score_margin(probabilities: Values) -> float:
    """Return the largest class probability minus the second largest; 1 for one class."""
    ordered = np.sort(probabilities)
    return float(ordered[-1] - ordered[-2]) if len(ordered) > 1 else 1.0


def certainty(probabilities: Values) -> float:
    """Return 1 minus the entropy divided by the logarithm of the number of classes; 1 for one class."""
    if len(probabilities) == 1:
        return 1.0
    likely = probabilities[probabilities > 0]
    entropy = -float((likely * np.log(likely)).sum()) / float(np.log(len(probabilities)))
    return min(max(1.0 - entropy, 0.0), 1.0)


CRITERIA: Mapping[str, Callable[[Values], float]] = {
    "score-margin": score_margin,
    "max-probability": lambda probabilities: float(probabilities.max()),
    "entropy": certainty,
}
"""Confidence of class probabilities (K,), by the name of the criterion."""


if __name__ == "__main__":
    main(LitertNetwork)
