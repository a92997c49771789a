"""Absolute paths in the settings of a run, so that commands in other folders find its files."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from edanas.core.device_profiles import profile_files
from edanas.core.machine import user_path
from edanas.core.settings import Component, Settings
from edanas.plugins.registry import Registry

PATH_OPTIONS = ("path", "root")
"""The options of data sets and objectives that hold the path of a file or folder."""

_FIELDS = ("weights", "teacher", "warm_start", "plan", "device_profile")
"""The other settings that may be paths."""


def with_absolute_paths(registry: Registry, settings: Settings) -> Settings:
    """Return the settings with absolute paths of data, weights, teacher, older run, plan and device profile.

    A text that is no existing file or folder remains as it is, e.g. the name of a data set.

    Args:
        registry: The extensions by kind and name; the name of a data set is never a path.
        settings: The settings, with paths relative to the current folder.

    Example:
        >>> from edanas.plugins.manager import load_plugins
        >>> with_absolute_paths(Registry(load_plugins()), Settings()).data.name
        'digits'
    """
    model, at, file = settings.teacher.rpartition("@")
    is_named = settings.data.name in registry.names("data set")
    profile = settings.device_profile
    return replace(
        settings,
        data=_with_absolute_options(
            settings.data if is_named else replace(settings.data, name=absolute(settings.data.name))
        ),
        objectives=tuple(map(_with_absolute_options, settings.objectives)),
        weights=absolute(settings.weights, file=True),
        teacher=f"{model}{at}{absolute(file, file=True)}",
        warm_start=absolute(settings.warm_start),
        plan=absolute(settings.plan),
        device_profile=profile if profile in profile_files() else absolute(profile),
    )


def absolute(text: str, *, file: bool = False) -> str:
    """Return the absolute form of an existing path, and any other text unchanged.

    Links are not resolved, so that they may point to another place later.

    Args:
        text: A path relative to the current folder, a name, or an empty text.
        file: True if a folder is no valid value.

    Example:
        >>> absolute("/usr/../usr"), absolute("no such file"), absolute("")
        ('/usr', 'no such file', '')
    """
    try:
        path = user_path(text).absolute()
        if not text or not (path.is_file() if file else path.exists()):
            return text
        plain = Path(os.path.normpath(path))
        # Behind a link, `..` is another folder than the text suggests.
        return str(plain if plain.exists() and plain.samefile(path) else path)
    except (OSError, ValueError, RuntimeError):  # e.g. a text that is too long for a path, or `~nobody`
        return text


def relocated(old: Settings, new: Settings) -> Settings:
    """Return the settings of an older call with the paths of the new call where only the place differs.

    A path counts as moved if the old path is missing and the new path has the same last component. It also
    does if one path is relative and the other ends with it: older versions recorded relative paths, and the
    path of a file that was deleted stays relative. Digests of the files show whether they are the same.

    Example:
        >>> old, new = (Settings(data=Component(path)) for path in ("photos", "/home/me/photos"))
        >>> relocated(old, new).data.name
        '/home/me/photos'
    """
    options = new.data.options
    data = Component(
        _place(old.data.name, new.data.name),
        {key: _place(value, options.get(key)) for key, value in old.data.options.items()},
    )
    changes = {name: _place(getattr(old, name), getattr(new, name)) for name in _FIELDS}
    return replace(old, data=data, **changes)


def _place(old: Any, new: Any) -> Any:
    """Return the new path if it is the moved old path, otherwise the old path."""
    if not (isinstance(old, str) and isinstance(new, str)):
        return old
    before, after = Path(old), Path(new)
    if before.is_absolute() and after.is_absolute():
        return new if before.name == after.name and not before.exists() else old
    relative, whole = (before, after) if after.is_absolute() else (after, before)
    is_end = whole.is_absolute() and relative.parts and whole.parts[-len(relative.parts) :] == relative.parts
    return new if is_end else old


def _with_absolute_options(component: Component) -> Component:
    options = {
        key: absolute(value) if key in PATH_OPTIONS and isinstance(value, str) else value
        for key, value in component.options.items()
    }
    return replace(component, options=options)
