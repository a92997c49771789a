"""The conformance suite for training schemes."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import one_hot

from edanas.core.contracts import ExitBatch, Phase, StagedBackbone, TrainingScheme
from edanas.core.errors import type_of
from edanas.core.passes import exit_logits, exit_parts
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.devices import other_device
from edanas.testing.toy_networks import ToyCriterion

_BATCH, _CLASSES, _FEATURES = 6, 4, 5
_SMOOTHING = 0.2


def check_scheme(scheme: TrainingScheme, exits: Sequence[int] = (1, 2, 5)) -> None:
    """Check a training scheme against its contract.

    The phases must train all segments and heads of a network. In each phase, the loss must be a scalar with
    gradients for all trained segments and heads. It must accept labels and a teacher's probabilities, logits
    of any scale, and any device.

    Args:
        scheme: The training scheme.
        exits: Numbers of exits of the suite's networks, the last exit included; by default 1, 2 and 5. The
            suite tries each network with all exits, and with every second exit.

    Raises:
        ConformanceError: The training scheme breaks its contract.

    Example:
        >>> class EqualWeights(TrainingScheme):
        ...     def loss(self, batch):
        ...         return batch.cross_entropies().mean()
        >>> check_scheme(EqualWeights())
    """
    with torch.random.fork_rng(devices=[]):
        labels = torch.arange(_BATCH) % _CLASSES
        teacher = torch.randn(_BATCH, _CLASSES, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
        for points in dict.fromkeys(p for count in exits for p in _placements(count)):
            phases = _check_plan(scheme, points)
            for phase in phases:
                case = _Case(scheme, points, phase)
                case.check_targets(labels, "labels")
                case.check_targets(teacher, "a teacher's probabilities")
                case.check_smoothing(labels)
                case.check_extremes(labels)
                case.check_device(labels)
            _check_training(scheme, points, phases, labels)


def _placements(count: int) -> Iterator[tuple[int, ...]]:
    """Yield two choices of exits for a network of `count` exits: all, then every second and the last."""
    yield tuple(range(count))
    yield (*range(0, count - 1, 2), count - 1)


def _check_plan(scheme: TrainingScheme, points: tuple[int, ...]) -> tuple[Phase, ...]:
    """Return the phases of a scheme for exits, and check them."""
    context, count = f"exits at {points}", len(points)
    with reported_call(scheme, f"{context}: the phases"):
        phases, again = scheme.phases(points), scheme.phases(points)
    require(scheme, phases, f"{context}: `phases` gives no phase")
    require(scheme, phases == again, f"{context}: `phases` gives two plans at two calls")
    for phase in phases:
        require(scheme, isinstance(phase, Phase), f"{context}: {phase!r} is not a Phase")
        at = f"{context}, phase '{phase.name}'"
        require(
            scheme,
            0 < phase.share < math.inf,
            f"{at}: a share of {phase.share}; allowed: a number above 0",
        )
        ascending = all(a < b for a, b in pairwise(phase.exits))
        require(
            scheme,
            phase.exits and ascending and phase.exits[0] >= 0 and phase.exits[-1] < count,
            f"{at}: exits {phase.exits}; allowed: some of 0 to {count - 1}, ascending",
        )
        require(scheme, phase.segments or phase.heads, f"{at}: trains no segment and no head")
        stray = [n for n in (*phase.segments, *phase.heads) if not 0 <= n <= phase.exits[-1]]
        stray += [n for n in phase.heads if n not in phase.exits]
        require(scheme, not stray, f"{at}: trains parts {stray}, which do not run with exits {phase.exits}")
    for part in ("segments", "heads"):
        never = set(range(count)).difference(*(getattr(phase, part) for phase in phases))
        require(scheme, not never, f"{context}: no phase trains {part} {sorted(never)}")
    return phases


class _Case:
    """The checks of one phase of a scheme."""

    def __init__(self, scheme: TrainingScheme, points: tuple[int, ...], phase: Phase) -> None:
        self.scheme, self.points, self.phase = scheme, points, phase
        self.context = f"exits at {points}, phase '{phase.name}'"
        first = min((*phase.segments, math.inf))
        self.learning = [index in phase.heads or index >= first for index in phase.exits]
        """For each exit that runs: True if its logits depend on a trained segment or head."""
        self.learned = _learned_module(scheme, points)

    def check_targets(self, targets: torch.Tensor, kind: str) -> None:
        """Check that gradients reach each trained exit, and that a step against them lowers the loss."""
        logits, context = self._logits(), f"{self.context}, on {kind}"
        before = [each.detach().clone() for each in logits]
        loss, again = self._loss(logits, targets, context), self._loss(logits, targets, context)
        require(
            self.scheme,
            torch.equal(loss, again),
            f"{context}: the loss is {loss:g}, then {again:g} for the same logits",
        )
        with reported_call(self.scheme, f"{context}: the gradient"):
            torch.autograd.backward(loss)
        for index, each, learns in zip(self.phase.exits, logits, self.learning, strict=True):
            state = "missing" if each.grad is None else "zero or not finite"
            reached = each.grad is not None and each.grad.isfinite().all() and each.grad.abs().sum() > 0
            require(
                self.scheme, reached or not learns, f"{context}: the gradient of exit {index + 1} is {state}"
            )
        unchanged = all(torch.equal(a, b) for a, b in zip(logits, before, strict=True))
        require(self.scheme, unchanged, f"{context}: changes the logits")
        nearer = [each.detach() - (0 if each.grad is None else 0.05 * each.grad) for each in logits]
        after = self._loss(nearer, targets, context)
        text = f"{context}: the loss is {loss:g} before a step against the gradient, {after:g} after it"
        require(self.scheme, after < loss, text)
        right, wrong = (self._loss(self._predicting(targets, shift), targets, context) for shift in (0, 1))
        text = (
            f"{context}: the loss is {right:g} for right predictions and {wrong:g} for wrong predictions; "
            "expected a lower loss for right predictions"
        )
        require(self.scheme, right < wrong, text)

    def check_smoothing(self, labels: torch.Tensor) -> None:
        """Check that label smoothing raises the loss of overconfident exits."""
        context = f"{self.context}, right predictions of high confidence"
        logits = self._predicting(labels, 0, 20.0)
        plain = self._loss(logits, labels, context)
        smoothed = self._loss(logits, labels, f"{context}, label smoothing {_SMOOTHING}", _SMOOTHING)
        text = (
            f"{context}: the loss is {smoothed:g} with label smoothing {_SMOOTHING} and {plain:g} without; "
            "expected more with label smoothing"
        )
        require(self.scheme, smoothed > plain, text)

    def check_extremes(self, labels: torch.Tensor) -> None:
        """Check the loss for a single sample and for huge logits."""
        self._loss(self._logits(batch=1), labels[:1], f"{self.context}, one sample")
        huge = [1e4 * each.detach() for each in self._logits()]
        for each in huge:
            each.requires_grad_()
        loss = self._loss(huge, labels, context := f"{self.context}, logits around 1e4")
        with reported_call(self.scheme, f"{context}: the gradient"):
            torch.autograd.backward(loss)
        finite = all(each.grad is None or each.grad.isfinite().all() for each in huge)
        require(self.scheme, finite, f"{context}: the gradient is not finite")

    def check_device(self, labels: torch.Tensor) -> None:
        """Check that the loss is on the device of the logits."""
        device = other_device()
        batch = self._batch([each.detach().to(device) for each in self._logits()], labels.to(device))
        with reported_call(self.scheme, f"{self.context}, on device {device.type}: the loss"):
            self.learned.to(device)
            result = self.scheme.loss(batch).device
            self.learned = _learned_module(self.scheme, self.points)
        text = f"{self.context}: the loss is on {result.type} for logits on {device.type}"
        require(self.scheme, result.type == device.type, text)

    def _logits(self, batch: int = _BATCH) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(10 + len(self.points))
        drawn = [torch.randn(batch, _CLASSES, generator=generator) for _ in self.phase.exits]
        return [each.requires_grad_(learns) for each, learns in zip(drawn, self.learning, strict=True)]

    def _predicting(self, targets: torch.Tensor, shift: int, height: float = 4.0) -> list[torch.Tensor]:
        """Return logits of each exit that predict `targets`.

        Args:
            targets: Labels (B,) or probabilities (B, K) of B samples and K classes.
            shift: Number of classes by which the predictions of trained exits are off; 0 = right predictions.
            height: The logit of the predicted class; other logits are 0.
        """
        expected = targets if targets.is_floating_point() else one_hot(targets, _CLASSES).float()
        return [height * expected.roll(shift * learns, dims=1) for learns in self.learning]

    def _batch(self, logits: list[torch.Tensor], targets: torch.Tensor, smoothing: float = 0.0) -> ExitBatch:
        return ExitBatch(logits, targets, self.phase, self.points, ToyCriterion(), smoothing, self.learned)

    def _loss(
        self, logits: list[torch.Tensor], targets: torch.Tensor, context: str, smoothing: float = 0.0
    ) -> torch.Tensor:
        """Return the loss, which is computed from the same state of torch's generator each time."""
        return _loss(self.scheme, self._batch(logits, targets, smoothing), context)


