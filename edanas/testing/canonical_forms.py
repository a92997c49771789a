"""Checks of the canonical form of a supernet provider's backbones, for the suite of supernet providers."""

import numpy as np
import torch

from edanas.core.contracts import Supernet, SupernetProvider
from edanas.core.errors import EdanasError
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Candidate, SelectionScheme, Task
from edanas.testing.conformance import reported_call, require

_DRAWN = 4
"""Number of random backbones, in any form, whose canonical forms are checked."""

_NEIGHBOURS = 6
"""Number of neighbours of equal cost that must differ from a backbone as networks."""


def check_canonical_forms(
    provider: SupernetProvider, space: SearchSpace, supernet: Supernet, task: Task
) -> None:
    """Check that equal networks have one canonical form, and that other forms are other networks.

    Args:
        provider: The provider.
        space: Its search space.
        supernet: A supernet in eval mode with random weights, without which networks could agree by chance.
        task: The numbers of channels and classes of `supernet`.

    Raises:
        ConformanceError: A canonical form is none of the space, changes when it is computed again, or belongs
            to another network of equal cost; or two canonical forms belong to one network.
    """
    rng = np.random.default_rng(1)
    for genome in rng.integers(0, space.counts, size=(_DRAWN, space.dimensions), dtype=np.int64):
        drawn = space.backbone(genome)
        with reported_call(provider, f"the canonical form of {dict(drawn.choices)}"):
            form = provider.canonical(drawn)
            again = provider.canonical(form)
        require(provider, again == form, f"the canonical form of {_text(form)} is {_text(again)}")
        require(provider, _is_in(form, space), f"{_text(form)}, a canonical form, is not in the space")
        if form != drawn and provider.costs(form, task) == provider.costs(drawn, task) is not None:
            require(
                provider,
                _same(supernet, provider, form, drawn, task),
                f"{_text(drawn)} and its canonical form {_text(form)} are different networks",
            )
    start = space.sample(rng, 1)[0]
    backbone = space.backbone(start)
    near = [space.backbone(row) for row in rng.permutation(space.neighbours(start))]
    cost = provider.costs(backbone, task)
    others = list(dict.fromkeys(each for each in near if each != backbone))
    alike = [each for each in others if cost is None or provider.costs(each, task) == cost]
    for other in alike[:_NEIGHBOURS]:
        require(
            provider,
            not (_equal(supernet, backbone, other) and _same(supernet, provider, backbone, other, task)),
            f"{_text(backbone)} and {_text(other)} are one network; expected one canonical form",
        )


def _same(
    supernet: Supernet, provider: SupernetProvider, first: Backbone, second: Backbone, task: Task
) -> bool:
    """Return true if each stage and the last exit of two backbones give the same for the same images."""
    side = int(first["resolution"])
    if side != second["resolution"]:
        return False
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, task.in_channels, 1 if provider.series else side, side, generator=generator)
    nets = [supernet.extract(each).eval() for each in (first, second)]
    one = two = features
    with torch.no_grad():
        for first_part, second_part in zip(*((*net.stages, net.head) for net in nets), strict=True):
            one, two = first_part(one), second_part(two)
            if one.shape != two.shape or not torch.allclose(one, two, rtol=1e-4, atol=1e-6):
                return False
    return True


def _equal(supernet: Supernet, first: Backbone, second: Backbone) -> bool:
    """Return true if two backbones have the same tensors; networks with other tensors may agree by chance."""
    one, two = (supernet.extract(each).state_dict() for each in (first, second))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def _is_in(backbone: Backbone, space: SearchSpace) -> bool:
    try:
        space.encode(Candidate(backbone, SelectionScheme((None,) * space.exit_points)))
    except EdanasError:
        return False
    return True


def _text(backbone: Backbone) -> str:
    return str(dict(backbone.choices))
