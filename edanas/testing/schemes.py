"""The conformance suite of training schemes."""

from collections.abc import Sequence

import torch
from torch.nn.functional import one_hot

from edanas.core.contracts import TrainingScheme
from edanas.testing.failure import ConformanceError, asked, require

_BATCH, _CLASSES = 6, 4
_SMOOTHING = 0.2


def check_scheme(scheme: TrainingScheme, exits: Sequence[int] = (1, 2, 5)) -> None:
    """Hold a training scheme against its contract: one number that every exit learns from, by any targets.

    Args:
        scheme: What to check.
        exits: The numbers of exits, the last one counted, that it is made for.

    Raises:
        ConformanceError: Something does not hold.
    """
    with torch.random.fork_rng(devices=[]):
        labels = torch.arange(_BATCH) % _CLASSES
        teacher = torch.randn(_BATCH, _CLASSES, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
        for count in exits:
            _check_targets(scheme, count, labels, f"{count} exits on labels")
            _check_targets(scheme, count, teacher, f"{count} exits on a teacher's probabilities")
            _check_smoothing(scheme, count, labels)
            _loss(scheme, _logits(count, batch=1), labels[:1], f"{count} exits on one sample")
            large = [1e4 * each for each in _logits(count)]
            _loss(scheme, large, labels, f"{count} exits with logits around 1e4")


def _check_targets(scheme: TrainingScheme, count: int, targets: torch.Tensor, what: str) -> None:
    """The loss reaches every exit, and going against its gradient lowers it."""
    logits = _logits(count)
    kept = [each.detach().clone() for each in logits]
    loss = _loss(scheme, logits, targets, what)
    again = _loss(scheme, logits, targets, what)
    require(scheme, torch.equal(loss, again), f"{what}: {loss:g}, then {again:g} for the same logits")
    with asked(scheme, f"{what}: the gradient"):
        torch.autograd.backward(loss)
    for index, each in enumerate(logits, start=1):
        gradient = each.grad
        state = "missing" if gradient is None else "zero or not finite"
        require(
            scheme,
            gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0,
            f"{what}: the gradient of exit {index} is {state}",
        )
    require(
        scheme,
        all(torch.equal(a, b) for a, b in zip(logits, kept, strict=True)),
        f"{what}: changes the logits",
    )
    nearer = [each.detach() - 0.05 * each.grad for each in logits if each.grad is not None]
    after = _loss(scheme, nearer, targets, what)
    require(scheme, after < loss, f"{what}: {loss:g} before a step against the gradient, {after:g} after it")
    right, wrong = (
        _loss(scheme, [4.0 * _probabilities(targets).roll(shift, dims=1)] * count, targets, what)
        for shift in (0, 1)
    )
    require(
        scheme,
        right < wrong,
        f"{what}: {right:g} where every exit says what it should, {wrong:g} where it does not",
    )


def _check_smoothing(scheme: TrainingScheme, count: int, labels: torch.Tensor) -> None:
    """With smoothing, an exit can be too sure of the label."""
    sure = [20.0 * _probabilities(labels)] * count
    what = f"{count} exits that are sure and right"
    plain = _loss(scheme, sure, labels, what)
    smoothed = _loss(scheme, sure, labels, f"{what}, label smoothing {_SMOOTHING}", _SMOOTHING)
    require(
        scheme,
        smoothed > plain,
        f"{what}: {smoothed:g} with label smoothing {_SMOOTHING}, {plain:g} without; expected more",
    )


def _logits(count: int, batch: int = _BATCH) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(10 + count)
    return [torch.randn(batch, _CLASSES, generator=generator).requires_grad_() for _ in range(count)]


def _probabilities(targets: torch.Tensor) -> torch.Tensor:
    return targets if targets.is_floating_point() else one_hot(targets, _CLASSES).float()


def _loss(
    scheme: TrainingScheme,
    logits: list[torch.Tensor],
    targets: torch.Tensor,
    what: str,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """The loss, at the same state of torch's generator each time."""
    torch.manual_seed(0)
    with asked(scheme, f"{what}: the loss"):
        found: object = scheme.loss(logits, targets, smoothing)
    if not isinstance(found, torch.Tensor):
        raise ConformanceError(f"{type(scheme).__name__}: {what}: a {type(found).__name__}, not a tensor")
    require(
        scheme,
        found.shape == () and found.is_floating_point() and found.isfinite(),
        f"{what}: {found.dtype} of shape {tuple(found.shape)}, {found.detach().flatten()[:3].tolist()}; "
        "expected one finite number",
    )
    return found