def _check_training(
    scheme: TrainingScheme, points: tuple[int, ...], phases: Sequence[Phase], labels: torch.Tensor
) -> None:
    """Check gradients in a network: they reach exactly the segments and heads that a phase trains.

    They must also reach the weights of `learned` in at least one phase.
    """
    learned = _learned_module(scheme, points)
    torch.manual_seed(0)
    stages = [nn.Linear(_FEATURES, _FEATURES, bias=False) for _ in range(points[-1] + 1)]
    heads = {point: nn.Linear(_FEATURES, _CLASSES, bias=False) for point in points}
    parts = exit_parts(StagedBackbone(stages, heads.pop(points[-1]), 1), heads)
    images = torch.randn(_BATCH, _FEATURES)
    weights = [p for each in parts for module in (*each.segment, each.head) for p in module.parameters()]
    for phase in phases:
        context = f"exits at {points}, phase '{phase.name}', in a network"
        rerun = partial(exit_logits, parts, images, phase)
        before, logits = [each.detach().clone() for each in weights], rerun()
        batch = ExitBatch(
            logits, labels, phase, points, ToyCriterion(), 0.0, learned, rerun=rerun, trained=weights
        )
        with reported_call(scheme, f"{context}: the gradient"):
            torch.autograd.backward(_loss(scheme, batch, context))
        unchanged = all(map(torch.equal, before, weights))
        require(scheme, unchanged, f"{context}: the loss changes the weights of the network")
        for index, (segment, head) in enumerate(parts):
            for kind, modules, trained in (
                ("segment", segment, index in phase.segments),
                ("head", [head], index in phase.heads),
            ):
                reached = [p.grad is not None for module in modules for p in module.parameters()]
                text = (
                    f"{context}: gradients of the {kind} of exit {index + 1}: {any(reached)}; "
                    f"expected {trained}"
                )
                require(scheme, reached == [trained] * len(reached), text)
        for module in (*stages, *heads.values(), parts[-1].head):
            module.zero_grad()
    idle = [name for name, p in learned.named_parameters() if p.grad is None]
    require(scheme, not idle, f"exits at {points}: no phase trains {', '.join(idle)} of `learned`")


