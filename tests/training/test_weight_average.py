import pytest
import torch
from torch import nn

from edanas.training.weight_average import WeightAverage


def line(value):
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(value)
    return module


def test_the_average_follows_the_recurrence():
    module, expected = line(0.0), 0.0
    average = WeightAverage(module, 0.5)
    for step, value in enumerate((4.0, -2.0, 8.0, 1.0), 1):
        with torch.no_grad():
            module.weight.fill_(value)
        keep = min(0.5, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * value
        average.update(step)
    assert module.weight.item() == 1.0
    average.apply()
    assert module.weight.item() == pytest.approx(expected)


def test_without_a_decay_the_last_weights_stay():
    module = line(3.0)
    average = WeightAverage(module, 0.0)
    average.update(1)
    average.apply()
    assert module.weight.item() == 3.0
    assert average.state() == []


def test_a_restored_average_continues_equally():
    whole, parts = line(1.0), line(1.0)
    first, second = WeightAverage(whole, 0.9), WeightAverage(parts, 0.9)
    for step in range(1, 6):
        for module in (whole, parts):
            with torch.no_grad():
                module.weight.add_(step)
        first.update(step)
        second.update(step)
        stored = [tensor.clone() for tensor in second.state()]
        second = WeightAverage(parts, 0.9)
        second.load(stored)
    first.apply()
    second.apply()
    assert torch.equal(whole.weight, parts.weight)
    with pytest.raises(ValueError, match="found 0 averaged tensors; expected 2"):
        second.load([])
