"""Cutting of a model into stages, at the outputs of named modules.

Only modules that contain a cut are traced with `torch.fx`. All other modules become part of a stage
unchanged, so they keep their behaviour in training and in eval mode. A cut after a module is possible if all
later code reads only the output of this module, and no earlier output.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

FeatureLayout = Literal["nchw", "nhwc", "tokens"]
"""Layout of features: `nchw` (B, C, H, W), `nhwc` (B, H, W, C), or `tokens` (B, tokens, C)."""


class CutError(Exception):
    """The model cannot be cut; the message gives the reason."""


@dataclass(frozen=True)
class Cut:
    """A possible end of a stage.

    Args:
        module: Name in the model of the module whose output ends the stage.
        channels: Number of channels of the module's output.
    """

    module: str
    channels: int


class TracedStage(nn.Module):
    """A stage of a model between two cuts.

    Input and output are features (B, C, H, W). They are converted from and to the layout of the model. Tokens
    become features of width 1, whose height is the number of tokens.

    Args:
        traced: The part of the model that the stage runs.
        enter: Layout of the features that `traced` reads.
        leave: Layout of the features that `traced` returns; `None` for the last stage, which returns logits.
    """

    def __init__(self, traced: nn.Module, enter: FeatureLayout, leave: FeatureLayout | None) -> None:
        super().__init__()
        self.traced = traced
        self.enter = enter
        self.leave = leave

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the output of the stage for features (B, C, H, W)."""
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
    """Cut a model into stages.

    Args:
        model: A model that reads images. The stages hold the modules of the model, not copies.
        cuts: The cuts to make, in any order. Impossible cuts are skipped.
        sample: Images (B, C, H, W) on the device of the model. A run on the images determines the layouts of
            features.

    Returns:
        The stages in order, and the cuts between the stages.

    Raises:
        CutError: The model cannot be traced, a stage does not run, no cut is possible, or two stages share a
            parameter.

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
        raise CutError("no module's output is the only input of all later code")
    parts.append(_part(root, graph, start, begin, None))
    _check_separate(parts)
    ends: list[FeatureLayout | None] = [*layouts, None]
    enters: list[FeatureLayout] = ["nchw", *layouts]
    return [TracedStage(*each) for each in zip(parts, enters, ends, strict=True)], possible


class _Root(nn.Module):
    """Calls a model with images as the only argument; all other arguments have their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> Any:
        return self.model(images)


class _Tracer(fx.Tracer):
    """Tracer that traces into the modules that contain a cut, and records every other module as one call."""

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
        raise CutError(f"the forward pass of the model cannot be traced: {error}") from error
    finally:
        root.train(training)


def _cut_positions(graph: fx.Graph, cuts: Sequence[Cut]) -> Iterator[tuple[int, Cut]]:
    """Yield the possible cuts, each with its position in the graph, in the order of the graph."""
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
    """Return the nodes at [begin, end) as a module.

    Its input is the output of the node `start`, or the images if `start` is `None`.
    """
    nodes = list(graph.nodes)
    part = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    first = next(node for node in nodes if node.op == "placeholder")
    copies[start or first] = part.placeholder("features")

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:  # a parameter that a node before the cut reads
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
        raise CutError(
            f"a stage does not run on an input of shape {tuple(features.shape)}: {error}"
        ) from error
    finally:
        part.train(training)


def _layout(out: Any, channels: int, output_format: Any) -> FeatureLayout | None:
    """Return the layout of a module's output, or `None` if the output has not `channels` channels."""
    if not isinstance(out, torch.Tensor) or out.ndim not in (3, 4):
        return None
    if out.ndim == 3:
        return "tokens" if out.shape[2] == channels else None
    first, last = out.shape[1] == channels, out.shape[3] == channels
    if last and (not first or "NHWC" in str(output_format)):
        return "nhwc"
    return "nchw" if first else None


def _check_separate(parts: Sequence[nn.Module]) -> None:
    """Check that no two stages share a parameter, since stages are trained and stored separately.

    Raises:
        CutError: Two stages share a parameter.
    """
    owners: dict[int, int] = {}
    for index, part in enumerate(parts):
        for name, tensor in part.named_parameters():
            if owners.setdefault(id(tensor), index) != index:
                raise CutError(f"two stages share the parameter '{name}'")
