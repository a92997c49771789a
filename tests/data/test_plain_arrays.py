"""Odd containers of samples and labels: each is read as it is meant, or is one clear error."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from edanas.core.errors import DataError
from edanas.data.class_labels import ClassLabels, plain_labels
from edanas.data.passed_data import sample_set_of
from edanas.data.plain_arrays import as_array
from edanas.data.sample_arrays import samples_of
from edanas.data.sample_layout import layout_of

ROW = np.array([[1.0, 2.0, 3.0]])
GAP = [[1.0, 2.0, np.nan]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.ma.array(ROW, mask=[[False, False, True]]), GAP),
        (np.ma.array([[1, 2, 3]], mask=[[False, False, True]]), GAP),
        (np.ma.array([[1, 2, 3]]), [[1, 2, 3]]),
        (pd.DataFrame([[1, 2, pd.NA]]).astype("Int64"), GAP),
        (pd.DataFrame(ROW).astype("Float64"), ROW),
        (np.array([[1, 2, None]], dtype=object), GAP),
        (np.array([[1, 2, 3]], dtype=object), [[1, 2, 3]]),
        (ROW.astype(">f4")[:, ::-1][:, ::-1], ROW),
        (torch.tensor(ROW, dtype=torch.bfloat16), ROW),
    ],
)
def test_missing_values_are_nan_and_numbers_stay(values, expected):
    array = samples_of(values)[0]
    assert array.dtype.kind in "if"
    assert array.shape == (3,)
    np.testing.assert_array_equal(array, np.array(expected)[0])


class Column(list):
    """A column of pyarrow, whose `to_numpy` refuses to copy lists and gaps."""

    to_pylist = list.copy

    def to_numpy(self):
        raise ValueError("Needed to copy, but zero_copy_only was True")


def test_columns_of_pyarrow_are_copied():
    assert samples_of(Column([[1.0, 2.0], [3.0, None]]))[0].tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(as_array(Column([1.0, None])), [1.0, np.nan])


def test_labels_in_objects_keep_their_types():
    for labels in ([True, None], [2**60 + 1, None], ["a", None]):
        assert plain_labels(np.array(labels, dtype=object)) == labels
    with pytest.raises(DataError, match="found numbers and booleans"):
        ClassLabels.of(np.array([True, 5], dtype=object))


def test_whole_numbers_in_objects_stay_whole():
    assert as_array(np.array([1, 2], dtype=object)).dtype.kind == "i"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (sparse.csr_matrix(ROW), "found a sparse csr_matrix; allowed: a dense array"),
        (torch.tensor(ROW).to_sparse(), "allowed: dense tensors of real numbers"),
        (torch.zeros(2, 3, device="meta"), "allowed: dense tensors of real numbers"),
        (torch.tensor(ROW + 1j).conj(), "complex numbers"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), "X: row 0: found 'x' of type str"),
        ([None, None], "X: row 0: found None"),
        (np.zeros(3, dtype=[("a", "f4")]), "real numbers"),
    ],
)
def test_samples_that_are_no_numbers_are_named(values, message):
    with pytest.raises(DataError, match=message):
        samples_of(values, "X")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(3), r"found shape \(\)"),
        (torch.tensor(3), r"found shape \(\)"),
        (np.arange(3).astype("M8[ns]"), "found dates"),
        (np.arange(3).astype("m8[ns]"), "found dates"),
        ({1, 2}, "found a set"),
        ({0: "a"}, "found a dict"),
        (list(np.eye(3)), "found an ndarray of 3 in row 0"),
        ([[1, 2], [0, 1]], "found a list of 2 in row 0"),
        (list(torch.eye(3)), "found a Tensor of 3 in row 0"),
        (sparse.csr_matrix(ROW), "found a sparse csr_matrix"),
        (pd.DataFrame({"a": [1, 2], "b": [1, 2]}), r"found shape \(2, 2\)"),
        ([b"\xff", b"a"], "found bytes in row 0"),
        ([True, 1, 0], "found numbers and booleans"),
    ],
)
def test_labels_of_odd_kinds_are_named(labels, message):
    with pytest.raises(DataError, match=f"labels: .*{message}"):
        ClassLabels.of(labels)


def test_a_column_of_labels_is_read_as_labels():
    for column in (pd.DataFrame({"label": ["a", "b"]}), np.array([["a"], ["b"]]), [b"a", np.str_("b")]):
        assert plain_labels(column) == ["a", "b"]


def test_parts_of_other_channels_are_no_series_of_another_length():
    sets = {"train": (np.ones((4, 2, 16)), [0, 1, 0, 1]), "test": (np.ones((2, 1, 16)), [0, 1])}
    with pytest.raises(DataError, match=r"two readings; add --set data\.layout=NCL or data\.layout=NLC"):
        layout_of(sample_set_of(sets).samples)
    empty = {"train": sets["train"], "test": (np.ones((0, 2, 16)), [])}
    with pytest.raises(DataError, match="X in the test part: found shape"):
        sample_set_of(empty)
    with pytest.raises(DataError, match=r"found 'trian' \(tuple\)"):
        sample_set_of({"trian": sets["train"]})


class Items:
    """A data set whose length is larger than its number of items."""

    def __len__(self):
        return 5

    def __getitem__(self, number):
        return np.zeros((2, 4)), [0, 1, 0][number]


def test_items_that_cannot_be_read_are_named():
    with pytest.raises(DataError, match="item 3 of 5 cannot be read: IndexError: list index"):
        sample_set_of(Items())
    with pytest.raises(DataError, match=r"found a DataLoader, which returns batches; allowed: .*`\.dataset`"):
        sample_set_of(torch.utils.data.DataLoader(Items()))
