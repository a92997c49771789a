"""Tables of measured exit profiles: benchmarks on which a search evaluates a candidate in microseconds."""

from edanas.tables.builder import build
from edanas.tables.evaluation import TableEvaluation
from edanas.tables.neighbours import Answer, Neighbours
from edanas.tables.reader import Table
from edanas.tables.table_search import search

__all__ = ["Answer", "Neighbours", "Table", "TableEvaluation", "build", "search"]
