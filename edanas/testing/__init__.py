"""Conformance suites for plugin authors: call them on your own object in your own tests.

A check returns nothing, or raises `ConformanceError`, an `AssertionError` that says what was asked, with
which input, and what came back.
"""

from edanas.testing.classifiers import check_classifier
from edanas.testing.criteria import check_criterion
from edanas.testing.failure import ConformanceError

__all__ = ["ConformanceError", "check_classifier", "check_criterion"]
