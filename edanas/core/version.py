"""The installed version, from the package's metadata."""

from importlib.metadata import version

VERSION = version("edanas")
