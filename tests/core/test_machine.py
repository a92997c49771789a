import os

import pytest
import torch

from edanas.core.machine import computing, home, keep_kernels, usable_cores


def test_settings_of_torch_are_restored_afterwards():
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    with pytest.raises(KeyError), computing(before[0] + 1):
        assert (torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark) == (before[0] + 1, True, False)
        raise KeyError
    assert (torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark) == before


def test_home_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "there"))
    assert home() == tmp_path / "there"
    monkeypatch.delenv("EDANAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache" / "edanas"


def test_usable_cores_are_those_of_the_process(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize("variable", ["ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"])
def test_the_kernel_cache_is_enlarged_unless_the_environment_sets_its_size(monkeypatch, variable):
    names = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"
    for name in names:
        monkeypatch.setenv(name, "7")
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, "7")
    keep_kernels(2000)
    assert [os.environ.get(name) for name in names if name != variable] == [None]
    monkeypatch.delenv(variable)
    keep_kernels(2000)
    assert os.environ[names[0]] == "2000"
