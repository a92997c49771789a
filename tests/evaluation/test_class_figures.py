import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, recall_score

from edanas.core.result_row import ResultRow
from edanas.evaluation.class_figures import class_figures
from edanas.thresholds.profiles import balanced_accuracy


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40),
)
def test_figures_are_those_of_scikit_learn(pairs):
    labels, predictions = (np.array(each) for each in zip(*pairs, strict=True))
    figures = class_figures(labels, predictions, classes=4)
    expected = confusion_matrix(labels, predictions, labels=range(4))
    matrix = np.zeros((4, 4), dtype=int)
    for label, prediction, count in figures["confusion"]:
        matrix[label, prediction] = count
    np.testing.assert_array_equal(matrix, expected)
    present = sorted(set(labels.tolist()))
    recalls = recall_score(labels, predictions, labels=present, average=None, zero_division=0)
    assert [figures["class_recall"][label] for label in present] == recalls.tolist()
    assert all(figures["class_recall"][label] is None for label in range(4) if label not in present)
    mean = float(np.mean(recalls))
    assert abs(figures["balanced_accuracy"] - mean) < 1e-12
    assert abs(balanced_accuracy(labels == predictions, labels) - mean) < 1e-12


def test_a_row_keeps_them_in_json():
    row = ResultRow(
        id="a1",
        exits=0,
        thresholds=(None,),
        utilization=(0.0, 1.0),
        test_accuracy=0.5,
        validation_accuracy=0.5,
        ada_macs=1.0,
        executed_macs=1.0,
        backbone_macs=1.0,
        backbone_test_accuracy=0.5,
        params=1,
        **class_figures(np.array([0, 1, 1]), np.array([1, 1, 0]), classes=3),
    )
    values = row.to_json()
    assert values["confusion"] == [[0, 1, 1], [1, 0, 1], [1, 1, 1]]
    assert values["class_recall"] == [0.0, 0.5, None]
    assert ResultRow.from_json(values) == row
