"""The conformance suite for supernet providers."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.cut_backbones import completed, cut
from edanas.core.errors import WeightsError, type_of
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.testing.canonical_forms import check_canonical_forms
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.random_generators import generators_restored, seed_global_generators
from edanas.testing.variables import check_costs, check_variables

_TASKS = (Task(in_channels=1, num_classes=2), Task(in_channels=3, num_classes=7))
_BATCH = 3
_NO_SUCH_FILE = "no-such-folder/no-such-weights.safetensors"


@dataclass(frozen=True)
class _Case:
    """A backbone with its name in messages."""

    name: str
    backbone: Backbone
    series: bool

    def images(self, task: Task, seed: int = 0) -> torch.Tensor:
        side = int(self.backbone["resolution"])
        height = 1 if self.series else side
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(_BATCH, task.in_channels, height, side, generator=generator)


def check_provider(provider: SupernetProvider, backbones: int = 2) -> None:
    """Check a provider against its contract: variables, costs, and networks.

    For each backbone, the networks of `view`, `extract` and `build` must give the same logits at the same
    weights. The suite runs all networks, so choose options of the provider that keep networks small.

    Args:
        provider: The provider.
        backbones: Number of random backbones to check; the smallest and the largest are always checked.

    Raises:
        ConformanceError: The provider breaks its contract.

    Example:
        >>> from edanas.testing.toy_networks import ToyProvider
        >>> check_provider(ToyProvider(resolutions=(8,)), backbones=1)
    """
    with generators_restored():
        space = check_variables(provider)
        rng = np.random.default_rng(0)
        cases = [
            _Case("the smallest backbone", space.smallest(), provider.series),
            _Case("the largest backbone", space.largest(), provider.series),
        ]
        cases += [
            _Case(f"random backbone {i}", space.sample_backbone(rng), provider.series)
            for i in range(backbones)
        ]
        check_costs(provider, space)
        for task in _TASKS:
            seed_global_generators(0)
            with reported_call(provider, f"a supernet for {task}"):
                supernet = provider.supernet(task)
            _check_fresh(provider, supernet, task)
            _randomise(supernet)
            for case in cases:
                _check_backbone(provider, supernet, task, case)
            _check_cuts(provider, supernet, cases)
            _check_interleaving(provider, supernet, task, cases)
            if task == _TASKS[-1]:  # with one input channel, networks may agree by chance
                check_canonical_forms(provider, space, supernet, task)
            _check_training(provider, supernet, task, cases)
        _check_weights(provider, supernet)


def _check_fresh(provider: SupernetProvider, supernet: Supernet, task: Task) -> None:
    """Check that new weights depend on torch's global generator and on no other generator."""
    require(
        provider,
        isinstance(supernet, Supernet),
        f"supernet() gives {type_of(supernet)}; expected a Supernet",
    )
    first = supernet.state_dict()
    seed_global_generators(0)
    torch.rand(1)
    again = provider.supernet(task).state_dict()
    require(provider, not _equal(first, again), "fresh weights do not depend on torch's global generator")
    seed_global_generators(1)
    torch.manual_seed(0)
    again = provider.supernet(task).state_dict()
    require(provider, _equal(first, again), "fresh weights differ after the same `torch.manual_seed`")


def _check_backbone(provider: SupernetProvider, supernet: Supernet, task: Task, case: _Case) -> None:
    """Check that the networks of `view`, `extract` and `build` agree for a backbone."""
    context = f"{case.name}, {dict(case.backbone.choices)}, for {task}"
    images = case.images(task)
    with reported_call(provider, f"building {case.name}"), torch.no_grad():
        view = supernet.view(case.backbone)
        plain = supernet.extract(case.backbone)
        fresh = provider.build(case.backbone, task)
    for form, net in (("view", view), ("extract", plain), ("build", fresh)):
        _check_form(provider, form, net.eval(), images, task, case)
    expected = _run(view, images)
    extracted = _run(plain, images)
    gap = (extracted - expected).abs().max()
    require(
        provider,
        _close(extracted, expected),
        f"extract's logits differ from the view's by up to {gap:g}, in {context}",
    )
    owned = {_address(tensor) for tensor in supernet.state_dict().values()}
    shared = [name for name, tensor in plain.state_dict().items() if _address(tensor) in owned]
    require(provider, not shared, f"extract shares '{shared[0] if shared else ''}' with the supernet")
    built, cut = _shapes(fresh), _shapes(plain)
    differing = [name for name in {**built, **cut} if built.get(name) != cut.get(name)]
    require(
        provider,
        not differing,
        f"build and extract differ in state_dict: "
        f"{[(name, built.get(name), cut.get(name)) for name in differing[:2]]}, in {context}",
    )
    fresh.load_state_dict(plain.state_dict())
    require(
        provider,
        _close(_run(fresh, images), extracted),
        f"build with extract's weights gives other logits than extract, in {context}",
    )
    _check_counted(provider, case, fresh, task)


