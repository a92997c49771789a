from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_tables import fill, genomes, profiler

from edanas.core.errors import CandidateError, RunError, TableError
from edanas.core.types import ExitProfile
from edanas.executors.serial import Serial
from edanas.tables.backbone_choice import choose_backbones
from edanas.tables.journal import Journal
from edanas.tables.reader import Table
from edanas.tables.row_profiler import RowProfiler, compact
from edanas.testing.toy_search import toy_space


class Cut(Serial):
    """An executor that is interrupted after some items."""

    def __init__(self, after):
        super().__init__()
        self.after, self.calls = after, 0

    def run(self, function, items):
        for answer in super().run(function, items):
            if self.calls == self.after:
                raise KeyboardInterrupt
            self.calls += 1
            yield answer


def test_an_interrupted_build_gives_the_same_bytes_and_profiles_no_row_twice(small, tmp_path):
    requested, path = genomes()[::10], tmp_path / "table.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fill(path, requested, executor=Cut(4))
    assert not path.exists()
    # The end of a record is missing, as after the machine itself went down.
    journal = tmp_path / "rows.journal"
    journal.write_bytes(journal.read_bytes()[:-3])
    rest = Cut(100)
    fill(path, requested, executor=rest)
    assert rest.calls == len(requested) - 3
    assert path.read_bytes() == small.read_bytes()


def test_rows_of_another_supernet_are_refused(tmp_path):
    with closing(Journal(tmp_path / "rows.journal", {"supernet": "a", "data": 1})) as journal:
        journal.put("0 0", b"row")
    with pytest.raises(RunError, match=r"rows made with another supernet; use the same"):
        Journal(tmp_path / "rows.journal", {"supernet": "b", "data": 1})
    with closing(Journal(tmp_path / "rows.journal", {"supernet": "a", "data": 1})) as journal:
        assert journal.get("0 0") == b"row"


@given(records=st.lists(st.binary(max_size=40) | st.text(max_size=9), max_size=6), cut=st.integers(0, 400))
@settings(max_examples=60)
def test_a_journal_keeps_complete_rows_after_an_interruption(tmp_path_factory, records, cut):
    path = tmp_path_factory.mktemp("journal") / "rows.journal"
    sizes = []
    with closing(Journal(path, {})) as journal:
        for key, record in enumerate(records):
            journal.put(str(key), record)
            sizes.append(path.stat().st_size)
    path.write_bytes(path.read_bytes()[:cut])
    with closing(Journal(path, {})) as journal:
        for key, (record, size) in enumerate(zip(records, sizes, strict=True)):
            assert (str(key) in journal) == (size <= cut)
            if size <= cut:
                stored = journal.failed if isinstance(record, str) else {str(key): journal.get(str(key))}
                assert stored[str(key)] == record
        journal.put("new", b"after the cut")
        assert journal.get("new") == b"after the cut"


def test_a_backbone_that_fails_is_left_out_with_its_reason(table_folder, tmp_path):
    class Fragile(RowProfiler):
        def _row(self, backbone):
            if backbone["width"] == 8:
                raise CandidateError("too wide")
            return super()._row(backbone)

    fragile = Fragile(*(getattr(profiler(), name) for name in RowProfiler.__dataclass_fields__))
    fill(tmp_path / "table.safetensors", genomes()[::8], profiler=fragile)
    table = Table.open(tmp_path / "table.safetensors")
    assert {backbone["width"] for backbone in table.backbones} == {4}
    assert [(f["backbone"]["width"], f["error"]) for f in table.description.failed] == [
        (8, "CandidateError: too wide")
    ] * 6
    assert not table.description.exhaustive
    with pytest.raises(
        TableError, match=r"none of the 2 backbones could be profiled; the first error: Cand.*wide"
    ):
        fill(tmp_path / "none.safetensors", genomes()[-2:], profiler=fragile)


@given(count=st.integers(1, 800), seed=st.integers(0, 3))
@settings(max_examples=40)
def test_backbones_are_distinct_and_canonical_and_begin_with_the_smallest_and_the_largest(count, seed):
    space = toy_space(layers=4, exit_points=0)
    chosen = choose_backbones(space, count, seed)
    assert len(chosen) == min(count, space.size()) == len(np.unique(chosen, axis=0))
    assert (space.canonical(chosen) == chosen).all()
    assert (chosen == choose_backbones(space, count, seed)).all()
    if count > 1:
        every = {space.backbone(genome) for genome in chosen}
        assert {space.smallest(), space.largest()} <= every


def test_confidences_that_no_table_can_hold_are_refused():
    correct = np.ones((2, 1), dtype=np.bool_)
    for wrong in (1.5, -0.5, np.inf):
        with pytest.raises(CandidateError, match="allowed in a table: 0 to 1"):
            compact("test", ExitProfile((), np.array([[0.5], [wrong]], dtype=np.float32), correct))
    zero = compact("test", ExitProfile((), np.array([[-0.0], [1.0]], dtype=np.float32), correct))
    assert zero["test.confidence"].view("<u2").tolist() == [[0, 0x3C00]]
