"""Names of the methods in a comparison, composed of the settings in which the methods differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from edanas.report.result import Result

INCIDENTAL = ("seed", "data", "device", "threads", "executor", "loggers", "exports", "examples", "warm_start")
"""Settings that do not distinguish methods: the runs of one method may differ in them."""

_NAME_SETTINGS = 3
"""Maximum number of settings in a method's name; if more settings differ, the name is that of the folder."""


def method_names(results: Sequence[Result], names: Sequence[str | None]) -> list[str]:
    """Return the name of the method of each run.

    Runs without a given name have the same name if their settings are equal, except `INCIDENTAL` settings.

    Args:
        results: The result of each run.
        names: The given name of each run; `None` = compose a name from the settings that differ.
    """
    settings = [_flat(result.settings) for result in results]
    keys = list(dict.fromkeys(key for values in settings for key in values))
    differing = [key for key in keys if len({json.dumps(values.get(key)) for values in settings}) > 1]
    automatic: dict[str, str] = {}
    method_names = []
    for name, result, values in zip(names, results, settings, strict=True):
        identity = json.dumps(values, sort_keys=True)
        if identity not in automatic:
            parts = [
                f"{key.removesuffix('.name')}={_short(values[key])}" for key in differing if key in values
            ]
            is_short = len(parts) > 0 and len(differing) <= _NAME_SETTINGS
            candidate = ", ".join(parts) if is_short else result.folder.resolve().name
            automatic[identity] = str(result.folder) if candidate in automatic.values() else candidate
        method_names.append(name or automatic[identity])
    return method_names


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one table, e.g. `training.epochs` -> 3, without incidental settings."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if not prefix and key in INCIDENTAL:
            continue
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