def _check_cuts(provider: SupernetProvider, supernet: Supernet, cases: Sequence[_Case]) -> None:
    """Check that the stages of a backbone do not depend on the choices of later stages.

    A network that ends at an exit point lacks these choices; its stages are those of the whole backbone.
    """
    variables = provider.variables()
    for case in cases:
        stages = supernet.extract(case.backbone).stages
        for end in range(1, len(stages)):
            other = completed(cut(case.backbone, variables, end), variables)
            with reported_call(provider, f"{case.name} with the first choices after stage {end}"):
                same = supernet.extract(other).stages
            require(
                provider,
                all(_equal(stages[at].state_dict(), same[at].state_dict()) for at in range(end)),
                f"the first {end} stages of {case.name} change with choices of later stages; expected a "
                "smaller `Variable.stage` for one of them",
            )


def _check_counted(provider: SupernetProvider, case: _Case, net: StagedBackbone, task: Task) -> None:
    """Check that the result of `costs`, unless it is `None`, equals the costs of the built network.

    The costs of the built network are counted stage by stage.
    """
    with reported_call(provider, f"the costs of {case.name}"):
        counted = provider.costs(case.backbone, task)
    if counted is None:
        return
    stages, last = counted
    traced, traced_last = trace(net, task.in_channels)
    require(
        provider,
        len(stages) == len(traced),
        f"costs() has {len(stages)} stages; expected {len(traced)}, in {case.name}",
    )
    named = [*(f"stage {number}" for number in range(1, len(traced) + 1)), "the last exit"]
    for name, cost, expected in zip(named, (*stages, last), (*traced, traced_last), strict=True):
        uncounted = cost.outputs is None
        require(
            provider,
            cost == (replace(expected, outputs=None) if uncounted else expected),
            f"costs() gives {cost} for {name}; the built network has {expected}, in {case.name} for {task}",
        )


def _check_form(
    provider: SupernetProvider, form: str, net: object, images: torch.Tensor, task: Task, case: _Case
) -> None:
    """Check the stages, the resolution and the shapes of a network.

    Args:
        provider: The provider.
        form: The method that returned the network: "view", "extract" or "build".
        net: The network.
        images: Images to run the network on.
        task: The numbers of channels and classes.
        case: The backbone.
    """
    if not isinstance(net, StagedBackbone):
        raise ConformanceError(
            f"{type(provider).__name__}: {form} gives {type_of(net)}; expected a StagedBackbone"
        )
    require(
        provider,
        len(net.stages) == provider.exit_points + 1,
        f"{form} has {len(net.stages)} stages; expected {provider.exit_points + 1}, "
        "one more than there are exit points",
    )
    side = case.backbone["resolution"]
    require(provider, net.resolution == side, f"{form} has the resolution {net.resolution}; expected {side}")
    require(
        provider, net.series == provider.series, f"{form} has series={net.series}; expected {provider.series}"
    )
    features = images
    with (
        reported_call(provider, f"running the {form} of {case.name} on {tuple(images.shape)}"),
        torch.no_grad(),
    ):
        outputs = []
        for stage in net.stages:
            features = stage(features)
            outputs.append(features)
        logits = net.head(features)
        alone = [(at, net.stages[at](images)) for at in net.image_stages]
    for at, output in alone:
        require(
            provider,
            _close(output, outputs[at]),
            f"stage {at + 1} of the {form} of {case.name} has `image_network`, but gives other features for "
            "the image than for the features of the stage before",
        )
    for index, (channels, output) in enumerate(zip(provider.exit_channels(), outputs, strict=False)):
        require(
            provider,
            output.ndim == 4 and output.shape[1] in channels,
            f"exit_channels() has {channels} at exit point {index}; the {form} of {case.name} gives "
            f"features {tuple(output.shape)}",
        )
    require(
        provider,
        logits.shape == (len(images), task.num_classes) and bool(logits.isfinite().all()),
        f"logits of the {form} have the shape {tuple(logits.shape)}; expected finite logits of shape "
        f"{(len(images), task.num_classes)}",
    )


