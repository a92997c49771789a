"""The markers of hooks and of their implementations; a light module, which imports no torch."""

import pluggy

SPEC_VERSION = 1
"""Raised when a hook changes so that older plugins break. A plugin may state `EDANAS_SPEC_VERSION = 1`."""

GROUP = "edanas"
"""The entry-point group, and the name that marks hooks."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)
