import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from toy_tables import description

from edanas.core.errors import EdanasError, RunError, TableError
from edanas.core.types import Candidate, SelectionScheme
from edanas.tables.file_format import Description, creating
from edanas.tables.reader import Table

KEY = "edanas.table"


def rewritten(path, target, change):
    """A copy of a table with a changed description and the same tensors."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    values = json.loads(header["__metadata__"][KEY])
    change(values)
    header["__metadata__"][KEY] = json.dumps(values)
    text = json.dumps(header).encode()
    target.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])
    return target


def test_a_description_is_read_as_it_was_written(whole):
    stored = whole.description
    assert Description.from_dict(json.loads(json.dumps(stored.to_dict()))) == stored
    assert (stored.backbones, stored.space_size, stored.exhaustive) == (96, 96, True)
    assert stored.space().signature() == description().space().signature()
    endless = description(thresholds="continuous")
    assert Description.from_dict(json.loads(json.dumps(endless.to_dict()))).thresholds == "continuous"


@given(st.data())
@settings(max_examples=60)
def test_every_damaged_byte_and_every_truncation_is_detected(small, tmp_path_factory, data):
    content = bytearray(small.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = tmp_path_factory.mktemp("damaged") / "table.safetensors"
    if data.draw(st.booleans()):
        damaged.write_bytes(content[:at])
    else:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        damaged.write_bytes(content)
    with pytest.raises(TableError, match=r"damaged|not a table|no table|version"):
        Table.open(damaged)


def test_a_file_that_is_not_a_table_is_refused(tmp_path):
    with pytest.raises(TableError, match=r"none\.safetensors: cannot be read: No such file"):
        Table.open(tmp_path / "none.safetensors")
    with pytest.raises(TableError, match="cannot be read: Is a directory"):
        Table.open(tmp_path)
    (tmp_path / "text").write_text("Once upon a time, there was no table here.")
    with pytest.raises(TableError, match=r"not a table.*`edanas tabulate` writes"):
        Table.open(tmp_path / "text")
    save_file({"weights": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(TableError, match=r"a safetensors file, but not a table"):
        Table.open(tmp_path / "other.safetensors")


def test_a_table_of_another_version_is_refused_with_both_versions(small, tmp_path):
    newer = rewritten(small, tmp_path / "newer.safetensors", lambda values: values.update(version=2))
    with pytest.raises(TableError, match="format version 2; this edanas reads version 1"):
        Table.open(newer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("variables"), "description is invalid"),
        (lambda v: v["variables"][0].update(choices=[8, 8]), "allowed: one or more, none twice"),
        (lambda v: v.update(thresholds=[2.0]), "found 2.0"),
        (lambda v: v.update(exit_points=3), "its tensors do not match its description"),
        (lambda v: v.update(backbones=0), "0 backbones"),
        (lambda v: v["parts"].update(test=13), "its tensors do not match its description"),
        (lambda v: v.update(sha256="0"), "SHA-256"),
        (lambda v: v.update(exhaustive=False), "its content does not match its SHA-256"),
    ],
)
def test_a_description_that_does_not_fit_the_tensors_is_refused(small, tmp_path, change, message):
    with pytest.raises(TableError, match=message):
        Table.open(rewritten(small, tmp_path / "table.safetensors", change))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("genomes", 0, "it holds a backbone twice"),
        ("genomes", 7, "gene 7; allowed"),
        ("macs", -1, "a cost is negative"),
        ("test.confidence", 1.5, "a confidence is outside 0 to 1"),
        ("test.confidence", np.nan, "a confidence is outside 0 to 1"),
        ("validation.confidence", -0.25, "a confidence is outside 0 to 1"),
    ],
)
def test_wrong_tensors_of_another_program_are_refused(whole, tmp_path, name, value, message):
    path, few = tmp_path / "table.safetensors", description(backbones=2)
    with creating(path, few) as arrays:
        arrays["genomes"][1, 0] = 1
        arrays[name][:, ...] = value
    with pytest.raises(TableError, match=message):
        Table.open(path)


def test_further_keys_are_ignored_and_damage_is_accepted_only_on_request(small, tmp_path):
    def extended(values):
        values.update(licence="CC0")

    newer = rewritten(small, tmp_path / "table.safetensors", extended)
    with pytest.raises(TableError, match="SHA-256"):
        Table.open(newer)
    table = Table.open(newer, verify=False)
    candidate = Candidate(next(iter(table.backbones)), SelectionScheme((0.5, None)))
    assert table.metrics(candidate) == Table.open(small).metrics(candidate)


def test_every_tensor_and_key_is_documented(whole):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "tables.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| `")]
    content = whole.path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    keys = json.loads(header["__metadata__"][KEY])
    assert {"version", "sha256", "provenance"} <= set(keys)
    assert [key for key in keys if f"`{key}`" not in rows] == []
    tensors = [name for name in whole.description.row() if not name.startswith("test.")]
    assert [name for name in tensors if f"`{name}`" not in rows] == []


def test_a_file_is_written_completely_or_not_at_all(tmp_path):
    path = tmp_path / "table.safetensors"
    with pytest.raises(ZeroDivisionError), creating(path, description()):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match=r"absent/table\.safetensors: cannot be written: No such file"):
        creating(tmp_path / "absent" / path.name, description()).__enter__()
    assert issubclass(TableError, EdanasError)
