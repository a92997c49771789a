from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.convert import Limits, Place, convert, describe
from edanas.core.errors import ConfigError
from edanas.core.settings import (
    Settings,
)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (5, int | float, 5),
        (5.5, int | float, 5.5),
        (5, float, 5.0),
        (5.0, int, 5),
        ("none", int | None, None),
        (None, str | None, None),
        ("a", str | int, "a"),
        ("b", Literal["a", "b"], "b"),
        ([1, "x"], tuple[int, str], (1, "x")),
        ([1, 2], list[float], [1.0, 2.0]),
        ([[1], [2]], tuple[tuple[int, ...], ...], ((1,), (2,))),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ("a/b", Path, Path("a/b")),
        ([1], tuple, (1,)),
        (object, Any, object),
    ],
)
def test_conversion(value, annotation, expected):
    converted = convert(value, annotation, Place("here"))
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        ("c", Literal["aa", "ab"], "here: 'c' is not allowed. Allowed: aa, ab."),
        (True, Literal[1, 2], "here: True: expected one of 1, 2"),
        ([1], tuple[int, str], "here: [1]: expected a list of 2: a whole number, text"),
        ({"a": "x"}, dict[str, int], "here.a: 'x': expected a whole number"),
        (3, dict[str, int], "here: 3: expected a table"),
        ("5", int, "here: '5': expected a whole number"),
        (1, bool, "here: 1: expected true or false"),
        ("x", int | None, "here: 'x': expected a whole number or \"none\""),
        (1, Path, "here: 1: expected a path"),
        (1, Settings, "here: 1: expected Settings"),
        ("x" * 200, int, "here: '" + "x" * 76 + "...: expected a whole number"),
    ],
)
def test_refused_conversion(value, annotation, text):
    with pytest.raises(ConfigError) as error:
        convert(value, annotation, Place("here"))
    assert str(error.value) == text


@given(st.floats(-3, 3), st.floats(-2, 0), st.floats(0, 2))
@settings(max_examples=50)
def test_limits_are_inclusive_or_exclusive(value, low, high):
    assert Limits(minimum=low, maximum=high).hold(value) == (low <= value <= high)
    assert Limits(above=low, below=high).hold(value) == (low < value < high)


def test_description_of_limits():
    assert describe(float, Limits(above=0, maximum=1)) == "a number > 0 and <= 1"
    assert describe(tuple[int, ...], Limits(minimum=2, length=3, distinct=True)) == (
        "a list of 3 or more, each a whole number >= 2, none twice"
    )
