"""The finished early-exit network: samples that exit early run no further stages."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts import (
    ConfidenceCriterion,
    InferenceRule,
    LabelledPrediction,
    Prediction,
    Segment,
    StagedBackbone,
)
from edanas.core.cut_backbones import cut
from edanas.core.errors import ConfigError, EdanasError, near_miss
from edanas.core.types import LABELS, Backbone, SelectionScheme, Variable
from edanas.model.backbone_with_exits import BackboneWithExits
from edanas.model.fusion import compile_parts, simplify
from edanas.model.inputs import InputForm, batches
from edanas.model.runtime import ALWAYS, NEVER, Compaction, classify, empty_prediction, join_predictions
from edanas.model.series_windows import cut_windows, merged, window_length
from edanas.model.temperature import TEMPERATURES
from edanas.model.throughput import Throughput

COMPACT = ("auto", "always", "never")


class EENN(BackboneWithExits):
    """A backbone with heads at some of its exit points, and a selection scheme.

    A call, in `eval` mode, classifies one batch and returns a `Prediction`. The method `predict` classifies
    any number of images, and is faster. The method `freeze` returns a copy for inference. The method `logits`
    is for training.

    Arguments and errors are those of `BackboneWithExits`.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> network = toy_network()  # one exit placed of two, 4 classes
        >>> network.scheme
        SelectionScheme(thresholds=(0.5, None))
        >>> label, exit_, confidence = network(torch.zeros(3, 1, 12, 12))
        >>> exit_
        tensor([2, 2, 2])
    """

    def __init__(
        self,
        backbone: StagedBackbone,
        heads: Mapping[int, nn.Module],
        scheme: SelectionScheme | Sequence[float | None],
        criterion: ConfidenceCriterion,
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
        inference: InferenceRule | None = None,
    ) -> None:
        super().__init__(backbone, heads, scheme, criterion, mean, std, classes, inference)
        self.frozen = False
        """True for a network that `freeze` returned."""
        self._paces: dict[tuple[Any, ...], Throughput] = {}

    @torch.no_grad()
    def forward(self, images: torch.Tensor | npt.NDArray[Any]) -> LabelledPrediction:
        """Classify one batch; each sample exits at the first exit whose confidence reaches its threshold.

        The next stages run only on the samples that have not exited. When all samples have exited, no further
        stage runs. The method `predict` accepts more kinds of input, and is faster on large batches.

        Args:
            images: (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1], of any size; arrays of NumPy may
                have channels last. Bytes of another size are resized to `image_size` first, as in the run of
                the network; floats are resized once, to `resolution`. The range of floats is checked only for
                images in the CPU's memory, because the check would stall an accelerator.

        Returns:
            The prediction, on the network's device. Its `classes` are the labels of the data.

        Raises:
            DataError: The images have another shape, number of channels or type of values.
            EdanasError: The network is in training mode.
        """
        batch = InputForm.of(self).batch(images, whole=True).to(self.device)
        windows, rows = cut_windows(batch, window_length(self))
        prediction = merged(self._classify(windows, ALWAYS), rows, len(batch))
        return LabelledPrediction.of(prediction, self.labels)

    @property
    def labels(self) -> tuple[str | int | float | bool, ...]:
        """The label of each class as in the data of the run; by default the name of the class."""
        labels = tuple(self.description.get(LABELS) or ())
        return labels if len(labels) == len(self.classes) else self.classes

    def predict(
        self,
        images: torch.Tensor | npt.NDArray[Any] | Iterable[torch.Tensor | npt.NDArray[Any]],
        *,
        batch_size: int = 256,
        compact: str = "auto",
    ) -> LabelledPrediction:
        """Classify any number of images, in batches.

        Predictions and exits equal those of a call for every value of `compact`. The only exception is a
        sample whose confidence equals a threshold up to rounding, because the rounding of floats depends on
        the size of the batch.

        Args:
            images: A tensor (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1]; a NumPy array with channels
                first or last; or an iterable of such tensors and arrays, which may differ in size. A series
                that is longer than those of the network's run is cut into windows, whose answers are merged;
                see `edanas.model.series_windows.merged`.
            batch_size: Largest number of images computed at once.
            compact: Treatment of the samples that have not exited, after each exit. With `always` they are
                moved together, so that the next stages run on them alone. With `never` the next stages run on
                all samples, until every sample has exited. `auto`, the default, moves samples where that is
                faster, and cuts batches into chunks where that is faster. The network's speed is measured for
                this purpose, once it has classified twice as many samples as the measurement needs.

        Returns:
            The prediction on the CPU, in the order of the images. Its `classes` are the labels of the data.

        Raises:
            DataError: An item of `images` is not an image, or not a batch of images.
            ConfigError: `batch_size` or `compact` is out of range.
            EdanasError: The network is in training mode.

        Example:
            >>> from edanas.testing.evaluations import toy_network
            >>> toy_network().predict(torch.zeros(5, 1, 12, 12), batch_size=2).label.shape
            torch.Size([5])
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size: found {batch_size}; allowed: 1 or more")
        if compact not in COMPACT:
            raise ConfigError(f"compact: found '{compact}'.{near_miss(compact, COMPACT)}")
        self._check_mode()
        parts = batches(images, InputForm.of(self), batch_size)
        joined = join_predictions([self._inferred(batch, compact) for batch in parts])
        return LabelledPrediction.of(joined, self.labels)

    def rule(self, compact: str, device: torch.device) -> Compaction:
        """Return the object that decides for `predict` which samples are moved together.

        Args:
            compact: See `predict`. For `auto` the object is a `Throughput`, which measures the network.
            device: Device on which batches are classified.
        """
        if compact != "auto":
            return ALWAYS if compact == "always" else NEVER
        key = self._scheme.placed, device, self._weight().dtype
        if key not in self._paces:
            shape = 1, len(self.mean), *self.input_size
            noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
            self._paces[key] = Throughput(self.segments(), noise.to(device))
        return self._paces[key]

    def freeze(self, *, compile: bool | str = False) -> "EENN":  # noqa: A002 - torch's word
        """Return a copy for inference, which is faster and has equal outputs up to rounding.

        The copy cannot be trained. BatchNorm is folded into the convolutions before it, dropout is removed,
        and 1x1 convolutions of pooled features become linear layers; see `edanas.model.fusion`.

        Args:
            compile: True to compile each stage and head with `torch.compile`, or the name of a backend of
                `torch.compile` to use. Compilation takes minutes and needs a C++ compiler. Confidences then
                differ by up to about 1e-4. By default nothing is compiled.

        Raises:
            ConfigError: `torch.compile` does not work on this machine.

        Example:
            >>> from edanas.testing.evaluations import toy_network
            >>> toy_network().freeze().frozen
            True
        """
        frozen = copy.deepcopy(self).eval().requires_grad_(requires_grad=False)
        frozen.frozen = True
        frozen._paces = {}
        weight = frozen._weight()
        shape = 2, len(self.mean), *self.input_size
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        sample = noise.to(weight.device, weight.dtype, memory_format=torch.channels_last)
        simplify(frozen, lambda: frozen.prepared_logits(sample))
        frozen.to(memory_format=torch.channels_last)
        if compile:
            holders = (frozen.backbone.stages, frozen.heads)
            parts = [(holder, name) for holder in holders for name, _ in holder.named_children()]
            compile_parts(
                [*parts, (frozen.backbone, "head")],
                "inductor" if compile is True else compile,
                lambda count: frozen.prepared_logits(sample[:1].repeat(count, 1, 1, 1)),
            )
        return frozen

    def train(self, mode: bool = True) -> "EENN":  # noqa: FBT001, FBT002 - torch's signature
        """Set training mode; see `torch.nn.Module.train`.

        Raises:
            EdanasError: The network is frozen.
        """
        if mode and self.frozen:
            raise EdanasError(
                "a frozen network cannot be trained; train the original network, which `freeze` "
                "leaves unchanged"
            )
        return super().train(mode)

    def cut(self, stages: int, variables: Sequence[Variable] = ()) -> "EENN":
        """Return a copy that ends at an exit point, whose exit classifier becomes the last exit.

        The copy has no later stages, heads and thresholds. Its weights take less memory accordingly.

        Args:
            stages: Number of stages of the copy; there must be a head after the last of them.
            variables: The variables of the supernet provider. The choices of later stages leave the
                description's backbone; without variables, the default, they stay.

        Raises:
            ConfigError: No exit classifier follows that number of stages.

        Example:
            >>> from edanas.testing.evaluations import toy_network
            >>> toy_network().cut(1)(torch.zeros(3, 1, 12, 12)).exit
            tensor([2, 2, 2])
        """
        if stages - 1 not in self.points:
            allowed = " or ".join(str(point + 1) for point in self.points) or "none"
            raise ConfigError(f"stages: found {stages}; allowed, by the exits with a head: {allowed}")
        network = copy.deepcopy(self)
        end = stages - 1
        network.backbone = network.backbone.cut(stages, network.heads[str(end)])
        if temperatures := network.description.get(TEMPERATURES):
            network.description[TEMPERATURES] = temperatures[: self.points.index(end) + 1]
        network.heads = nn.ModuleDict({k: head for k, head in network.heads.items() if int(k) < end})
        network.scheme = (*self._scheme.thresholds[:end], *((None,) * (self.exit_points - end)))
        network._paces = {}
        if "backbone" in network.description:
            backbone = Backbone.of(network.description["backbone"])
            network.description["backbone"] = dict(cut(backbone, variables, stages).choices)
        return network

    def segments(self) -> list[Segment]:
        """Return the segments of the network: the stages up to each placed exit, then up to the last exit.

        The first segment begins with the function that resizes and normalises images.
        """
        segments: list[Segment] = []
        # The type of the weights is read once, because finding a weight takes as long as a small layer.
        before: list[Callable[[torch.Tensor], torch.Tensor]] = [partial(self._prepare, self._weight().dtype)]
        ran = (*self._scheme.placed, self.last_point)
        for number, (exit_, stages) in enumerate(self.backbone.segments(self._scheme.placed), 1):
            last = number == len(ran)
            head = self.backbone.head if last else self.heads[str(exit_)]
            threshold = None if last else self._scheme.thresholds[exit_]
            decide = self._decision(ran[:number])
            segments.append(Segment(exit_, [*before, *stages], head, decide, threshold))
            before = []
        return segments

    @torch.inference_mode()
    def _inferred(self, batch: torch.Tensor, compact: str) -> Prediction:
        device = self.device
        rule = self.rule(compact, device)
        if isinstance(rule, Throughput):
            rule.count_samples(len(batch))
        windows, rows = cut_windows(batch, window_length(self))
        parts = [self._classify(part.to(device), rule) for part in torch.split(windows, max(1, len(batch)))]
        return merged(join_predictions(parts), rows, len(batch))

    def _classify(self, batch: torch.Tensor, rule: Compaction) -> Prediction:
        self._check_mode()
        if not len(batch):
            return empty_prediction(batch.device)
        return classify(self.segments(), batch, rule)
