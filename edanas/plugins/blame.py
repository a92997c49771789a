"""Attribution of unexpected errors to the plugin from which they come."""

from collections.abc import Iterator
from contextlib import contextmanager

from edanas.core.errors import DISK_FULL, EdanasError, PluginError
from edanas.plugins.manager import explain
from edanas.plugins.registry import Registry


@contextmanager
def blamed(registry: Registry) -> Iterator[None]:
    """Turn an unexpected exception of an installed plugin into an error that names the plugin.

    An `EdanasError`, and an `OSError` because of a full disk, pass unchanged.

    Raises:
        PluginError: Another exception was raised in a plugin's package, or passed through it.
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
