"""The installed version, as the package's own metadata has it."""

from importlib.metadata import version

VERSION = version("edanas")
