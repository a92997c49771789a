"""The conformance suite for exit classifiers."""

import copy

import torch
from torch import nn

from edanas.core.contracts import ExitClassifier
from edanas.core.errors import type_of
from edanas.core.types import ExitPoint
from edanas.testing.conformance import ConformanceError, require
from edanas.testing.devices import moved, other_device

_SIZES = ((8, 8), (1, 1), (2, 2), (7, 5), (1, 6), (16, 16))


def check_classifier(classifier: ExitClassifier) -> None:
    """Check an exit classifier against its contract.

    The suite covers the shapes and the device of logits, single samples, gradients, and copies of heads. At
    the end it restores torch's global generator.

    Raises:
        ConformanceError: The exit classifier breaks its contract.

    Example:
        >>> class PoolLinear(nn.Module):
        ...     def __init__(self, channels, classes):
        ...         super().__init__()
        ...         self.linear = nn.Linear(channels, classes)
        ...     def forward(self, features):
        ...         return self.linear(features.mean((2, 3)))
        >>> class MyClassifier(ExitClassifier):
        ...     def build(self, point, num_classes):
        ...         return PoolLinear(point.channels, num_classes)
        >>> check_classifier(MyClassifier())
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for channels, classes in ((3, 2), (16, 10), (24, 1)):
            head = _build(classifier, channels, classes)
            _check_sizes(classifier, head, channels, classes)
            _check_eval(classifier, head, channels)
            _check_gradients(classifier, head, channels, classes)
            _check_device(classifier, head, channels)
        _check_independent_heads(classifier)


def _build(classifier: ExitClassifier, channels: int, classes: int) -> nn.Module:
    head = classifier.build(ExitPoint(index=1, channels=channels, height=8, width=8), classes)
    require(classifier, isinstance(head, nn.Module), f"builds {type_of(head)}, not an nn.Module")
    return head


def _run(classifier: ExitClassifier, head: nn.Module, features: torch.Tensor) -> torch.Tensor:
    try:
        logits = head(features)
    except Exception as error:
        raise ConformanceError(
            f"{type(classifier).__name__}: the head raises {type(error).__name__} on features "
            f"{tuple(features.shape)}: {error}"
        ) from error
    require(
        classifier,
        isinstance(logits, torch.Tensor),
        f"the head returns {type_of(logits)}, not a tensor",
    )
    output: torch.Tensor = logits
    return output


def _check_sizes(classifier: ExitClassifier, head: nn.Module, channels: int, classes: int) -> None:
    """Check that a head in eval mode accepts features of any height and width, and any batch size.

    Backbones of all resolutions share a head.
    """
    head.eval()
    for height, width in _SIZES:
        for batch in (1, 3):
            features = torch.randn(batch, channels, height, width)
            logits = _run(classifier, head, features)
            require(
                classifier,
                logits.shape == (batch, classes),
                f"the head turns features {tuple(features.shape)} into {tuple(logits.shape)}; "
                f"allowed: {(batch, classes)}",
            )
            require(
                classifier,
                logits.isfinite().all(),
                f"logits for features {tuple(features.shape)} are not finite",
            )


@torch.no_grad()
def _check_eval(classifier: ExitClassifier, head: nn.Module, channels: int) -> None:
    """Check that a sample's logits in eval mode depend on the sample alone."""
    head.eval()
    features = torch.randn(5, channels, 6, 6)
    before = features.clone()
    together = _run(classifier, head, features)
    require(classifier, torch.equal(before, features), "the head changes its input")
    require(
        classifier,
        torch.equal(together, _run(classifier, head, features)),
        "the head in eval mode gives two results for the same features",
    )
    alone = torch.cat([_run(classifier, head, sample[None]) for sample in features])
    require(
        classifier,
        torch.allclose(together, alone, atol=1e-4, rtol=1e-4),
        "the head in eval mode gives other logits for a sample alone than in a batch",
    )
    last = _run(classifier, head, features.contiguous(memory_format=torch.channels_last))
    require(
        classifier,
        torch.allclose(together, last, atol=1e-4, rtol=1e-4),
        "the head gives other logits for the same features in channels-last memory",
    )
    copied = copy.deepcopy(head)
    require(
        classifier,
        torch.equal(together, _run(classifier, copied, features)),
        "a deep copy of the head gives other logits",
    )


def _check_gradients(classifier: ExitClassifier, head: nn.Module, channels: int, classes: int) -> None:
    """Check that gradients reach every parameter of the head and, through the head, the backbone."""
    head.train()
    head.zero_grad(set_to_none=True)
    features = torch.randn(8, channels, 6, 6, requires_grad=True)
    # A weighted sum, since a plain one is constant where the head normalises its logits.
    logits = _run(classifier, head, features)
    torch.autograd.backward((logits * torch.randn(8, classes)).sum())
    gradients = {"the features": features.grad}
    gradients |= {f"parameter '{name}'": p.grad for name, p in head.named_parameters() if p.requires_grad}
    for name, gradient in gradients.items():
        require(classifier, gradient is not None, f"no gradient reaches {name}")
        require(
            classifier,
            gradient is not None and gradient.isfinite().all(),
            f"the gradient of {name} is not finite",
        )
    require(
        classifier,
        features.grad is not None and features.grad.abs().sum() > 0,
        "the gradient of the features is zero: the backbone would not learn from this exit",
    )


@torch.no_grad()
def _check_device(classifier: ExitClassifier, head: nn.Module, channels: int) -> None:
    """Check that a head that was moved to another device gives logits on that device."""
    device = other_device()
    features = torch.zeros(2, channels, 6, 6, device=device)
    result = _run(classifier, moved(head, device), features).device
    text = f"the head on device {device.type} gives logits on {result.type}"
    require(classifier, result.type == device.type, text)


def _check_independent_heads(classifier: ExitClassifier) -> None:
    """Check that two calls of `build` return heads without common parameters."""
    first, second = (_build(classifier, 8, 3) for _ in range(2))
    shared = {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}
    require(classifier, first is not second and not shared, "two heads share parameters")
