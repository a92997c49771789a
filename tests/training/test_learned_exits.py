"""Schemes that learn weights of samples or decisions to exit, against exact gradients and hand counts."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from edanas.core.contracts import ExitBatch, Phase
from edanas.core.errors import ConfigError
from edanas.exits.criteria import MaxProbability
from edanas.exits.gates import UncertaintyGate
from edanas.training.exit_and_inference import JointExitInference
from edanas.training.sample_weights import SampleWeights, exit_counts
from edanas.training.schemes import Joint

POINTS = (0, 1)


class TwoExits(nn.Module):
    """A small smooth network with two exits, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Linear(5, 4), nn.Linear(4, 4)])
        self.heads = nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)])

    def forward(self, images):
        results, features = [], images
        for stage, head in zip(self.stages, self.heads, strict=True):
            features = stage(features).tanh()
            results.append(head(features))
        return results


@pytest.fixture
def parts():
    torch.manual_seed(0)
    network = TwoExits().double()
    images, labels = torch.randn(8, 5, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    return network, images, labels


def batch_of(parts, learned, *, rerun=True):
    network, images, labels = parts
    weights = tuple(network.parameters())
    logits, again = network(images), (lambda: network(images)) if rerun else None
    return ExitBatch(
        logits, labels, Phase.whole(2), POINTS, MaxProbability(), 0.0, learned, None, again, weights
    )


def exact_meta_gradient(scheme, parts, learned):
    """Differentiate the meta-loss through the step of gradient descent, twice, as the source does."""
    network, images, labels = parts
    names, weights = zip(*network.named_parameters(), strict=True)
    losses = torch.stack([F.cross_entropy(each, labels, reduction="none") for each in network(images)], 1)
    distances = learned(losses[:4].detach())
    sample_weights = 1 + scheme.spread * (distances - distances.mean())
    weighted = (sample_weights * losses[:4]).mean(0).sum()
    down = torch.autograd.grad(weighted, weights, create_graph=True)
    moved = {n: w - scheme.step * d for n, w, d in zip(names, weights, down, strict=True)}
    first, second = (each[4:] for each in functional_call(network, moved, (images,)))
    order = first.softmax(1).amax(1).argsort(descending=True)
    early, late = order[:2], order[2:]
    meta = F.cross_entropy(first[early], labels[4:][early]) + F.cross_entropy(second[late], labels[4:][late])
    return torch.autograd.grad(meta, list(learned.parameters()))


def test_the_meta_gradient_equals_differentiation_through_the_step(parts):
    scheme = SampleWeights(spread=0.8, decay=1.0, step=0.3, hidden=6)
    learned = scheme.learned(POINTS).double()
    expected = exact_meta_gradient(scheme, parts, learned)
    scheme.loss(batch_of(parts, learned)).backward()
    for parameter, gradient in zip(learned.parameters(), expected, strict=True):
        # The gradient is that for a step of length 1.
        assert torch.allclose(scheme.step * parameter.grad, gradient, rtol=1e-3, atol=1e-9)
    assert max(float(each.abs().max()) for each in expected) > 1e-5


def test_the_network_gets_the_gradient_of_the_weighted_losses_and_keeps_its_weights(parts):
    network, images, labels = parts
    scheme = SampleWeights()
    learned = scheme.learned(POINTS).double()
    before = [each.detach().clone() for each in network.parameters()]
    loss = scheme.loss(batch_of(parts, learned))
    loss.backward()
    assert all(map(torch.equal, before, network.parameters()))
    losses = torch.stack([F.cross_entropy(each, labels, reduction="none") for each in network(images)], 1)
    distances = learned(losses.detach()).detach()
    weights = 1 + 0.3 * (distances - distances.mean())
    expected = (weights * losses).mean(0).sum()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()))
    gradients = torch.autograd.grad(expected, list(network.parameters()))
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert torch.allclose(parameter.grad, gradient)


def test_losses_of_samples_average_to_those_of_exits():
    generator = torch.Generator().manual_seed(0)
    logits, labels = [torch.randn(6, 3, generator=generator)], torch.tensor([0, 1, 2, 0, 0, 1])
    for weights in (None, torch.tensor([1.0, 2.0, 5.0])):
        for targets in (labels, torch.randn(6, 3, generator=generator).softmax(1)):
            batch = ExitBatch(
                logits, targets, Phase.whole(1), (0,), MaxProbability(), 0.1, class_weights=weights
            )
            assert torch.allclose(batch.sample_losses().mean(0), batch.cross_entropies())


def test_numbers_of_samples_that_exit():
    assert exit_counts(100, 4, 1.0) == [25, 25, 25, 25]
    assert exit_counts(70, 3, 0.5) == [40, 20, 10]
    assert exit_counts(1, 3, 0.5) == [0, 0, 1]


