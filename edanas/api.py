"""The public functions `search` and `load`, and the internal function `run`."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.core.config import parse_assignment
from edanas.core.progress import Progress
from edanas.data.passed_data import data_name
from edanas.model.loading import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.report.result import Result
from edanas.run.announcement import announced_settings
from edanas.run.console import default_progress
from edanas.run.execution import run
from edanas.run.folder import new_folder
from edanas.run.options import RunOptions

__all__ = ["search", "load", "run"]


def search(
    data: Any = None,
    plugin: str | None = None,
    *,
    group: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    preset: str | None = None,
    device: str | None = None,
    evaluation: str | None = None,
    max_evals: int | None = None,
    time_limit: float | None = None,
    weights: str | None = None,
    warm_start: str | Path | None = None,
    max_ram: str | float | None = None,
    max_flash: str | float | None = None,
    device_profile: str | Path | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    config: str | Path | None = None,
    skip_unreadable: bool = False,
    allow_duplicates: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    verbose: bool = False,
) -> Result:
    """Search for early-exit networks, train the best candidates, and write a run folder.

    The same call with the same `out` resumes an interrupted run, and reads the result of a finished run.

    Args:
        data: The name of a data set; the path of a folder with one folder of images for each class, of an
            `.npz` or CSV file, or of a folder of parquet files; or an object. Objects are `(X, y)`, a
            dictionary of parts or arrays, a torch `Dataset`, a Hugging Face `Dataset` or `DatasetDict`, or a
            pandas table of paths and labels. By default the data set of the bundle, which is `digits` for the
            default bundle.
        plugin: The name of the bundle; `mbv3-sm` by default.
        group: The column, array or key with the group of each sample, e.g. its speaker, or a pattern in the
            names of files. All samples of a group are in one part. By default there are no groups.
        out: The run folder; by default a new folder in `edanas-runs/`.
        seed: The seed of all random numbers, 0 or more; 0 by default.
        preset: The name of a preset of the bundle, e.g. `quick`, `paper` or `best`. By default `auto` for a
            folder of images if the bundle has that preset, otherwise the bundle's first preset.
        device: The device to compute on: `auto`, the default, `cpu`, `cuda` or `cuda:N`, N being the number
            of a GPU.
        evaluation: The evaluation mode: `shared` evaluates candidates with the weights of one trained
            supernet; `finetune` trains each candidate for a few epochs; plugins add further modes. By default
            the mode of the preset, e.g. `shared` for `quick`.
        max_evals: The largest number of candidates to evaluate; no limit by default.
        time_limit: The time limit of the whole run in seconds, from this call to the report. By default 1,800
            for a folder of images without a preset, otherwise no limit.
        weights: Supernet weights to begin with: a file, or a name that the supernet provider can download.
            By default none.
        warm_start: The folder of an older run on the same search space, whose Pareto set is evaluated first;
            none by default.
        max_ram: The largest RAM of every network on a microcontroller, in bytes, e.g. `64k`.
        max_flash: The largest flash of every network on a microcontroller, in bytes, e.g. `256k`.
        device_profile: The microcontroller for which latency and energy are estimated: a name or a TOML file.
        settings: Further settings, as a mapping or as texts `key=value`; none by default.
        config: A TOML file of settings, which the other arguments override; none by default.
        skip_unreadable: Skip files of a folder that cannot be read as images; by default they are an error.
        allow_duplicates: Do not report images that are in two parts or two classes at once.
        overwrite: Discard the run in the folder `out`, and begin a new run; `False` by default.
        progress: The display of progress. By default bars in a terminal or a notebook, and nothing elsewhere;
            `edanas.core.progress.Silent()` shows nothing anywhere.
        verbose: Show a line for each candidate once it is recorded; `False` by default.

    Returns:
        The result of the run, with its finished networks.

    Raises:
        EdanasError: The user can correct the error; its message says how.
        Interrupted: Ctrl-C ended the run; the same call with the run folder as `out` resumes the run.

    Example:
        >>> from edanas.core.errors import ConfigError
        >>> result = search("digits", preset="quick", seed=1)  # doctest: +SKIP
        >>> try:
        ...     search("digits", seed=-1)
        ... except ConfigError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        seed: ...
    """
    started = time.monotonic()
    name = None if data is None else data_name(data, group or "", _table(settings))
    options = RunOptions(
        data=name,
        group=None if name is not None and name.startswith("arrays:") else group,
        plugin=plugin,
        seed=seed,
        preset=preset,
        device=device,
        evaluation=evaluation,
        max_evals=max_evals,
        time_limit=time_limit,
        weights=weights,
        warm_start=warm_start,
        max_ram=max_ram,
        max_flash=max_flash,
        device_profile=device_profile,
        settings=settings,
        config=config,
        skip_unreadable=skip_unreadable,
        allow_duplicates=allow_duplicates,
    )
    progress = progress or default_progress()
    registry = Registry(load_plugins(progress.say))
    resolved = announced_settings(registry, options, progress.say)
    folder = new_folder(resolved) if out is None else Path(out)
    return run(registry, resolved, folder, progress, overwrite=overwrite, verbose=verbose, started=started)


def _table(settings: Mapping[str, Any] | Sequence[str]) -> Mapping[str, Any]:
    """Return further settings as a mapping from dotted names."""
    if isinstance(settings, Mapping):
        return settings
    return {name: value for text in settings for name, value in parse_assignment(text).items()}
