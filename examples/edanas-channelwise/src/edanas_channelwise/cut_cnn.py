"""A given CNN, cut into groups of channels: the transformation of S2DNAS."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, combinations, product
from typing import Any

import torch
from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.cut_backbones import STAGES
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.types import Backbone, Task, Variable
from edanas.supernets.fixed_network import FixedProvider, FixedSupernet
from torch import fx, nn
from torch.func import functional_call
from torch.nn import functional as F

from edanas_channelwise import ColumnHead, packed

CHANNELWISE = (
    *(nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Dropout, nn.Identity),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
"""Modules that compute each channel from the same channel."""

_ADDS = (operator.add, operator.iadd, torch.add)
_ACTIVATIONS: dict[Any, Callable[[], nn.Module]] = {
    F.relu: nn.ReLU,
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
}
_ENDS = (nn.Flatten, nn.Linear)


@dataclass(frozen=True)
class Operation:
    """One operation of the CNN.

    Args:
        name: Name of the operation.
        inputs: Names of the operations whose outputs it reads; `image` for the image.
        module: Name in the CNN of its module; empty for a sum.
        channels: Number of its output channels.
        depthwise: True for a convolution that computes each channel from the same channel.
    """

    name: str
    inputs: tuple[str, ...]
    module: str
    channels: int
    depthwise: bool = False


class Cnn(nn.Module):
    """A CNN as a list of operations up to the pooling before its classifier.

    Args:
        network: The CNN: images -> logits. It consists of convolutions, `CHANNELWISE` modules and sums, and
            of a classifier, which begins with a linear layer or with flattening.
        in_channels: Number of channels of the images.

    Raises:
        ConfigError: The CNN has another operation before its classifier.
    """

    def __init__(self, network: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.network = network
        self.in_channels = in_channels
        self.activations = nn.ModuleDict()
        self.operations: list[Operation] = []
        names: dict[fx.Node, str] = {}
        channels = {"image": in_channels}
        for node in fx.symbolic_trace(network).graph.nodes:
            if node.op == "placeholder":
                names[node] = "image"
                continue
            operation = self._operation(node, names, channels)
            if operation is None:
                break
            names[node] = operation.name
            channels[operation.name] = operation.channels
            self.operations.append(operation)
        self.convolved = [
            name
            for name in channels
            if name != "image" and any(name in each.inputs for each in self.operations if self.mixes(each))
        ]
        """Names of the operations whose outputs a convolution reads across channels."""

    def module(self, name: str) -> nn.Module:
        """Return a module by the name in `Operation.module`."""
        return self.get_submodule(name)

    def mixes(self, operation: Operation) -> bool:
        """Return whether an operation is a convolution that reads all channels of its input."""
        is_convolution = bool(operation.module) and isinstance(self.module(operation.module), nn.Conv2d)
        return is_convolution and not operation.depthwise

    def _operation(
        self, node: fx.Node, names: dict[fx.Node, str], channels: dict[str, int]
    ) -> Operation | None:
        """Return the operation of a node; `None` if the classifier begins there."""
        inputs = tuple(names[each] for each in node.all_input_nodes)
        if node.op == "call_module":
            module = self.network.get_submodule(str(node.target))
            path = f"network.{node.target}"
            if isinstance(module, _ENDS):
                return None
            if isinstance(module, nn.Conv2d):
                depthwise = module.groups == module.in_channels == module.out_channels > 1
                if depthwise or module.groups == 1:
                    return Operation(node.name, inputs, path, module.out_channels, depthwise)
            elif isinstance(module, CHANNELWISE):
                return Operation(node.name, inputs, path, channels[inputs[0]])
        elif node.op in ("call_function", "call_method"):
            if node.target in _ADDS and len(inputs) == 2:
                return Operation(node.name, inputs, "", channels[inputs[0]])
            if node.target in _ACTIVATIONS:
                self.activations[node.name] = _ACTIVATIONS[node.target]()
                return Operation(node.name, inputs, f"activations.{node.name}", channels[inputs[0]])
            if node.target in (torch.flatten, "flatten", "mean", torch.mean):
                return None
        raise ConfigError(
            f"supernet.of: the CNN has the operation '{node.name}' ({node.op} {node.target}) before its "
            "classifier; allowed: convolutions without groups, depthwise ones, operations on each channel, sums"
        )


@dataclass(frozen=True)
class Cut:
    """The groups of a backbone.

    Args:
        side: Height and width of the images, in pixels.
        shares: Share of the channels in each group together with all earlier groups, rising to 1.
    """

    side: int
    shares: tuple[float, ...]

    def bounds(self, channels: int, group: int) -> tuple[int, int]:
        """Return the first channel of a group, and the number of channels up to its end.

        Each group has one channel or more.
        """
        ends, groups = [0], len(self.shares)
        for at, share in enumerate(self.shares):
            end = max(ends[-1] + 1, round(share * channels))
            ends.append(min(end, channels - (groups - 1 - at)))
        return ends[group], ends[group + 1]


class CutStage(nn.Module):
    """One group of channels of every operation, as a stage; see `edanas_channelwise.Group` for its output.

    Args:
        cnn: The CNN.
        cut: The groups.
        group: Number of the group, from 0.
        sides: Height and width of the output of each operation, by name.
    """

    def __init__(self, cnn: Cnn, cut: Cut, group: int, sides: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.cut, self.group, self.sides = cut, group, sides
        self.in_channels = cnn.in_channels
        self.operations, self.convolved = tuple(cnn.operations), tuple(cnn.convolved)
        self.mixing = tuple(each.name for each in cnn.operations if cnn.mixes(each))
        self.parts = nn.ModuleDict(
            {each.name: self._part(cnn.module(each.module), each) for each in cnn.operations if each.module}
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Images, or the output of the previous group -> output (B, P, R + 1, 1) for the next group."""
        image, earlier, pooled = self._unpacked(features)
        values, whole = {"image": image}, {"image": image}
        for each in self.operations:
            source = whole if each.name in self.mixing else values
            inputs = [source[name] for name in each.inputs]
            part = self.parts[each.name] if each.module else None
            values[each.name] = torch.add(*inputs) if part is None else part(inputs[0])
            if each.name in self.convolved:
                whole[each.name] = torch.cat([*earlier.get(each.name, ()), values[each.name]], dim=1)
        column = torch.cat([*pooled, values[self.operations[-1].name].mean((2, 3))], dim=1)
        return packed([image, *(whole[name] for name in self.convolved)], column)

    def _part(self, module: nn.Module, operation: Operation) -> nn.Module:
        """Return the module of an operation for the channels of this group."""
        first, end = self.cut.bounds(operation.channels, self.group)
        if isinstance(module, nn.BatchNorm2d):
            return nn.BatchNorm2d(end - first, module.eps, module.momentum)
        if not isinstance(module, nn.Conv2d):
            return module
        read = module.in_channels
        if operation.depthwise:
            read = end - first
        elif operation.inputs[0] != "image":
            read = self.cut.bounds(read, self.group)[1]
        return nn.Conv2d(
            *(read, end - first, module.kernel_size, module.stride, module.padding, module.dilation),
            groups=read if operation.depthwise else 1,
            bias=module.bias is not None,
        )

    def _unpacked(
        self, features: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, tuple[torch.Tensor]], tuple[torch.Tensor, ...]]:
        """Return the image, the channels of earlier groups by operation, and their pooled last channels."""
        if self.group == 0:
            return features, {}, ()
        channels = {each.name: each.channels for each in self.operations}
        shapes = [(self.in_channels, self.cut.side, self.cut.side)]
        for name in self.convolved:
            shapes.append((self.cut.bounds(channels[name], self.group)[0], *self.sides[name]))
        sizes = [a * b * c for a, b, c in shapes]
        flat = features[:, :, :-1].flatten(1)[:, : sum(sizes)]
        parts = [part.reshape(-1, *shape) for part, shape in zip(flat.split(sizes, 1), shapes, strict=True)]
        maps = {name: (part,) for name, part in zip(self.convolved, parts[1:], strict=True)}
        return parts[0], maps, (features[:, :, -1].flatten(1),)


