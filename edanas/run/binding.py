"""Checks that a resumed run has the same settings and inputs as at its start."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edanas.core.archive import Archive
from edanas.core.config import changed, resolve, to_plain
from edanas.core.errors import RunError
from edanas.core.runfolder import MODELS, matching_files
from edanas.core.settings import Settings
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, DataParts
from edanas.data.splits import digest_of
from edanas.model.run_settings import TRAIN
from edanas.run.layers import AUTO
from edanas.run.paths import relocated
from edanas.run.plugin_files import plugin_files
from edanas.run.provenance import digest_of_file, digest_of_parts, digest_of_teacher

CHANGEABLE = (
    "time_limit",
    "search.max_evals",
    "search.max_epochs",
    "search.time_limit",
    "search.patience",
    "search.min_gain",
    "loggers",
    "allow_duplicates",
)
"""Settings that may differ when a run is resumed, because they do not affect candidates evaluated so far."""

_LISTED = 5
"""Largest number of changed settings that a message lists."""

_CHANGEABLE_BEFORE_RESULTS = ("final_thresholds", "finetune.", "min_exit_share")
"""Settings that may differ until the first result is finished, because they do not affect the search."""


def bind_settings(folder: Path, settings: Settings, archive: Archive) -> None:
    """Store the settings in a new archive, or compare them with the settings stored in an existing archive.

    Args:
        folder: The run folder, for messages and for finished results.
        settings: The settings of the run that starts or resumes.
        archive: The archive of the run.

    Raises:
        RunError: The archive holds a run with other settings; the message lists the differing settings.
    """
    plain_settings = to_plain(settings)
    check_settings(folder, settings, archive)
    if with_cut(archive.meta().get("settings")) != plain_settings:
        archive.set_meta("settings", plain_settings)


def check_settings(folder: Path, settings: Settings, archive: Archive) -> None:
    """Compare the settings with those in the archive, if it has any; the arguments are as in `bind_settings`.

    Raises:
        RunError: The archive holds a run with other settings; the message lists the differing settings.
    """
    stored = with_cut(archive.meta().get("settings"))
    if stored is not None and _has_begun(folder, archive):
        has_results = any(folder.glob(f"{MODELS}/*.row.json"))
        allowed = CHANGEABLE if has_results else (*CHANGEABLE, *_CHANGEABLE_BEFORE_RESULTS)
        older = relocated(resolve([("", stored)]), settings)
        refused = [line for line in changed(older, settings) if not line.startswith(allowed)]
        if refused:
            raise RunError(
                f"{folder} holds a run with other settings. Changed: {_summary(refused, older, settings)}. "
                "Use the same settings to resume it, another --out to start again, or --overwrite to discard "
                "it"
            )


def _summary(lines: Sequence[str], old: Settings, new: Settings) -> str:
    """Return the changes of settings as a text: bundle and preset first, then at most `_LISTED` settings."""
    names = (("plugin", "bundle"), ("preset", "preset"))
    first = [
        f"the {noun} was {getattr(old, key)}, now {getattr(new, key)}"
        for key, noun in names
        if getattr(old, key) != getattr(new, key)
    ]
    rest = [line for line in lines if not line.startswith(("plugin: ", "preset: "))]
    more = [f"and {len(rest) - _LISTED} more settings"] if len(rest) > _LISTED else []
    text = "; ".join((*first, *rest[:_LISTED], *more))
    if new.preset == old.preset == AUTO and rest:
        text += f". The preset {AUTO} fits some settings to the samples; were samples added or removed?"
    return text.removesuffix(".")


def with_cut(stored: Any) -> Any:
    """Return the settings of an archive, completed by `search.cut` if the archive is older than this setting.

    Such a run searched whole networks only. With continuous thresholds the setting has no effect.

    Args:
        stored: The stored settings, in the types of JSON; `None` for a new archive.
    """
    if not isinstance(stored, dict) or stored.get("thresholds") == CONTINUOUS:
        return stored
    search = stored.get("search", {})
    return {**stored, "search": {"cut": False, **search}} if isinstance(search, dict) else stored


def bind_inputs(
    folder: Path, settings: Settings, archive: Archive, space: SearchSpace, parts: DataParts
) -> None:
    """Store digests of the inputs in a new archive, or compare them with those in an existing archive.

    Args:
        folder: The run folder.
        settings: The settings, which name the files of the weights and of the teacher.
        archive: The archive of the run.
        space: The search space of the run.
        parts: The images and labels of the four parts.

    Raises:
        RunError: An input differs, e.g. because a plugin was updated or an image was added.
    """
    stored = archive.meta()
    for key, value in check_inputs(folder, settings, archive, space, parts).items():
        if stored.get(key) != value:
            archive.set_meta(key, value)


def check_inputs(
    folder: Path, settings: Settings, archive: Archive, space: SearchSpace, parts: DataParts
) -> dict[str, Any]:
    """Return digests of the inputs, after their comparison with those in the archive, if it has any.

    The arguments are as in `bind_inputs`. The keys are `space`, `classes`, `data`, `train`, `weights` and
    `teacher`, the last two only if there is such a file.

    Raises:
        RunError: An input differs, e.g. because a plugin was updated or an image was added.
    """
    weights, teacher, classes = settings.weights, settings.teacher, list(parts.train.classes)
    stored = archive.meta()
    inputs = (
        ("space", space.signature(), "of another search space", "a plugin updated"),
        ("classes", classes, f"on classes {stored.get('classes')}, now {classes}", "a class renamed"),
        ("data", digest_of_parts(parts), "on other samples", "the data set changed"),
        (TRAIN, digest_of(parts.train), "on other samples", "the data set changed"),
        ("weights", digest_of_file(weights), f"with other weights in {weights}", "the file replaced"),
        ("teacher", digest_of_teacher(teacher), f"with another teacher in {teacher}", "the file replaced"),
    )
    for key, value, difference, cause in inputs:
        if value is not None and _has_begun(folder, archive) and stored.get(key, value) != value:
            raise RunError(
                f"{folder} holds a run {difference}, though its settings are the same; was {cause}? "
                "Use another --out, or --overwrite to discard it"
            )
    return {key: value for key, value, _, _ in inputs if value is not None}


def _has_begun(folder: Path, archive: Archive) -> bool:
    """Return whether the archive holds an evaluation, or the folder holds files of the evaluation mode."""
    return archive.count() > 0 or bool(matching_files(folder, plugin_files(archive)["evaluation"]))
