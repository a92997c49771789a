"""What Python code calls: `search` and `load`. The commands are thin covers over these."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.progress import Progress, Silent
from edanas.model.loading import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.report.result import Result
from edanas.run.execution import run
from edanas.run.folder import fresh_folder
from edanas.run.layers import layered_settings, user_layers

__all__ = ["search", "load", "run"]


def search(
    data: str | None = None,
    plugin: str | None = None,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    preset: str | None = None,
    device: str | None = None,
    evaluation: str | None = None,
    max_evals: int | None = None,
    time_limit: float | None = None,
    weights: str | None = None,
    warm_start: str | Path | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    config: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    verbose: bool = False,
) -> Result:
    """Search for early-exit networks, train those that come back, and write everything to a folder.

    Running it again with the same `out` goes on where the last run was cut, and reads back a finished one.

    Args:
        data: A data set's name, or the path of a folder of class folders; `digits` if nothing says otherwise.
        plugin: The bundle.
        out: The run's folder; a new one below `edanas-runs/` if left out.
        seed: Everything random follows from it.
        preset: A layer of the bundle, e.g. `quick`, `paper`, `best`; if left out `auto` for a folder, where
            the bundle has it, and else its first.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        evaluation: `shared` or `finetune`.
        max_evals: Stop after so many candidates.
        time_limit: Stop the search after so many seconds.
        weights: Supernet weights: a file, or a name that the provider can download.
        warm_start: The folder of an older run on the same space, whose Pareto set is evaluated first.
        settings: Further settings, as a mapping or as `key=value` texts.
        config: A TOML file of settings.
        overwrite: Discard what `out` holds.
        progress: Where to show bars; nothing is shown if left out.
        verbose: Show a line for each candidate there too, once it is recorded.

    Raises:
        EdanasError: Something the user can put right; see the message.
    """
    flags = {
        "data": data,
        "plugin": plugin,
        "seed": seed,
        "preset": preset,
        "device": device,
        "evaluation": evaluation,
        "search.max_evals": max_evals,
        "search.time_limit": time_limit,
        "weights": weights,
        "warm_start": None if warm_start is None else str(warm_start),
    }
    progress = progress or Silent()
    registry = Registry(load_plugins(progress.say))
    resolved = layered_settings(registry, user_layers(flags, settings, config), progress.say)
    return run(
        registry,
        resolved,
        fresh_folder(resolved) if out is None else Path(out),
        progress,
        overwrite=overwrite,
        verbose=verbose,
    )