def jei_batch(logits, labels, criterion, phase, costs=(0.2, 0.6, 1.0)):
    return ExitBatch(logits, labels, phase, (0, 1, 2), criterion, 0.0, costs=costs)


def two_kinds(count, seed):
    """Return logits of three exits: even samples are right from the first exit on, odd ones at the last."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    easy = torch.arange(count) % 2 == 0
    logits = [0.3 * torch.randn(count, 4, generator=generator) for _ in range(3)]
    for exit_, each in enumerate(logits):
        right = easy | torch.tensor(exit_ == 2)
        each[right, labels[right]] += 6.0
    return logits, labels, easy


def test_gates_learn_to_exit_where_loss_and_cost_are_smallest():
    torch.manual_seed(0)
    scheme, gate = JointExitInference(cost=0.7), UncertaintyGate(own=0.0).build(4, 2)
    *_, together = scheme.phases((0, 1, 2))
    logits, labels, easy = two_kinds(200, seed=1)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.3)
    for _ in range(50):
        optimizer.zero_grad()
        scheme.loss(jei_batch(logits, labels, gate, together)).backward()
        optimizer.step()
    logits, _, easy = two_kinds(200, seed=2)
    with torch.no_grad():
        first = gate.after(logits[:1], (0,)) >= 0.5
        second = gate.after(logits[1:2], (1,)) >= 0.5
    assert (first == easy).float().mean() > 0.95
    assert (second == easy).float().mean() > 0.95


@pytest.mark.parametrize(("cost", "falls"), [(1e6, True), (0.0, False)])
def test_the_first_gate_opens_if_going_on_is_dear_and_closes_if_it_is_free(cost, falls):
    """The early exits are wrong, so only the cost speaks for them."""
    logits, labels, _ = two_kinds(20, seed=3)
    wrong = [-each for each in logits[:2]] + [logits[2]]
    gate = UncertaintyGate(own=0.0).build(4, 2)
    *_, together = JointExitInference().phases((0, 1, 2))
    JointExitInference(cost=cost).loss(jei_batch(wrong, labels, gate, together)).backward()
    assert (gate.gates[0].bias.grad.item() < 0) == falls


def test_exits_learn_from_the_samples_that_exit_there():
    logits, labels, _ = two_kinds(6, seed=4)
    for each in logits[:2]:
        each.requires_grad_()
    *_, together = JointExitInference().phases((0, 1, 2))
    JointExitInference().loss(jei_batch(logits, labels, MaxProbability(), together)).backward()
    first, second = (each.detach().softmax(1).amax(1) for each in logits[:2])
    for exit_, share in enumerate((first, (1 - first) * second)):
        residual = logits[exit_].detach().softmax(1) - F.one_hot(labels, 4)
        expected = share[:, None] * residual / 6
        assert torch.allclose(logits[exit_].grad, expected, atol=1e-6)


def test_the_warm_up_is_the_plain_loss_of_the_early_exits():
    logits, labels, _ = two_kinds(6, seed=5)
    scheme = JointExitInference()
    backbone, warm_up, together = scheme.phases((0, 1, 2))
    assert sum(phase.share for phase in (backbone, warm_up, together)) == pytest.approx(1)
    assert not warm_up.segments and not together.segments
    loss = scheme.loss(jei_batch(logits, labels, MaxProbability(), warm_up))
    assert torch.allclose(loss, sum(F.cross_entropy(each, labels) for each in logits[:2]))


def test_any_scheme_trains_the_uncertainty_gate_on_correctness():
    torch.manual_seed(0)
    gate = UncertaintyGate().build(4, 2)
    logits, labels, easy = two_kinds(200, seed=6)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.3)
    for _ in range(40):
        optimizer.zero_grad()
        batch = jei_batch(logits, labels, gate, Phase.whole(3))
        (Joint().loss(batch) + batch.criterion_loss()).backward()
        optimizer.step()
    confidence = gate.after(logits[:1], (0,)).detach()
    assert confidence[easy].min() > confidence[~easy].max() - 0.5
    assert confidence[easy].mean() > confidence[~easy].mean() + 0.4


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: SampleWeights(spread=1.0), "spread"),
        (lambda: SampleWeights(decay=0.0), "decay"),
        (lambda: SampleWeights(step=float("inf")), "step"),
        (lambda: SampleWeights(hidden=0), "hidden"),
        (lambda: JointExitInference(cost=-1.0), "cost"),
        (lambda: JointExitInference(warm_up=1.0), "warm_up"),
    ],
)
def test_wrong_options_are_named(make, field):
    with pytest.raises(ConfigError, match=rf"scheme\.{field}: found .*; allowed: "):
        make()
