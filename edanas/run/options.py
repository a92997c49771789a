"""The options of a run, as flags and keyword arguments set them."""

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

    An option that is `None` leaves its setting to the layers below.

    Args:
        data: The name of a data set, or the path of a folder of class folders.
        plugin: The bundle.
        download: Allow the download of the data set.
        seed: The seed of all random numbers.
        preset: The preset of the bundle.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        evaluation: The evaluation mode.
        max_evals: The largest number of candidates.
        time_limit: The longest time of the search, in seconds.
        weights: Supernet weights: a file, or a name that the provider can download.
        warm_start: The folder of an older run.
        settings: Further settings, as a mapping or as `key=value` texts.
        config: A TOML file of settings.

    Example:
        >>> RunOptions(data="digits", max_evals=40, settings=["threads=1"]).layers()
        [('--set', {'threads': 1}), ('the arguments', {'data': 'digits', 'search.max_evals': 40})]
    """

    data: str | None = None
    plugin: str | None = None
    download: bool = False
    seed: int | None = None
    preset: str | None = None
    device: str | None = None
    evaluation: str | None = None
    max_evals: int | None = None
    time_limit: float | None = None
    weights: str | None = None
    warm_start: str | Path | None = None
    settings: Mapping[str, Any] | Sequence[str] | None = None
    config: str | Path | None = None

    def layers(self) -> list[Layer]:
        """Return the layers of settings: the file, the further settings, then the other options.

        Raises:
            ConfigError: The file cannot be read, or a text in `settings` is not `key=value`.
        """
        from edanas.run.layers import user_layers

        flags = {
            "plugin": self.plugin,
            "data": self.data,
            "seed": self.seed,
            "preset": self.preset,
            "device": self.device,
            "evaluation": self.evaluation,
            "weights": self.weights,
            "warm_start": None if self.warm_start is None else str(self.warm_start),
            "search.max_evals": self.max_evals,
            "search.time_limit": self.time_limit,
            "data.download": True if self.download else None,
        }
        return user_layers(flags, self.settings or (), self.config)
