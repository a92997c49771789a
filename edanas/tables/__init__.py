"""Tables of exit profiles: a function to search on that is real, and answers in microseconds."""

from edanas.tables.builder import build
from edanas.tables.reader import Table

__all__ = ["Table", "build"]
