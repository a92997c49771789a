"""The options of a run that flags and keyword arguments set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edanas.core.config import Layer


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options that `edanas.search` and the commands `run`, `train-supernet` and `tabulate` share.

    If an option is `None`, the default, its setting comes from the config file, the preset, the bundle or the
    defaults of edanas.

    Args:
        data: The name of a data set, or a path: of a folder with one folder for each class, of an `.npz` or
            CSV file, or of a folder of parquet files.
        group: The column, array or pattern in file names with the group of each sample.
        plugin: The name of the bundle.
        download: Allow the download of the data set.
        skip_unreadable: Skip files of a folder that cannot be read as images; by default they are an error.
        allow_duplicates: Go on in silence if the same image is in two parts or two classes.
        seed: The seed of all random numbers.
        preset: The name of a preset of the bundle.
        device: The device to compute on: `auto`, `cpu`, `cuda` or `cuda:N`, N being the number of a GPU.
        evaluation: The name of the evaluation mode, e.g. `shared`.
        max_evals: The largest number of candidates to evaluate.
        time_limit: The time limit of the whole run, in seconds.
        weights: Supernet weights to begin with: a file, or a name that the supernet provider can download.
        warm_start: The folder of an older run, whose Pareto set is evaluated first.
        max_ram: The largest RAM of every result on a microcontroller, in bytes, e.g. `64k`.
        max_flash: The largest flash of every result on a microcontroller, in bytes, e.g. `256k`.
        device_profile: The microcontroller for which latency and energy are estimated: a name or a TOML file.
        settings: Further settings, as a mapping or as texts `key=value`.
        config: The path of a TOML file of settings.

    Example:
        >>> RunOptions(data="digits", max_evals=40, settings=["threads=1"]).layers()[-1]
        ('the arguments', {'data': 'digits', 'search.max_evals': 40})
    """

    data: str | None = None
    group: str | None = None
    plugin: str | None = None
    download: bool = False
    skip_unreadable: bool = False
    allow_duplicates: bool = False
    seed: int | None = None
    preset: str | None = None
    device: str | None = None
    evaluation: str | None = None
    max_evals: int | None = None
    time_limit: float | None = None
    weights: str | None = None
    warm_start: str | Path | None = None
    max_ram: str | float | None = None
    max_flash: str | float | None = None
    device_profile: str | Path | None = None
    settings: Mapping[str, Any] | Sequence[str] | None = None
    config: str | Path | None = None

    def layers(self) -> list[Layer]:
        """Return the layers of settings: the file, then the further settings, then the other options.

        Raises:
            ConfigError: The file cannot be read, or a text in `settings` is not `key=value`.
        """
        from edanas.run.layers import ARGUMENTS, user_layers

        flags = {
            "plugin": self.plugin,
            "data": self.data,
            "seed": self.seed,
            "preset": self.preset,
            "device": self.device,
            "evaluation": self.evaluation,
            "weights": self.weights,
            "max_ram": self.max_ram,
            "max_flash": self.max_flash,
            "device_profile": None if self.device_profile is None else str(self.device_profile),
            "warm_start": None if self.warm_start is None else str(self.warm_start),
            "search.max_evals": self.max_evals,
            "time_limit": self.time_limit,
            "data.group": self.group,
            "data.download": True if self.download else None,
            "data.skip_unreadable": True if self.skip_unreadable else None,
            "allow_duplicates": True if self.allow_duplicates else None,
        }
        layers = user_layers(flags, self.settings or (), self.config)
        if self.data is not None:
            # Options of the data among the settings belong to the data that the flag names.
            layers.insert(int(self.config is not None), (ARGUMENTS, {"data": self.data}))
        return layers
