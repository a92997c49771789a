"""Groups of samples by a pattern in the names of their files, e.g. the speaker of a recording."""

import re
from collections.abc import Sequence

from edanas.core.errors import ConfigError


def groups_of(names: Sequence[str], pattern: str) -> tuple[str, ...]:
    """Return the group of each file: what the pattern's parentheses match in its name.

    Args:
        names: Path of each file relative to the folder of the data, with `/`.
        pattern: A regular expression that is searched in each name. Without parentheses, the whole match is
            the group.

    Raises:
        ConfigError: The pattern is no regular expression, or a name does not match it.

    Example:
        >>> groups_of(["3/anna_1.wav", "3/bert_1.wav"], "([a-z]+)_")
        ('anna', 'bert')
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"data.group: '{pattern}' is no regular expression: {error}") from error
    groups = []
    for name in names:
        match = compiled.search(name)
        if match is None:
            raise ConfigError(
                f"data.group: '{pattern}' matches nothing in '{name}'; allowed: a pattern that matches the "
                "name of each file, such as '([^/]+)_[0-9]+' for anna_1.png"
            )
        groups.append("_".join(each or "" for each in match.groups()) if compiled.groups else match.group())
    return tuple(groups)
