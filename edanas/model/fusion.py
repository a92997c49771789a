"""Simplification of a trained network for inference; its outputs do not change, apart from rounding.

A plugin's network may call its modules in any order, so the order in which they are defined does not show
which modules can be merged. Therefore one forward pass is recorded, with every operator of torch that it
calls.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edanas.core.errors import ConfigError

_Weighted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Modules whose weights have the output channels as first dimension. Subclasses are excluded when modules are
merged, because they may compute something else.
"""


class Pooled(nn.Module):
    """A 1x1 convolution that is computed as a matrix product on features of one pixel.

    For batches of several samples, a CPU takes a tenth to half of the time of torch's convolution. For one
    sample, torch's convolution is as fast and is used.

    Args:
        conv: The convolution to replace.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the D output channels (B, D, 1, 1) of features (B, C, 1, 1)."""
        # An exported graph is for batches of any size, so it must not depend on the size of this batch.
        if torch.compiler.is_exporting() or len(features) == 1 or features.shape[-2:] != (1, 1):
            out: torch.Tensor = self.conv(features)
            return out
        flat = F.linear(features.flatten(1), self.conv.weight.flatten(1), self.conv.bias)
        return flat[:, :, None, None]


def simplify(network: nn.Module, run: Callable[[], object]) -> None:
    """Simplify a network in place: fold BatchNorm, remove dropout, and replace pooled 1x1 convolutions.

    A BatchNorm is folded into the convolution or linear layer before it. The condition is that no other
    module reads the layer's output, and that both modules run once in a pass. A 1x1 convolution of features
    of one pixel becomes a `Pooled` module.

    Args:
        network: A network in eval mode.
        run: Function without arguments that runs all modules of `network` on two samples or more.
    """
    record = _PassRecord()
    record.record_pass(network, run)
    replaced: dict[nn.Module, nn.Module] = {}
    for norm, inputs in record.normalised.items():
        layer = record.makers.get(id(inputs))
        if layer is not None and record.uses[id(inputs)] == 1 == record.calls[norm] == record.calls[layer]:
            rest = nn.Sequential(*norm.children())
            if torch.equal(norm(inputs.clone()), rest(_normalise(norm, inputs))):
                _fold(layer, norm)
                replaced[norm] = rest if len(rest) else nn.Identity()
    replaced |= {module: nn.Identity() for module in record.calls if isinstance(module, _DropoutNd)}
    replaced |= {module: Pooled(module) for module in record.pooled}
    for module in list(network.modules()):
        for name, child in list(module._modules.items()):
            if child is not None and child in replaced:
                module._modules[name] = replaced[child]
            # If the container ran as often as the child, it calls its children in sequence, not by index.
            idle = type(module) is nn.Sequential and isinstance(module._modules[name], nn.Identity)
            if idle and child is not None and record.calls[module] == record.calls[child] > 0:
                del module._modules[name]


class _PassRecord(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A record of one forward pass, for the fusion of modules.

    It holds how often each module ran, which weighted layer made each tensor, which tensor each BatchNorm
    read, and how often each tensor was used. `pooled` holds the 1x1 convolutions that ran once, on 1x1
    features.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[nn.Module] = Counter()
        self.makers: dict[int, _Weighted] = {}
        self.normalised: dict[_BatchNorm, torch.Tensor] = {}
        self.uses: Counter[int] = Counter()
        self.pooled: set[nn.Conv2d] = set()
        # References keep recorded tensors alive, so that no later tensor has the same `id`.
        self._alive: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        leaves = tree_leaves((args, kwargs or {}))
        self.uses.update(id(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor))
        return func(*args, **(kwargs or {}))

    def record_pass(self, network: nn.Module, run: Callable[[], object]) -> None:
        """Call `run`, and record the calls of the modules and tensors of `network`."""
        handles = [module.register_forward_hook(self._record_call) for module in network.modules()]
        try:
            with torch.no_grad(), self:
                run()
        finally:
            for handle in handles:
                handle.remove()

    def _record_call(self, module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        self.calls[module] += 1
        if isinstance(module, _WEIGHTED) and type(module) in _WEIGHTED:
            self._alive.append(out)
            self.makers[id(out)] = module
            self.uses[id(out)] = 0
        if isinstance(module, _BatchNorm) and module.running_mean is not None and not module.training:
            self.normalised[module] = args[0]
        if type(module) is nn.Conv2d and module.kernel_size == (1, 1) and module.groups == 1:
            small = args[0].shape[-2:] == (1, 1) and module.padding in ((0, 0), "same", "valid")
            (self.pooled.add if small and self.calls[module] == 1 else self.pooled.discard)(module)


def _normalise(norm: _BatchNorm, inputs: torch.Tensor) -> torch.Tensor:
    """Return `inputs` after the normalisation of `norm`, without the activation that some subclasses add."""
    return F.batch_norm(
        inputs, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
    )


@torch.no_grad()
def _fold(layer: _Weighted, norm: _BatchNorm) -> None:
    """Change the weights of `layer` in place so that it includes `norm`; computed in double precision."""
    weight = layer.weight
    zeros = torch.zeros(len(weight), dtype=torch.float64, device=weight.device)
    mean, var, gain, offset, bias = (
        zeros + (default if value is None else value.double())
        for value, default in (
            (norm.running_mean, 0.0),
            (norm.running_var, 1.0),
            (norm.weight, 1.0),
            (norm.bias, 0.0),
            (layer.bias, 0.0),
        )
    )
    scale = gain / (var + norm.eps).sqrt()
    by_output = scale.view(-1, *[1] * (weight.ndim - 1))
    layer.weight = nn.Parameter((weight.double() * by_output).to(weight.dtype), requires_grad=False)
    layer.bias = nn.Parameter(((bias - mean) * scale + offset).to(weight.dtype), requires_grad=False)


def compile_parts(parts: Iterable[tuple[nn.Module, str]], backend: str, run: Callable[[int], object]) -> None:
    """Replace modules by their compiled versions, with `torch.compile`.

    Args:
        parts: For each module, its parent module and its name in the parent.
        backend: Name of a backend of `torch.compile`.
        run: Function that runs all modules on a given number of samples, so that kernels are generated now.

    Raises:
        ConfigError: `torch.compile` does not work on this machine.
    """
    # If weights are constant, torch's default backend arranges them for the machine once.
    options: dict[str, Any] | None = {"freezing": True} if backend == "inductor" else None
    parts = list(parts)
    try:
        for holder, name in parts:
            setattr(holder, name, torch.compile(getattr(holder, name), backend=backend, options=options))
        # Modules of one class share an entry of limited size in torch's cache of kernels.
        room = torch._dynamo.config.patch(recompile_limit=8 + 3 * len(parts))
        with torch.inference_mode(), room:
            # torch generates kernels for 1 sample, for a fixed batch size, then for any batch size.
            for count in (1, 2, 3):
                run(count)
    except Exception as error:
        # Compilers raise many types of errors, and some need programs that are not installed.
        cause = (str(error).strip() or "no reason given").splitlines()[0]
        raise ConfigError(
            f"compile: torch.compile does not work here: {type(error).__name__}: {cause}; "
            "freeze the network without compilation, or name another backend"
        ) from error
