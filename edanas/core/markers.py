"""The markers of hooks and of their implementations; a light module, which imports no torch."""

import pluggy

SPEC_VERSION = 1
"""Version of the hook specifications. It increases when a hook changes so that older plugins break.

A plugin may declare the version that it was written for: `EDANAS_SPEC_VERSION = 1`.
"""

GROUP = "edanas"
"""Name of the entry-point group of plugins, and pluggy's project name of the hooks."""

hookspec = pluggy.HookspecMarker(GROUP)
"""Decorator of hook specifications."""

hookimpl = pluggy.HookimplMarker(GROUP)
"""Decorator of a plugin's functions that implement hooks."""
