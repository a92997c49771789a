"""Cutting of a model into stages, at the outputs of named modules.

Only the code between those modules is traced with `torch.fx`. All other modules are called as they are, in
training and evaluation. A cut is possible where later code uses nothing but the module's output.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

FeatureLayout = Literal["nchw", "nhwc", "tokens"]
"""The layout of features: (B, C, H, W), (B, H, W, C) or (B, N, C)."""


class CutError(Exception):
    """The model cannot be cut; the message has the reason."""


@dataclass(frozen=True)
class Cut:
    """A place to cut.

    Args:
        module: Name of the module after which to cut.
        channels: Channels of its output.
    """

    module: str
    channels: int


class TracedStage(nn.Module):
    """A part of a model between two cuts; its input and output are (B, C, H, W), whatever the model uses.

    N tokens become features of height N and width 1.
    """

    def __init__(self, traced: nn.Module, enter: FeatureLayout, leave: FeatureLayout | None) -> None:
        super().__init__()
        self.traced = traced
        self.enter = enter
        self.leave = leave

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Run the part of the model."""
        if self.enter == "nhwc":
            features = features.permute(0, 2, 3, 1)
        elif self.enter == "tokens":
            features = features.squeeze(3).transpose(1, 2)
        out: torch.Tensor = self.traced(features)
        if self.leave == "nhwc":
            return out.permute(0, 3, 1, 2)
        if self.leave == "tokens":
            return out.transpose(1, 2).unsqueeze(3)
        return out


def cut_model(
    model: nn.Module, cuts: Sequence[Cut], sample: torch.Tensor
) -> tuple[list[TracedStage], list[Cut]]:
    """Return the model's stages in order, and the cuts between them: those of `cuts` that are possible.

    Args:
        model: Takes one tensor. The stages hold its modules, not copies.
        cuts: Places to cut, in the order in which the modules run.
        sample: Images on the model's device, from which layouts are determined.

    Raises:
        CutError: The code between the modules cannot be traced, or no cut is possible.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3))
        >>> stages, cuts = cut_model(model, [Cut("0", channels=4)], torch.zeros(2, 1, 8, 8))
        >>> len(stages), stages[0](torch.zeros(2, 1, 8, 8)).shape
        (2, torch.Size([2, 4, 6, 6]))
    """
    root = _Root(model)
    graph = _trace(root, cuts)
    positions = _cut_positions(graph, cuts)
    parts, layouts, possible = [], [], []
    features: Any = sample
    start: fx.Node | None = None
    begin = 0
    for position, cut in positions:
        part = _part(root, graph, start, begin, position + 1)
        out = _run(part, features)
        layout = _layout(out, cut.channels, getattr(model, "output_fmt", "NCHW"))
        if layout is None:
            continue
        parts.append(part)
        layouts.append(layout)
        possible.append(cut)
        features, begin = out, position + 1
        start = list(graph.nodes)[position]
    if not possible:
        raise CutError("no module's output stands between two stages")
    parts.append(_part(root, graph, start, begin, None))
    _check_separate(parts)
    ends: list[FeatureLayout | None] = [*layouts, None]
    enters: list[FeatureLayout] = ["nchw", *layouts]
    return [TracedStage(*each) for each in zip(parts, enters, ends, strict=True)], possible


class _Root(nn.Module):
    """Calls a model with images only, so that its other arguments have their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> Any:
        return self.model(images)


class _Tracer(fx.Tracer):
    """Traces only the modules that contain a cut."""

    def __init__(self, opened: frozenset[str]) -> None:
        super().__init__()
        self.opened = opened

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self.opened


def _trace(root: _Root, cuts: Sequence[Cut]) -> fx.Graph:
    names = [f"model.{cut.module}".split(".") for cut in cuts]
    opened = frozenset(".".join(name[:depth]) for name in names for depth in range(1, len(name)))
    training = root.model.training
    try:
        return _Tracer(opened).trace(root.eval())
    except Exception as error:
        raise CutError(f"its forward pass cannot be traced: {error}") from error
    finally:
        root.train(training)


def _cut_positions(graph: fx.Graph, cuts: Sequence[Cut]) -> Iterator[tuple[int, Cut]]:
    """Yield the positions of nodes after which later nodes use only their output."""
    nodes = list(graph.nodes)
    position_of = {node: position for position, node in enumerate(nodes)}
    last_use = [max((position_of[user] for user in node.users), default=-1) for node in nodes]
    by_module = {str(node.target): position_of[node] for node in nodes if node.op == "call_module"}
    candidates = [(by_module.get(f"model.{cut.module}"), cut) for cut in cuts]
    located = [(position, cut) for position, cut in candidates if position is not None]
    for position, cut in sorted(located, key=lambda pair: pair[0]):
        used_later = [n for n in range(position + 1) if last_use[n] > position and nodes[n].op != "get_attr"]
        if used_later == [position]:
            yield position, cut


def _part(
    model: nn.Module, graph: fx.Graph, start: fx.Node | None, begin: int, end: int | None
) -> fx.GraphModule:
    """Return the nodes in [begin, end) as a module whose input is the output of `start`, or the images."""
    nodes = list(graph.nodes)
    part = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    first = next(node for node in nodes if node.op == "placeholder")
    copies[start or first] = part.placeholder("features")

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:  # a parameter that was read before the cut
            copies[node] = part.node_copy(node, copied)
        return copies[node]

    for node in nodes[begin:end]:
        if node.op == "output":
            part.output(fx.map_arg(node.args[0], copied))
        elif node.op not in ("placeholder", "get_attr") and node not in copies:
            copies[node] = part.node_copy(node, copied)
    if end is not None:
        part.output(copies[nodes[end - 1]])
    return fx.GraphModule(model, part)


def _run(part: nn.Module, features: Any) -> Any:
    training = part.training
    try:
        with torch.no_grad():
            return part.eval()(features)
    except Exception as error:
        raise CutError(f"a stage does not run on images of {tuple(features.shape)}: {error}") from error
    finally:
        part.train(training)


def _layout(out: Any, channels: int, output_format: Any) -> FeatureLayout | None:
    """Return the layout of features, or `None` if the output is no features."""
    if not isinstance(out, torch.Tensor) or out.ndim not in (3, 4):
        return None
    if out.ndim == 3:
        return "tokens" if out.shape[2] == channels else None
    first, last = out.shape[1] == channels, out.shape[3] == channels
    if last and (not first or "NHWC" in str(output_format)):
        return "nhwc"
    return "nchw" if first else None


def _check_separate(parts: Sequence[nn.Module]) -> None:
    """Check that no two stages share a parameter, which could be trained and stored with only one of them.

    Raises:
        CutError: Two stages share a parameter.
    """
    owners: dict[int, int] = {}
    for index, part in enumerate(parts):
        for name, tensor in part.named_parameters():
            if owners.setdefault(id(tensor), index) != index:
                raise CutError(f"two stages share the parameter '{name}'")
