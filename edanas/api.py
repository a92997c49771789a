"""The public calls `search` and `load`, and the internal `run`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.progress import Progress
from edanas.model.loading import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.report.result import Result
from edanas.run.console import default_progress
from edanas.run.execution import run
from edanas.run.folder import new_folder
from edanas.run.layers import layered_settings
from edanas.run.options import RunOptions

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
    """Search for early-exit networks, train the best of them, and write a run folder.

    The same call with the same `out` resumes an interrupted run, and reads a finished one.

    Args:
        data: The name of a data set, or the path of a folder of class folders; `digits` by default.
        plugin: The bundle.
        out: The run folder; by default a new one below `edanas-runs/`.
        seed: The seed of all random numbers.
        preset: A preset of the bundle, e.g. `quick`, `paper`, `best`. By default `auto` for a folder of
            images, if the bundle has that preset, and otherwise the bundle's first preset.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        evaluation: `shared` or `finetune`.
        max_evals: Stop after this number of candidates.
        time_limit: Stop the search after this many seconds.
        weights: Supernet weights: a file, or a name that the provider can download.
        warm_start: The folder of an older run on the same search space, whose Pareto set is evaluated first.
        settings: Further settings, as a mapping or as `key=value` texts.
        config: A TOML file of settings.
        overwrite: Discard the run that `out` holds.
        progress: Where to show progress. By default bars in a terminal or a notebook, and nothing elsewhere;
            `edanas.core.progress.Silent()` shows nothing anywhere.
        verbose: Also show a line for each candidate once it is recorded.

    Raises:
        EdanasError: An error that the user can put right; the message says how.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> result = search("digits", preset="quick", seed=1)  # doctest: +SKIP
        >>> try:
        ...     search("digits", seed=-1)
        ... except ConfigError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        seed: ...
    """
    options = RunOptions(
        data=data,
        plugin=plugin,
        seed=seed,
        preset=preset,
        device=device,
        evaluation=evaluation,
        max_evals=max_evals,
        time_limit=time_limit,
        weights=weights,
        warm_start=warm_start,
        settings=settings,
        config=config,
    )
    progress = progress or default_progress()
    registry = Registry(load_plugins(progress.say))
    resolved = layered_settings(registry, options.layers(), progress.say)
    folder = new_folder(resolved) if out is None else Path(out)
    return run(registry, resolved, folder, progress, overwrite=overwrite, verbose=verbose)
