"""Whose fault it is that something was raised: a plugin is named, and edanas answers for the rest."""

from collections.abc import Iterator
from contextlib import contextmanager

from edanas.core.errors import DISK_FULL, EdanasError, PluginError
from edanas.plugins.manager import explain
from edanas.plugins.registry import Registry


@contextmanager
def blamed(registry: Registry) -> Iterator[None]:
    """Turn what a plugin raises, and nobody expects, into an error that names the plugin.

    Raises:
        PluginError: Instead of any exception that came out of a plugin's package, or through it.
    """
    try:
        yield
    except EdanasError:
        raise
    except Exception as error:
        culprit = registry.host.culprit(error)
        if culprit is None or (isinstance(error, OSError) and error.errno in DISK_FULL):
            raise
        raise PluginError(f"plugin {culprit} raised {explain(error)}") from error