def _learned_module(scheme: TrainingScheme, points: tuple[int, ...]) -> nn.Module:
    """Return the module of the scheme's `learned`, and check that each training gets another module."""
    with reported_call(scheme, f"exits at {points}: `learned`"):
        module, other = scheme.learned(points), scheme.learned(points)
    if module is None or other is None:
        return nn.Module()
    require(
        scheme,
        isinstance(module, nn.Module),
        f"`learned` gives {type_of(module)}; expected a torch module or None",
    )
    own, others = ({id(p) for p in each.parameters()} for each in (module, other))
    require(scheme, not own & others, f"exits at {points}: two trainings share weights of `learned`")
    return module


def _loss(scheme: TrainingScheme, batch: ExitBatch, context: str) -> torch.Tensor:
    torch.manual_seed(0)
    with reported_call(scheme, f"{context}: the loss"):
        loss: object = scheme.loss(batch)
    if not isinstance(loss, torch.Tensor):
        raise ConformanceError(
            f"{type(scheme).__name__}: {context}: the loss is {type_of(loss)}, not a tensor"
        )
    require(
        scheme,
        loss.shape == () and loss.is_floating_point() and loss.isfinite(),
        f"{context}: the loss is {loss.detach().flatten()[:3].tolist()}, {loss.dtype} of shape "
        f"{tuple(loss.shape)}; "
        "expected one finite number",
    )
    return loss
