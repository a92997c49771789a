"""Names of the methods in a comparison, made of the settings that differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from edanas.report.result import Result

INCIDENTAL = ("seed", "data", "device", "threads", "executor", "loggers", "exports", "examples", "warm_start")
"""Settings in which the runs of one method may differ."""

_NAME_SETTINGS = 3
"""Most settings in a method's name; where more differ, the folder's name is used."""


def method_names(results: Sequence[Result], names: Sequence[str | None]) -> list[str]:
    """Return the method's name of each run: the given one, or one that runs of equal settings share."""
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
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if not prefix and key in INCIDENTAL:
            continue
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