class CutCnnProvider(SupernetProvider):
    """A given CNN, cut into groups of channels; a search finds where.

    S2DNAS (Yuan and others, ECCV 2020, arXiv:1911.07033) turns a CNN into a multi-stage network: the channels
    of every layer are split into groups, and a group reads its own channels and those of earlier groups. The
    weights are those of the CNN without the connections from later to earlier groups. All layers are split
    at the same shares, which are searched. Each exit averages the channels of the last layer and has a linear
    layer of its own, in place of the CNN's classifier. S2DNAS searches by reinforcement learning; here any
    strategy does.

    Args:
        of: The provider of the CNN, which must have a single network, e.g. `vgg13`, `resnet18` or `module`.
        groups: Number of groups, 2 or more; by default 3.
        shares: The choices of the share of channels in the groups before the last group, by default 0.25, 0.5
            and 0.75. Each group gets a larger share than the group before.

    Raises:
        ConfigError: The CNN cannot be cut, or an option is out of range.
    """

    passes = "columns"

    def __init__(
        self, of: SupernetProvider, groups: int = 3, shares: tuple[float, ...] = (0.25, 0.5, 0.75)
    ) -> None:
        if not isinstance(of, FixedProvider):
            raise ConfigError(
                f"supernet.of: found a {type(of).__name__}, which has many backbones; allowed: a provider "
                "of a single network, such as vgg13, resnet18 or module"
            )
        if not 2 <= groups <= len(set(shares)) + 1:
            raise ConfigError(f"supernet.groups: found {groups}; allowed: 2 to {len(set(shares)) + 1}")
        if not all(0 < share < 1 for share in shares):
            raise ConfigError(f"supernet.shares: found {list(shares)}; allowed: numbers above 0 and below 1")
        self.of, self.groups, self.shares = of, groups, tuple(sorted(set(shares)))
        self.exit_points = groups - 1
        self._sides: dict[tuple[int, int], dict[str, tuple[int, int]]] = {}
        self._channels = sorted({each.channels for each in self.skeleton(Task(3, 2)).operations})
        if self._channels[0] < groups:
            raise ConfigError(
                f"supernet.groups: found {groups}, but a layer of the CNN has {self._channels[0]} channels; allowed: at "
                "most one group for each channel"
            )

    def variables(self) -> tuple[Variable, ...]:
        """Return `resolution`, and `group<n>.share` for each group but the last, n from 1.

        Group n of G chooses among the shares n to S - G + n + 1 of S, so that the shares rise.
        """
        spare = len(self.shares) - self.exit_points
        own = [self.shares[at : at + spare + 1] for at in range(self.exit_points)]
        return (
            *self.of.variables(),
            *(Variable(f"group{at + 1}.share", choices) for at, choices in enumerate(own)),
        )

    def cut(self, backbone: Backbone) -> Cut:
        """Return the groups of a backbone; a share that does not rise is raised to the next larger one."""
        chosen = [self.shares.index(backbone[f"group{at}.share"]) for at in range(1, self.groups)]
        rising = accumulate(chosen, lambda before, here: max(before + 1, here))
        return Cut(int(backbone["resolution"]), (*(self.shares[at] for at in rising), 1.0))

    def canonical(self, backbone: Backbone) -> Backbone:
        """Return the backbone with the smallest rising shares that give the same groups in every operation.

        A cut backbone does not run its last groups, whose shares do not matter; see
        `SupernetProvider.canonical`.
        """
        running = int(backbone[STAGES]) if STAGES in backbone else self.groups
        groups = self._bounds(self.cut(backbone), running)
        smallest = next(
            shares
            for shares in combinations(self.shares, self.exit_points)
            if self._bounds(Cut(0, (*shares, 1.0)), running) == groups
        )
        named = {f"group{at}.share": share for at, share in enumerate(smallest, 1)}
        return Backbone(tuple((name, named.get(name, choice)) for name, choice in backbone.choices))

    def _bounds(self, cut: Cut, groups: int) -> list[tuple[int, int]]:
        """Return the bounds of the first groups in each number of channels that an operation has."""
        return [cut.bounds(channels, group) for channels in self._channels for group in range(groups)]

    def skeleton(self, task: Task) -> Cnn:
        """Return the CNN without weights."""
        stages, head = self.of.skeleton(task)
        return Cnn(nn.Sequential(*stages, head), task.in_channels)

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return CutCnnSupernet(self, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`."""
        return CutCnnSupernet(self, task).extract(backbone)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`."""
        channels = self.skeleton(Task(3, 2)).operations[-1].channels
        names = [each.name for each in self.variables() if each.name.endswith(".share")]
        choices = [each.choices for each in self.variables() if each.name in names]
        numbers: list[set[int]] = [set() for _ in names]
        for chosen in product(*choices):
            cut = self.cut(Backbone(tuple(zip(("resolution", *names), (0, *chosen), strict=True))))
            for at, known in enumerate(numbers):
                known.add(cut.bounds(channels, at)[1])
        return tuple(tuple(sorted(each)) for each in numbers)

    def sides(self, cnn: Cnn, side: int) -> dict[str, tuple[int, int]]:
        """Return height and width of the output of each operation at a resolution."""
        key = side, cnn.in_channels
        if key not in self._sides:
            values = {"image": torch.zeros(1, cnn.in_channels, side, side, device="meta")}
            bare = self.skeleton(Task(cnn.in_channels, 2)).eval()
            for each in bare.operations:
                inputs = [values[name] for name in each.inputs]
                values[each.name] = bare.module(each.module)(inputs[0]) if each.module else torch.add(*inputs)
            self._sides[key] = {name: tuple(value.shape[2:]) for name, value in values.items()}
        return self._sides[key]

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load the weights of the CNN with the provider `of`; the linear layers of the exits stay fresh.

        Raises:
            WeightsError: `supernet` is not of this provider, or the weights cannot be loaded.
        """
        if not isinstance(supernet, CutCnnSupernet):
            raise WeightsError(f"weights '{weights}': {type(supernet).__name__} is not a cut CNN")
        *stages, head = supernet.cnn.network.children()
        return self.of.load_weights(FixedSupernet((stages, head), self.of.side, supernet.task), weights)


class CutCnnSupernet(Supernet):
    """The CNN whose channels are cut; all backbones share its weights.

    Args:
        provider: The provider of the backbones.
        task: The numbers of channels and classes.
    """

    def __init__(self, provider: CutCnnProvider, task: Task) -> None:
        super().__init__()
        self.provider, self.task = provider, task
        stages, head = provider.of.parts(task)
        self.cnn = Cnn(nn.Sequential(*stages, head), task.in_channels)
        self.head = ColumnHead(self.cnn.operations[-1].channels, task.num_classes)

    def view(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.view`."""
        cut, plain = self._plain(backbone)
        stages = [_View(self.cnn, stage, cut, group) for group, stage in enumerate(plain)]
        return StagedBackbone(stages, _Shared(self.head), cut.side).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.extract`."""
        cut, plain = self._plain(backbone)
        for group, stage in enumerate(plain):
            copies = {name: each.detach().clone() for name, each in slices(self.cnn, cut, group).items()}
            stage.load_state_dict(copies, assign=True)
        head = ColumnHead(self.cnn.operations[-1].channels, self.task.num_classes)
        head.load_state_dict(self.head.state_dict())
        device = next(self.parameters()).device
        return StagedBackbone(plain, head, cut.side).to(device).train(self.training)

    def _plain(self, backbone: Backbone) -> tuple[Cut, list[CutStage]]:
        """Return the groups of a backbone, and its stages without values of weights."""
        cut = self.provider.cut(backbone)
        sides = self.provider.sides(self.cnn, cut.side)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return cut, [CutStage(self.cnn, cut, group, sides) for group in range(self.provider.groups)]


class _Shared(nn.Module):
    """Runs a shared module in the mode of this wrapper."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        self.module.train(self.training)
        out: torch.Tensor = self.module(features)
        return out


class _View(nn.Module):
    """A stage that computes with slices of the CNN's tensors."""

    def __init__(self, cnn: Cnn, plain: CutStage, cut: Cut, group: int) -> None:
        super().__init__()
        self.cnn = cnn
        self._cut, self._group = cut, group
        # In a tuple, torch does not register the module, whose own tensors have no values.
        self._plain = (plain,)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        (plain,) = self._plain
        plain.train(self.training)
        own = slices(self.cnn, self._cut, self._group)
        out: torch.Tensor = functional_call(plain, own, (features,))
        return out


def slices(cnn: Cnn, cut: Cut, group: int) -> dict[str, torch.Tensor]:
    """Return the tensors of a group's stage by name, as slices of the CNN's tensors."""
    tensors: dict[str, torch.Tensor] = {}
    for each in cnn.operations:
        if not each.module:
            continue
        module = cnn.module(each.module)
        first, end = cut.bounds(each.channels, group)
        named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for name, tensor in named.items():
            part = tensor if tensor.ndim == 0 else tensor[first:end]
            if tensor.ndim == 4 and not each.depthwise and each.inputs[0] != "image":
                part = part[:, : cut.bounds(tensor.shape[1], group)[1]]
            tensors[f"parts.{each.name}.{name}"] = part
    return tensors
