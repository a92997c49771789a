"""Attribution of errors: an unexpected error that comes from a plugin names it."""

from collections.abc import Iterator
from contextlib import contextmanager

from edanas.core.errors import DISK_FULL, EdanasError, PluginError
from edanas.plugins.manager import explain
from edanas.plugins.registry import Registry


@contextmanager
def blamed(registry: Registry) -> Iterator[None]:
    """Turn an unexpected exception of a plugin into an error that names the plugin.

    Raises:
        PluginError: Instead of any exception other than an `EdanasError` that passes a plugin's package.
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
