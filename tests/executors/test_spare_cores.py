"""The executor `auto`: where items run, and that none is lost when workers cannot start."""

import os
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch

from edanas.core.errors import ConfigError
from edanas.executors import spare_cores
from edanas.executors.spare_cores import SpareCores


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_cores, "usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(spare_cores, "PATIENCE", 0.0)
    _main(monkeypatch, SimpleNamespace(name="edanas.__main__"))


def _main(monkeypatch: pytest.MonkeyPatch, spec: object, file: str = "") -> None:
    main = ModuleType("__main__")
    main.__spec__ = spec  # type: ignore[assignment]
    if file:
        main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)


def process_of(item: int) -> tuple[int, int]:
    return item, os.getpid()


class BreaksInWorkers:
    """A function that no worker can load."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _import_of, ("no_such_module",)

    def __call__(self, item: int) -> int:
        return item * item


def _import_of(name: str) -> ModuleType:
    return __import__(name)


def test_items_run_in_workers_once_the_time_here_is_over() -> None:
    executor = SpareCores()
    executor._left = 1e-9
    try:
        answers = list(executor.run(process_of, range(5)))
        later = dict(executor.as_completed(process_of, range(5, 8)))
    finally:
        executor.close()
    assert [item for item, _ in answers] == [0, 1, 2, 3, 4]
    assert [pid == os.getpid() for _, pid in answers] == [True, False, False, False, False]
    assert {number: item for number, (item, _) in later.items()} == {0: 5, 1: 6, 2: 7}
    assert len({pid for _, pid in (*answers, *later.values())}) <= 3


@pytest.mark.parametrize("function", [BreaksInWorkers(), lambda item: item * item])
def test_without_workers_every_item_is_answered_here(function: object) -> None:
    executor = SpareCores()
    try:
        assert list(executor.run(function, range(4))) == [0, 1, 4, 9]  # type: ignore[arg-type]
        assert (executor._left > 1, executor.workers, executor._process._pool) == (True, 1, [])
    finally:
        executor.close()


def test_workers_start_while_this_process_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_cores, "PATIENCE", 100.0)
    executor = SpareCores()
    starts: list[float] = []
    monkeypatch.setattr(executor._process, "start", lambda: starts.append(executor._left))
    assert list(executor.run(abs, [-1])) == [1]
    assert starts == []
    executor._left = 49.0
    assert list(executor.run(abs, [-2])) == [2]
    assert starts == [49.0]


def test_an_error_of_the_items_is_not_taken_for_one_of_the_workers() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ConfigError("items: found none")

    executor = SpareCores()
    try:
        with pytest.raises(ConfigError, match="items: found none"):
            list(executor.run(abs, items()))
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("spec", "file", "workers"),
    [
        (None, "/bin/edanas", 2),
        (None, "", 2),
        (SimpleNamespace(name="edanas.__main__"), "/edanas/__main__.py", 2),
        (SimpleNamespace(name="__main__"), "/bin/edanas.exe/__main__.py", 2),
        (SimpleNamespace(name="__main__"), "/experiments/train.zip/__main__.py", 1),
        (None, "/edanas/train.py", 1),
        (SimpleNamespace(name="experiments.first"), "/experiments/first.py", 1),
    ],
)
def test_no_worker_imports_a_script(
    monkeypatch: pytest.MonkeyPatch, spec: object, file: str, workers: int
) -> None:
    _main(monkeypatch, spec, file)
    assert SpareCores().workers == workers


def test_threads_that_use_all_cores_leave_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert SpareCores().workers == 1


def test_other_numbers_of_workers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"executor\.workers: found 5; allowed: 1 to 4, or 0 for automatic"):
        SpareCores(workers=5)
