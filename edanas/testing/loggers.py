"""The conformance suite for loggers."""

import copy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edanas.core.contracts import IterationSummary, Logger
from edanas.core.errors import PluginError, type_of
from edanas.core.hookspecs import KINDS
from edanas.core.types import Backbone, Candidate, Evaluation, Metrics, SelectionScheme
from edanas.plugins.manager import Plugin, PluginHost
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.run_files import check_run_files

_SETTINGS: Mapping[str, Any] = {
    "plugin": "mbv3-sm",
    "data": {"name": "folder", "path": "/pictures/<b>'été' & قطة"},
    "objectives": ["accuracy", "ada-macs"],
    "thresholds": [0.1, "none"],
    "weights": "",
    "search": {"initial": 3, "iterations": 1},
    "seed": 0,
}


def check_logger(make: Callable[[], Logger]) -> None:
    """Check a logger against its contract: it handles a whole run, a failed candidate, and a resumed run.

    Args:
        make: A function that returns a new logger, e.g. the class. If the logger needs a server or another
            store, it must be available.

    Raises:
        ConformanceError: The logger breaks its contract.

    Example:
        >>> import edanas
        >>> class Counter(Logger):
        ...     count = 0
        ...     @edanas.hookimpl
        ...     def edanas_candidate_evaluated(self, evaluation):
        ...         self.count += 1
        >>> check_logger(Counter)
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run é"
        folder.mkdir()
        (folder / "result.json").write_text("{}\n", encoding="utf-8")
        _send_run(make(), folder, [_succeeded(0), _failed(1), _succeeded(2)])
        _send_run(make(), folder, [_succeeded(3)])
        last = make()
        _send_run(last, folder, [])
        unchanged = (folder / "result.json").read_text(encoding="utf-8") == "{}\n"
        require("logger", unchanged, "changes the run's result.json")
        check_run_files(last, folder)


def _send_run(logger: Logger, folder: Path, evaluations: list[Evaluation]) -> None:
    """Send a logger the events of a run from start to end, with the given evaluations of one iteration."""
    if not isinstance(logger, Logger):
        raise ConformanceError(f"`make` returns {type_of(logger)}; expected a Logger")
    offered = [kind.hook for kind in KINDS if hasattr(logger, kind.hook)]
    require(logger, not offered, f"has the hook {offered}; allowed: lifecycle events alone")
    host, plugin = PluginHost(), Plugin(type(logger).__name__, "under test", "0")
    summary = IterationSummary(
        0, 3, 1, 0.5, tuple(evaluations), {"objective 1": "rbf tau 0.61", "other": "x"}
    )
    events: list[tuple[str, dict[str, Any]]] = [
        ("edanas_run_started", {"settings": dict(_SETTINGS), "folder": folder}),
        *(("edanas_candidate_evaluated", {"evaluation": each}) for each in evaluations),
        *([("edanas_iteration_finished", {"summary": summary})] if evaluations else []),
        ("edanas_plain_network_finished", {"row": _result()["static_front"][0]}),
        ("edanas_run_finished", {"result": _result(), "folder": folder}),
    ]
    try:
        with host.joined({plugin: logger}):
            for event, arguments in events:
                before = copy.deepcopy(arguments)
                with reported_call(logger, f"the event {event}"):
                    host.call(plugin, event, **arguments)
                require(logger, arguments == before, f"changes the arguments of {event}")
    except PluginError as error:
        raise ConformanceError(str(error)) from error


def _candidate(number: int) -> Candidate:
    return Candidate(Backbone.of({"width": 0.5, "depth": number}), SelectionScheme((0.1, None)))


def _succeeded(number: int) -> Evaluation:
    metrics = Metrics(
        accuracy=0.9,
        utilization=(0.4, 0.0, 0.6),
        exit_accuracy=(0.95, None, 0.8),
        ada_macs=1.5e6,
        executed_macs=1.6e6,
        backbone_accuracy=0.85,
        backbone_macs=2_000_000,
        params=1000,
        activations=100,
    )
    return Evaluation(_candidate(number), 0, metrics, None, 0.5)


def _failed(number: int) -> Evaluation:
    return Evaluation(_candidate(number), 0, None, "ValueError: <b>no\nmore</b>", 0.1)


def _result() -> dict[str, Any]:
    row = {
        "exits": 1,
        "thresholds": [0.1, None],
        "utilization": [0.4, 0.0, 0.6],
        "test_accuracy": 0.9,
        "validation_accuracy": 0.91,
        "ada_macs": 1.5e6,
        "executed_macs": 1.6e6,
        "backbone_macs": 2_000_000,
        "backbone_test_accuracy": 0.86,
        "params": 1000,
    }
    front = [{"id": "0123456789ab", **row}]
    single = [{"id": "ba9876543210", **row, "exits": 0, "thresholds": [None, None]}]
    return {"front": front, "static_front": single, "settings": dict(_SETTINGS), "seed": 0}
