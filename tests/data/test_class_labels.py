"""Labels of any kind become classes 0 to K - 1, and keep the values that the user wrote."""

import numpy as np
import pandas as pd
import pytest
import torch

from edanas.core.errors import DataError
from edanas.data.class_labels import ClassLabels


@pytest.mark.parametrize(
    ("labels", "values", "codes"),
    [
        (["dog", "cat", "dog"], ("cat", "dog"), [1, 0, 1]),
        (["class10", "class2"], ("class2", "class10"), [1, 0]),
        ([30, -7, 30], (-7, 30), [1, 0, 1]),
        (np.array([2, 100, 2], np.uint8), (2, 100), [0, 1, 0]),
        (np.array([3.0, 1.0]), (1, 3), [1, 0]),
        (np.array([[1], [0]]), (0, 1), [1, 0]),
        ([True, False], (False, True), [1, 0]),
        (np.array(["b", "a"]), ("a", "b"), [1, 0]),
        (np.array(["b", "a"], dtype=object), ("a", "b"), [1, 0]),
        (torch.tensor([5, 4]), (4, 5), [1, 0]),
        (pd.Series([9, 8], index=[100, 3]), (8, 9), [1, 0]),
        (pd.Categorical(["x", "y", "x"]), ("x", "y"), [0, 1, 0]),
        (pd.Series(pd.Categorical([3, 1])), (1, 3), [1, 0]),
        (pd.Series([1, 2], dtype="Int64"), (1, 2), [0, 1]),
    ],
)
def test_labels_become_classes(labels, values, codes):
    classes = ClassLabels.of(labels)
    assert classes.values == values
    assert [type(each) for each in classes.values] == [type(each) for each in values]
    assert classes.codes.tolist() == codes
    assert classes.names == tuple(map(str, values))


def test_names_of_numbered_classes_order_them():
    classes = ClassLabels.of([0, 1, 2], ["zebra", "ant", "class10"])
    assert classes.names == ("ant", "class10", "zebra")
    assert classes.values == (1, 2, 0)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([1, None, 2], (), "row 1 has no label"),
        ([float("nan"), 1, float("nan")], (), "2 rows, the first is row 0, have no label"),
        (pd.Series([1, pd.NA], dtype="Int64"), (), "row 1 has no label"),
        (["a", 1], (), "texts and numbers"),
        ([0.25, 1.0], (), "0.25 in row 0.*not measured values"),
        ([[1], [2]], (), "found a list of 1 in row 0"),
        ("cat", (), "found a str"),
        ([0, 3], ("a", "b"), "found 3 in row 1; allowed with 2 names of classes: 0 to 1"),
        (["a", "a "], (), "'a' and 'a ' have the same name"),
        (["", "a"], (), "empty label"),
    ],
)
def test_wrong_labels_are_one_clear_error(labels, names, message):
    with pytest.raises(DataError, match=message):
        ClassLabels.of(labels, names)
