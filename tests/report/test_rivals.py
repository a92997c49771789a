from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edanas.core.result_row import ResultRow
from edanas.report.comparison import compare
from edanas.report.result import Result
from edanas.report.rivals import comparison_text, find_rival, with_rivals


def network(name: str, validation: float, macs: float, **values: Any) -> ResultRow:
    return ResultRow(
        id=name,
        exits=0,
        thresholds=(None, None),
        utilization=(0.0, 0.0, 1.0),
        test_accuracy=values.pop("test", 0.5),
        validation_accuracy=validation,
        ada_macs=macs,
        executed_macs=macs,
        backbone_macs=values.pop("backbone_macs", 2 * macs),
        backbone_test_accuracy=0.5,
        params=1,
        **values,
    )


@given(
    st.tuples(st.integers(0, 5), st.integers(1, 9)),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(0, 5))),
)
def test_the_rival_is_the_cheapest_network_that_validates_as_well(
    own: tuple[int, int], others: list[tuple[int, int, int]]
) -> None:
    row = network("a", own[0] / 5, own[1])
    singles = [network(str(n), v / 5, m, test=t / 5) for n, (v, m, t) in enumerate(others)]
    as_accurate = [single for single in singles if single.validation_accuracy >= row.validation_accuracy]
    rival = find_rival(row, singles)
    assert (rival is None) == (not as_accurate)
    (compared,) = with_rivals([row], singles)
    if rival is None:
        assert (compared.rival, compared.rival_cost) == (None, None)
        return
    assert rival in as_accurate
    assert rival.executed_macs == min(single.executed_macs for single in as_accurate)
    assert compared.rival == rival.id
    assert compared.rival_cost == row.executed_macs / rival.executed_macs


@pytest.mark.parametrize(
    ("macs", "backbone", "words"),
    [
        (
            80.0,
            200.0,
            "It executes 80% of the multiply-adds of the best single-exit network that is as accurate",
        ),
        (100.0, 200.0, "Early exits bring nothing here: the network executes 100% of the multiply-adds of"),
        (150.0, 200.0, "Early exits bring nothing here: the network executes 150% of the multiply-adds of"),
        (90.0, 80.0, "Early exits bring nothing here: the network executes 112% of its own backbone's"),
        (120.0, 80.0, "executes 150% of its own backbone's multiply-adds and 120% of the multiply-adds of"),
    ],
)
def test_a_network_that_saves_nothing_says_so(macs: float, backbone: float, words: str) -> None:
    rival = network("s", 0.9, 100.0, test=0.8, backbone={"stages": 2, "resolution": 16})
    (row,) = with_rivals([network("a", 0.9, macs, backbone_macs=backbone)], [rival])
    assert words in comparison_text(row, [rival])
    assert row.is_cheaper == (macs < min(100.0, backbone))
    if macs != 90.0:
        assert "(s, cut after stage 2, 80.0% at 0.000M)." in comparison_text(row, [rival])


def test_a_network_that_no_single_exit_network_matches() -> None:
    (row,) = with_rivals([network("a", 0.9, 90.0)], [network("s", 0.89, 1.0)])
    assert row.is_cheaper
    assert comparison_text(row, []).startswith("No single-exit network of the search, cut ones included")


def test_results_and_comparisons_hold_the_rival(data: dict[str, Any]) -> None:
    by_id = {row.id: row for row in Result("run", data).early_exit}
    assert (by_id["e1"].rival, by_id["e1"].rival_cost) == ("s2", 1 / 3)
    assert (by_id["e3"].rival, by_id["e3"].rival_cost) == (None, None)
    data["static_front"][1]["validation_accuracy"] = 0.985
    (row,) = compare([Result("run", data)]).rows()
    assert row["rival_cost"] == pytest.approx(2 / 3)