def _check_interleaving(
    provider: SupernetProvider, supernet: Supernet, task: Task, cases: list[_Case]
) -> None:
    """Check that views give the same logits while other views run and other backbones are extracted."""
    views = [supernet.view(case.backbone).eval() for case in cases]
    inputs = [case.images(task) for case in cases]
    alone = [
        _run(supernet.extract(case.backbone).eval(), images)
        for case, images in zip(cases, inputs, strict=True)
    ]
    features = inputs
    with torch.no_grad():
        for stage in range(provider.exit_points + 1):
            features = [view.stages[stage](x) for view, x in zip(views, features, strict=True)]
            supernet.extract(cases[0].backbone)
            supernet.view(cases[0].backbone).train()
        outputs = [view.head(x) for view, x in zip(views, features, strict=True)]
    for case, logits, expected in zip(cases, outputs, alone, strict=True):
        require(
            provider,
            _close(logits, expected),
            f"the view of {case.name} gives other logits when other views run between its stages",
        )
    supernet.train()
    require(
        provider, supernet.view(cases[0].backbone).training, "a view of a training supernet is in eval mode"
    )
    supernet.eval()
    with reported_call(provider, "a trip of the supernet through pickle"):
        copied: Supernet = pickle.loads(pickle.dumps(supernet))  # noqa: S301 - our own bytes
    again = copied.view(cases[-1].backbone).eval()
    require(
        provider,
        _close(_run(again, inputs[-1]), alone[-1]),
        "a pickled copy of the supernet gives other logits",
    )


def _check_training(provider: SupernetProvider, supernet: Supernet, task: Task, cases: list[_Case]) -> None:
    """Check that training a view changes every stage of later extracts, and no earlier extract."""
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1)
    for case in cases:
        before = supernet.extract(case.backbone)
        weights_before = {name: tensor.clone() for name, tensor in before.state_dict().items()}
        optimizer.zero_grad()
        with reported_call(provider, f"training the view of {case.name}"):
            logits = supernet.view(case.backbone).train()(case.images(task))
            weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
            torch.autograd.backward((logits * weights).sum())
        optimizer.step()
        after = supernet.extract(case.backbone)
        require(
            provider,
            _equal(weights_before, before.state_dict()),
            f"an extract of {case.name} changes when the supernet is trained",
        )
        for part, old, new in _parts(before, after):
            moved = any(
                not torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True)
            )
            require(
                provider,
                moved or not list(old.parameters()),
                f"training the view of {case.name} does not reach the supernet's weights in {part}",
            )
    supernet.eval()


def _check_weights(provider: SupernetProvider, supernet: Supernet) -> None:
    """Check that `load_weights` of a missing file raises a `WeightsError` and changes nothing."""
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    try:
        result: object = provider.load_weights(supernet, _NO_SUCH_FILE)
    except WeightsError:
        result = None
    except Exception as error:
        result = error
    require(
        provider,
        result is None,
        f"load_weights of '{_NO_SUCH_FILE}', which does not exist, gives {result!r}; expected a WeightsError",
    )
    require(
        provider, _equal(before, supernet.state_dict()), "load_weights changes the supernet, though it fails"
    )


def _randomise(supernet: Supernet) -> None:
    """Change all weights at random, so that a wrong slice of a tensor gives wrong logits."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in supernet.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(noise if name.endswith("running_var") else 0.1 * (noise - 0.5))
    supernet.eval()


@torch.no_grad()
def _run(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = net(images)
    return logits


def _close(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.allclose(first, second, rtol=1e-3, atol=1e-4)


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _parts(old: StagedBackbone, new: StagedBackbone) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    for index, (before, after) in enumerate(zip(old.stages, new.stages, strict=True), start=1):
        yield f"stage {index}", before, after
    yield "the last exit", old.head, new.head


def _equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
