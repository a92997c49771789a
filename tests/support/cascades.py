"""A trained cascade of three toy networks, and the multiply-adds that really run."""

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, ExitPoint, Task
from edanas.exits.classifiers import CarriedLogits
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.supernets.cascade import CascadeProvider
from edanas.testing.toy_networks import ToyProvider, toy_images

TASK = Task(in_channels=1, num_classes=4)
PROVIDER = CascadeProvider(ToyProvider(resolutions=(12,)), networks=3)
SAMPLES = toy_images(96, seed=0)


def backbone() -> Backbone:
    return SearchSpace.of(PROVIDER, (0.5, None)).largest()


def cascade(scheme: Sequence[float | None], heads: Sequence[int] | None = None) -> EENN:
    """Return the trained cascade; by default, it has a head where `scheme` has a threshold."""
    placed = [at for at, threshold in enumerate(scheme) if threshold is not None]
    whole = copy.deepcopy(_trained())
    chosen = {at: whole.heads[str(at)] for at in (placed if heads is None else heads)}
    return EENN(whole.backbone, chosen, scheme, ScoreMargin(), (0.4,), (0.25,), SAMPLES.classes).eval()


@functools.cache
def _trained() -> EENN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shape = ExitPoint(0, 1, 13, 12)
        heads = {at: CarriedLogits().build(shape, TASK.num_classes) for at in (0, 1)}
        staged = PROVIDER.build(backbone(), TASK)
        network = EENN(staged, heads, (0.5, 0.5), ScoreMargin(), (0.4,), (0.25,), SAMPLES.classes).train()
        weights = list(network.parameters())
        for _ in range(20):
            loss = sum(F.cross_entropy(logits, SAMPLES.labels) for logits in network.logits(SAMPLES.images))
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight -= gradient
    return network.eval()


@contextmanager
def counted_layers(network: nn.Module) -> Iterator[list[int]]:
    """Yield a list of the multiply-adds for one sample of each convolution and linear layer that runs."""
    ran: list[int] = []

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        ran.append(layer.weight[0].numel() * output[0].numel())

    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    hooks = [each.register_forward_hook(count) for each in layers]
    yield ran
    for hook in hooks:
        hook.remove()
