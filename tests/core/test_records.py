"""Checksums: every changed value is noticed, and records of older versions are read as they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.records import sealed, unsealed, with_checksums, without_checksums

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text().filter(lambda key: not key.startswith("checksum")), values, max_size=4)


@given(objects)
def test_an_object_comes_back(record: dict[str, Any]) -> None:
    assert unsealed(json.loads(json.dumps(sealed(record), indent=1))) == record
    assert unsealed(record) == record
    whole = {"front": [record], **{key: value for key, value in record.items() if key != "front"}}
    assert without_checksums(json.loads(json.dumps(with_checksums(whole, ["front"])))) == whole
    assert without_checksums(whole) == whole


@settings(max_examples=60)
@given(objects, st.data())
def test_no_flipped_bit_changes_an_object(record: dict[str, Any], data: st.DataObject) -> None:
    for content, read in (
        (json.dumps(sealed(record)).encode(), unsealed),
        (json.dumps(with_checksums({"front": [record]}, ["front"])).encode(), without_checksums),
    ):
        at = data.draw(st.integers(0, 8 * len(content) - 1))
        damaged = bytearray(content)
        damaged[at // 8] ^= 1 << at % 8
        try:
            result = read(json.loads(bytes(damaged)))
        except ValueError:
            continue
        # A flip in the key of the checksums leaves the values as they were.
        original = json.loads(content)
        for key in ("checksum", "checksums"):
            original.pop(key, None)
        assert {key: result.get(key) for key in original} == original


def test_the_damaged_item_of_a_list_is_named(tmp_path: Path) -> None:
    data = with_checksums({"front": [{"a": 1}, {"a": 2}], "seed": 0}, ["front"])
    for change, name in (
        ({"front": [{"a": 1}, {"a": 3}]}, r"front\[1\]"),
        ({"front": [{"a": 1}]}, "'front'"),
        ({"seed": 1}, "'seed'"),
        ({"more": 1}, "'more'"),
    ):
        with pytest.raises(ValueError, match=f"{name} does not match its checksum"):
            without_checksums({**data, **change})
    with pytest.raises(ValueError, match="is not a JSON object"):
        unsealed([1])
