import os

import pytest
import torch

from edanas.core.machine import computing, home, keep_kernels, usable_cores


def test_torch_computes_as_it_did_before_once_it_is_over():
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    with pytest.raises(KeyError), computing(before[0] + 1):
        assert (torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark) == (before[0] + 1, True, False)
        raise KeyError
    assert (torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark) == before


def test_home_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "there"))
    assert home() == tmp_path / "there"
    monkeypatch.delenv("EDANAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache" / "edanas"


def test_cores_are_those_the_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize("given", ["ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"])
def test_kernels_are_kept_unless_the_environment_says_how_many(monkeypatch, given):
    names = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"
    for name in names:
        monkeypatch.setenv(name, "7")
        monkeypatch.delenv(name)
    monkeypatch.setenv(given, "7")
    keep_kernels(2000)
    assert [os.environ.get(name) for name in names if name != given] == [None]
    monkeypatch.delenv(given)
    keep_kernels(2000)
    assert os.environ[names[0]] == "2000"
