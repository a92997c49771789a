"""Training by several processes: the weights of one process, and the same decisions in all."""

import threading
from dataclasses import replace

import pytest
import torch
from ranked_training import SETTINGS_10, start, training
from small_runs import CPU, parts
from supernet_trainings import fresh
from torch.nn import functional as F
from waiting import PATIENCE

from edanas.core.errors import ConfigError
from edanas.core.launched import Place
from edanas.core.progress import Silent
from edanas.training.ranks import Ranks
from edanas.training.steps import Batches
from edanas.training.synchronised_norm import SynchronisedNorm, synchronises

ROUNDING = 5e-5
"""Largest difference of a weight after ten steps.

Sums over two halves of a batch differ from the sum over the batch by 6e-8 of their size, and so do the
weights after one step; after ten steps the largest difference is 1.2e-7. BatchNorm divides features of few
pixels by small deviations: at a hundred times the learning rate, two steps multiply the difference by 8,000,
and nothing could be compared.
"""


class TwoThreads(Ranks):
    """Two ranks in two threads of this process."""

    def __init__(self, rank, barrier, sums):
        super().__init__(Place(rank, 2))
        self.barrier, self.sums = barrier, sums

    def sum(self, tensor):
        self.sums[self.at.rank] = tensor.clone()
        self.barrier.wait()
        tensor.copy_(self.sums[0] + self.sums[1])
        self.barrier.wait()
        return tensor


def normalised(features, weight, bias, loss_weights, ranks=None):
    """Return BatchNorm's result, its gradients and running statistics."""
    leaves = [each.clone().requires_grad_() for each in (features, weight, bias)]
    running = torch.zeros(3), torch.ones(3)
    if ranks is None:
        result = F.batch_norm(leaves[0], *running, *leaves[1:], training=True)
    else:
        with SynchronisedNorm(ranks):
            result = F.batch_norm(leaves[0], *running, *leaves[1:], training=True)
    (result * loss_weights).sum().backward()
    return result.detach(), [leaf.grad for leaf in leaves], running


@pytest.mark.parametrize("shape", [(7, 3, 5, 4), (7, 3)])
def test_the_norm_of_two_unequal_parts_is_that_of_the_whole(shape):
    torch.manual_seed(0)
    features, loss_weights = torch.randn(shape) * 3 + 5, torch.randn(shape)
    weight, bias = torch.randn(3), torch.randn(3)
    result, gradients, running = normalised(features, weight, bias, loss_weights)
    barrier, sums, halves = threading.Barrier(2), {}, {}

    def half(rank, rows):
        ranks = TwoThreads(rank, barrier, sums)
        halves[rank] = normalised(features[rows], weight, bias, loss_weights[rows], ranks)

    threads = [threading.Thread(target=half, args=each) for each in ((0, slice(0, 4)), (1, slice(4, 7)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(torch.cat([halves[0][0], halves[1][0]]), result, **close)
    torch.testing.assert_close(torch.cat([halves[0][1][0], halves[1][1][0]]), gradients[0], **close)
    for index in (1, 2):
        torch.testing.assert_close(halves[0][1][index] + halves[1][1][index], gradients[index], **close)
    for rank in (0, 1):
        torch.testing.assert_close(halves[rank][2], running, **close)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_processes_divide_each_batch(count):
    def epoch(rank):
        batches = Batches(parts(), SETTINGS_10, 12, CPU)
        batches.divide(Ranks(Place(rank, count)))
        batches.targets = lambda indices: indices
        return [
            (indices, batches.share, images)
            for images, indices in batches.epoch(torch.Generator().manual_seed(1))
        ]

    whole = Batches(parts(), SETTINGS_10, 12, CPU).epoch(torch.Generator().manual_seed(1))
    for (images, _), *ranks in zip(whole, *(epoch(rank) for rank in range(count)), strict=True):
        assert torch.equal(images, torch.cat([part for *_, part in ranks]))
        assert sum(share for _, share, _ in ranks) == pytest.approx(1.0)
        assert len(torch.cat([indices for indices, *_ in ranks]).unique()) == 32


def test_too_many_processes_for_a_batch_are_refused():
    batches = Batches(parts(), SETTINGS_10, 12, CPU)
    with pytest.raises(ConfigError, match=r"batch_size: found 32 with 17 processes, .* allowed: two samples"):
        batches.divide(Ranks(Place(0, 17)))


def states(*paths):
    return [torch.load(path, weights_only=True) for path in paths]


def largest_difference(one, other):
    """Return the largest difference of a weight; statistics of BatchNorm are recomputed before use."""
    names = [name for name, _ in fresh(dropout=0.0).named_parameters()]
    return max(float((one[name] - other[name]).abs().max()) for name in names)


def test_two_processes_train_as_one(tmp_path):
    # The processes are forked from this one, with all that its training imported.
    alone = tmp_path / "alone.pt"
    training(alone).run(Silent())
    processes = start(2, tmp_path)
    errors = [process.communicate(PATIENCE)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    expected, whole = (each["network"] for each in states(alone, tmp_path / "whole.pt"))
    assert largest_difference(whole, fresh(dropout=0.0).state_dict()) > 20 * ROUNDING
    assert largest_difference(whole, expected) < ROUNDING
    # The other process has the same weights, bit for bit.
    assert largest_difference(whole, *states(tmp_path / "whole-1.pt")) == 0
    # One process goes on where two were interrupted.
    (half,) = states(tmp_path / "half.pt")
    assert half["step"] == 2
    training(tmp_path / "half.pt").run(Silent())
    resumed = states(tmp_path / "half.pt")[0]["network"]
    assert largest_difference(resumed, expected) < ROUNDING
    # Two processes with two parts of 8 samples each, or with statistics of their own.
    for name in ("parts", "own"):
        own, other = states(tmp_path / f"{name}.pt", tmp_path / f"{name}-1.pt")
        assert (own["step"], largest_difference(own["network"], other)) == (2, 0)
    means = [name for name in other if name.endswith("running_mean")]
    assert not all(torch.equal(own["network"][name], other[name]) for name in means)


@pytest.mark.parametrize(("limit", "sizes"), [(0, [32]), (32, [32]), (16, [16, 16]), (12, [11, 11, 10])])
def test_a_batch_is_divided_into_parts_whose_gradients_add_up(limit, sizes, tmp_path):
    """The gradient of the sum is that of the mean over the batch, apart from BatchNorm."""
    each = training(tmp_path / "state.pt", micro_batch_size=limit)
    shares = []

    def add_gradients(images, labels, students, phase, share):
        shares.append((len(images), share))
        return share

    each._add_gradients = add_gradients
    images, labels = next(each.batches.epoch(torch.Generator().manual_seed(0)))
    assert each.make_step(images, labels) == pytest.approx(1 / 5)
    assert shares == [(size, size / 32) for size in sizes]


@pytest.mark.parametrize(
    ("choice", "processes", "device", "expected"),
    [
        (True, 1, "cpu", False),
        (True, 2, "cpu", True),
        (False, 2, "cuda", False),
        ("auto", 1, "cuda", False),
        ("auto", 2, "cuda", True),
        ("auto", 2, "cpu", False),
        ("auto", 3, "cpu", True),
    ],
)
def test_only_gpus_and_small_parts_synchronise_by_default(choice, processes, device, expected):
    settings = replace(SETTINGS_10, sync_batch_norm=choice, batch_size=32)
    assert synchronises(settings, processes, torch.device(device)) is expected
