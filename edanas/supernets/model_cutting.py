"""Cuts a whole model into stages, at the ends of modules that are named.

Only what runs between those modules is traced (`torch.fx`), and everything else is one step that is called as
it is, in training as in evaluation. A cut is possible where nothing but the module's output is used later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

FeatureLayout = Literal["nchw", "nhwc", "tokens"]
"""How features lie: (B, C, H, W), (B, H, W, C) or (B, N, C)."""


class CutError(Exception):
    """The model cannot be cut; the text says why."""


@dataclass(frozen=True)
class Cut:
    """A place to cut: after the module of this name, whose output has so many channels."""

    module: str
    channels: int


class TracedStage(nn.Module):
    """A part of a model between two cuts, with features (B, C, H, W) outside, whatever it has inside.

    N tokens are features of height N and width 1.
    """

    def __init__(self, traced: nn.Module, enter: FeatureLayout, leave: FeatureLayout | None) -> None:
        super().__init__()
        self.traced = traced
        self.enter = enter
        self.leave = leave

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """As that part of the model."""
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
    """The model's parts in order, and the cuts between them: those of `cuts` that are possible.

    Args:
        model: Takes one tensor. Its modules become the segments', not copies.
        cuts: Where to cut, in the order in which the modules run.
        sample: Images on the model's device, to learn layouts from.

    Raises:
        CutError: What runs between the modules cannot be traced, or no cut is possible.
    """
    root = _Root(model)
    graph = _trace(root, cuts)
    places = _places(graph, cuts)
    parts, layouts, kept = [], [], []
    features: Any = sample
    start: fx.Node | None = None
    begin = 0
    for position, cut in places:
        part = _part(root, graph, start, begin, position + 1)
        out = _run(part, features)
        layout = _layout(out, cut.channels, getattr(model, "output_fmt", "NCHW"))
        if layout is None:
            continue
        parts.append(part)
        layouts.append(layout)
        kept.append(cut)
        features, begin = out, position + 1
        start = list(graph.nodes)[position]
    if not kept:
        raise CutError("no module's output stands between two stages")
    parts.append(_part(root, graph, start, begin, None))
    _check_separate(parts)
    ends: list[FeatureLayout | None] = [*layouts, None]
    enters: list[FeatureLayout] = ["nchw", *layouts]
    return [TracedStage(*each) for each in zip(parts, enters, ends, strict=True)], kept


class _Root(nn.Module):
    """Calls a model with images alone, so that its other arguments have their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> Any:
        return self.model(images)


class _Tracer(fx.Tracer):
    """Looks into the modules that hold a cut, and into no other."""

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


def _places(graph: fx.Graph, cuts: Sequence[Cut]) -> Iterator[tuple[int, Cut]]:
    """Positions after which nothing else than that node's output is used."""
    nodes = list(graph.nodes)
    at = {node: position for position, node in enumerate(nodes)}
    last_use = [max((at[user] for user in node.users), default=-1) for node in nodes]
    by_module = {str(node.target): at[node] for node in nodes if node.op == "call_module"}
    named = [(by_module.get(f"model.{cut.module}"), cut) for cut in cuts]
    found = [(position, cut) for position, cut in named if position is not None]
    for position, cut in sorted(found, key=lambda each: each[0]):
        used = [n for n in range(position + 1) if last_use[n] > position and nodes[n].op != "get_attr"]
        if used == [position]:
            yield position, cut


def _part(
    model: nn.Module, graph: fx.Graph, start: fx.Node | None, begin: int, end: int | None
) -> fx.GraphModule:
    """The nodes in [begin, end) as a module that takes the output of `start`, or the images."""
    nodes = list(graph.nodes)
    part = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    first = next(node for node in nodes if node.op == "placeholder")
    copies[start or first] = part.placeholder("features")

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:  # a parameter that was fetched before the cut
            copies[node] = part.node_copy(node, copied)
        return copies[node]

    chosen = nodes[begin:end]
    for node in chosen:
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


def _layout(out: Any, channels: int, usual: Any) -> FeatureLayout | None:
    """How features lie, or `None` where they are none."""
    if not isinstance(out, torch.Tensor) or out.ndim not in (3, 4):
        return None
    if out.ndim == 3:
        return "tokens" if out.shape[2] == channels else None
    first, last = out.shape[1] == channels, out.shape[3] == channels
    if last and (not first or "NHWC" in str(usual)):
        return "nhwc"
    return "nchw" if first else None


def _check_separate(parts: Sequence[nn.Module]) -> None:
    """A parameter that two stages use could not be trained or stored with either.

    Raises:
        CutError: There is one.
    """
    owners: dict[int, int] = {}
    for index, part in enumerate(parts):
        for name, tensor in part.named_parameters():
            if owners.setdefault(id(tensor), index) != index:
                raise CutError(f"two stages share the parameter '{name}'")
