"""Workers receive large tensors as files that they map, and may change them for themselves."""

import pickle

import torch

from edanas.executors.process import Process
from edanas.executors.shared_tensors import SMALLEST, dumps


class Sum:
    def __init__(self, values):
        self.values = values

    def __call__(self, item):
        before = int(self.values.sum())
        self.values[0] = item
        return before, int(self.values[0])


def test_large_tensors_are_files(tmp_path):
    generator = torch.Generator().manual_seed(0)
    large = torch.randn(SMALLEST // 2, generator=generator).view(2, -1).T
    small, weight = torch.arange(5), torch.nn.Parameter(torch.ones(SMALLEST))
    pickled = dumps({"large": large, "again": large, "small": small, "weight": weight[:1]}, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    loaded = pickle.loads(pickled)
    assert torch.equal(loaded["large"], large)
    assert loaded["large"] is loaded["again"]
    assert torch.equal(loaded["small"], small)


def test_an_evaluation_with_large_tensors_is_sent_by_path():
    values = torch.ones(SMALLEST, dtype=torch.uint8)
    executor = Process(workers=1)
    try:
        answers = list(executor.run(Sum(values), [5, 7]))
        assert answers == [(SMALLEST, 5), (SMALLEST + 4, 7)]
        assert executor._payload.stat().st_size < 1000
        assert int(values[0]) == 1
    finally:
        executor.close()
