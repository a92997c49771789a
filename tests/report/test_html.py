import base64
import hashlib
import re
import tomllib
from dataclasses import replace
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import EVIL, Reader, page_of
from recorded_runs import evaluated

from edanas.core.contracts import SurrogateNote
from edanas.report.history import RunHistory, Step
from edanas.report.html.candidate_points import MOST
from edanas.report.html.charts import ticks


def test_the_page_is_well_formed_and_needs_nothing_else(data: dict[str, Any]) -> None:
    page = page_of(data)
    reader = Reader(page)
    assert not {"link", "iframe", "object", "form", "base"} & reader.tags
    assert all("src" not in attributes for tag, attributes in reader.elements if tag == "script")
    loaded = [v for name, v in reader.attributes if name in ("src", "href", "xlink:href", "action", "srcset")]
    assert all(value.startswith(("#", "models/", "data:image/")) for value in loaded)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    assert "prefers-color-scheme: dark" in style
    assert ("content", "width=device-width, initial-scale=1") in reader.attributes
    assert ("lang", "en") in reader.attributes


def test_the_policy_allows_the_pages_own_script_alone(data: dict[str, Any]) -> None:
    page = page_of(data)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    own = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(v for _, v in Reader(page).attributes if v.startswith("default-src"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{own}'" in policy


def test_headings_are_nested_and_names_of_ids_occur_once(data: dict[str, Any]) -> None:
    reader = Reader(page_of(data))
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for name, value in reader.attributes if name == "href" and value.startswith("#")}
    assert links <= set(ids)
    assert {"result", "chart", "networks", "figures", "search", "failures"} < links


def test_both_fronts_stand_in_the_tables(data: dict[str, Any]) -> None:
    early, single = [table for table in Reader(page_of(data)).tables if len(table[0]) == 14]
    assert [len(early), len(single)] == [4, 2]
    assert early[1] == [
        "2",
        "97.2",
        "95.2 to 98.2",
        "97.0",
        "1.43",
        "1.50",
        "50",
        "50",
        "98.5",
        "3.00",
        "182,004",
        ".50 .50   –   –",
        "25 25  –  – 50",
        "file",
    ]
    assert single[0][:3] == ["0", "95.0", "–"]
    assert single[0][-1] == "–"


def test_conclusions_are_drawn_from_validation_and_compare_at_equal_accuracy(data: dict[str, Any]) -> None:
    best = (
        "97.0% test accuracy at 2.00M executed MACs with 3 early exits: 50% of the cost of its backbone, "
        "which reaches 98.5%. No single-exit network of the search, cut ones included, is as accurate."
    )
    assert best in Reader(page_of(data)).text
    data["static_front"][1]["validation_accuracy"] = 0.985
    rival = (
        "It executes 67% of the multiply-adds of the best single-exit network that is as accurate on the "
        "validation part (s2, 98.0% at 3.00M)."
    )
    assert rival in Reader(page_of(data)).text
    data["static_front"][1]["executed_macs"] = 1e6
    assert "Early exits bring nothing here: the network executes 200%" in Reader(page_of(data)).text
    assert "no gain" in Reader(page_of(data)).text


def test_calibration_and_test_values_of_thresholds_are_side_by_side(data: dict[str, Any]) -> None:
    heading = "Generalisation gap of the thresholds"
    assert heading not in Reader(page_of(data)).text
    data["front"][0] |= {"calibration_accuracy": 0.98, "calibration_executed_macs": 0.8e6}
    data["front"][1] |= {"calibration_accuracy": None, "calibration_executed_macs": None}
    reader = Reader(page_of(data))
    assert heading in reader.text
    (rows,) = [table for table in reader.tables if len(table[0]) == 7]
    assert rows == [["1 early exit", "98.0", "96.0", "-2.0", "0.800", "1.00", "+25.0"]]


def test_accuracy_share_and_cost_stand_by_exit(data: dict[str, Any]) -> None:
    row = data["front"][1]
    row |= {
        "stage_macs": [100_000, 200_000, 400_000, 800_000, 1_500_000],
        "head_macs": [10_000, 20_000, None, None],
    }
    row["last_macs"] = 30_000
    tables = [table for table in Reader(page_of(data)).tables if len(table[0]) == 5]
    # Exit 2 needs both heads; the last exit needs all stages, both heads and its own.
    assert tables[1] == [
        ["exit 1", "0.500", "25.0", "99.0", "0.110"],
        ["exit 2", "0.500", "25.0", "99.0", "0.330"],
        ["last exit", "–", "50.0", "93.0", "3.06"],
    ]
    assert tables[0][0] == ["exit 1", "0.500", "50.0", "99.0", "–"]


def test_the_drawing_is_as_thick_as_the_share_of_images(data: dict[str, Any]) -> None:
    page = page_of(data)
    drawing = re.findall(r'<svg class="anatomy".*?</svg>', page, re.DOTALL)[1]
    heights = [float(h) for h in re.findall(r'class="flow(?: in)?" [^>]*height="([0-9.]+)"', drawing)]
    whole = heights[0]
    # In and after each stage: all images at first, then those without exits 1 and 2.
    expected = [1, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert [h / whole for h in heights] == pytest.approx(expected, abs=0.001)
    assert len(re.findall(r'class="leave', drawing)) == 3
    assert "25.0% of the samples exit at exit 2" in drawing


def test_a_cut_network_is_drawn_up_to_its_end(data: dict[str, Any]) -> None:
    row = data["front"][1]
    row |= {"backbone": {"stages": 3}, "stage_macs": [100_000, 200_000, 400_000, 0, 0]}
    drawing = re.findall(r'<svg class="anatomy".*?</svg>', page_of(data), re.DOTALL)[1]
    assert re.findall(r">stage (\d)<", drawing) == ["1", "2", "3"]
    heights = [float(h) for h in re.findall(r'class="flow(?: in)?" [^>]*height="([0-9.]+)"', drawing)]
    assert [h / heights[0] for h in heights] == pytest.approx([1, 0.75, 0.75, 0.5, 0.5], abs=0.001)
    assert len(re.findall(r'class="leave', drawing)) == 3
    assert "50.0% of the samples exit at last exit" in drawing


def test_the_drawing_of_a_cut_network_ends_with_its_last_stage(data: dict[str, Any]) -> None:
    data["front"][0] |= {
        "backbone": {"stages": 2, "resolution": 16},
        "stage_macs": [100_000, 200_000, 0, 0, 0],
        "head_macs": [10_000, None, None, None],
        "last_macs": 20_000,
    }
    reader = Reader(page_of(data))
    drawing = re.findall(r'<svg class="anatomy".*?</svg>', page_of(data), re.DOTALL)[0]
    assert "stage 2" in drawing
    assert "stage 3" not in drawing
    assert len(re.findall(r'class="leave', drawing)) == 2
    exits = next(table for table in reader.tables if len(table[0]) == 5)
    assert exits == [
        ["exit 1", "0.500", "50.0", "99.0", "0.110"],
        ["last exit", "–", "50.0", "93.0", "0.330"],
    ]


def test_the_settings_can_be_copied(data: dict[str, Any]) -> None:
    page = page_of(data)
    block = unescape(re.search(r'<pre id="settings"[^>]*>(.*?)</pre>', page, re.DOTALL)[1])  # type: ignore[index]
    assert tomllib.loads(block) == data["settings"]


def test_settings_of_another_program_are_shown_too(data: dict[str, Any]) -> None:
    data["settings"]["thresholds"] = [0.1, None]
    assert "null" in Reader(page_of(data)).text


def test_remarks_and_times_are_told(data: dict[str, Any]) -> None:
    text = Reader(page_of(data)).text
    for part in (
        "3 of 9 images were resized from 64x64 to 32x32.",
        "supernet: 61 s",
        "seed 3",
        "40 candidates, 1 of them failed",
        "search ended: time limit",
        "duration: 1.5 minutes",
        "2 classes: cat, dog",
        "/pictures",
    ):
        assert part in text


def test_the_history_names_each_candidate(data: dict[str, Any]) -> None:
    history = RunHistory(tuple(evaluated(i, 0.5 + 0.1 * i, 1e6 * (i + 1), i) for i in range(4)))
    reader = Reader(page_of(data, history=history))
    points = [values for _, values in reader.elements if values.get("class", "").startswith("point dot")]
    assert [attributes["data-iteration"] for attributes in points] == ["0", "1", "2", "3"]
    for each in history.evaluations:
        assert f"Candidate {each.candidate.id}, iteration {each.iteration}" in reader.text
    assert "2 early exits, thresholds .10 .20" in reader.text
    assert "backbone: resolution 16, depth 0, kernel 35 7" in reader.text
    assert any(values.get("id") == "until" and values["max"] == "3" for _, values in reader.elements)


def test_without_an_archive_candidates_are_points_without_names(data: dict[str, Any]) -> None:
    reader = Reader(page_of(data))
    points = [values for _, values in reader.elements if values.get("class", "").startswith("point dot")]
    assert len(points) == 3
    # 20% is far below all test accuracies, and is drawn on the axis.
    assert [attributes["class"] for attributes in points].count("point dot under") == 1
    assert "1 of the points lie below the chart" in reader.text
    assert all(attributes.get("id") != "until" for _, attributes in reader.elements)


def trade_off(name: str, accuracy: float, macs: float, iteration: int) -> dict[str, Any]:
    return {
        "id": name,
        "iteration": iteration,
        "exits": 2,
        "thresholds": [0.25, None, 0.5, None],
        "validation_accuracy": accuracy,
        "ada_macs": 0.9 * macs,
        "executed_macs": macs,
        "backbone": {"resolution": 16},
    }


def test_a_search_of_backbones_is_drawn_by_its_trade_offs(data: dict[str, Any]) -> None:
    # The rows of the archive, the last exits at the whole cost, are no trade-offs.
    history = RunHistory(tuple(evaluated(i, 0.5 + 0.1 * i, 1e6 * (i + 1), i) for i in range(4)))
    data["settings"]["thresholds"] = "continuous"
    data["candidates"] = [[1.1e6, 0.96, 0, 2], [1.9e6, 0.95, 1, 1], [1.9e6, 0.97, 3, 2], [1.1e6, 0.96, 2, 1]]
    data["pareto"] = [trade_off("aaaa", 0.96, 1.1e6, 0), trade_off("bbbb", 0.97, 1.9e6, 3)]
    reader = Reader(page_of(data, history=history))
    points = [values for _, values in reader.elements if values.get("class", "").startswith("point dot")]
    assert [attributes["data-iteration"] for attributes in points] == ["1", "0", "3"]
    assert "Trade-off bbbb, iteration 3" in reader.text
    assert "validation accuracy 97.0% at 1.90M executed MACs (ADA_MACS 1.71M)" in reader.text
    assert "2 early exits, thresholds .25 – .50 –" in reader.text
    assert "A trade-off of the search, iteration 1" in reader.text
    assert "Candidate " not in reader.text
    assert "trade-offs of the search" in reader.text
    assert any(values.get("id") == "until" and values["max"] == "3" for _, values in reader.elements)


def test_trade_offs_without_an_iteration_have_no_control_of_time(data: dict[str, Any]) -> None:
    data["settings"]["thresholds"] = "continuous"
    data["pareto"] = [trade_off("aaaa", 0.95, 1.9e6, 2)]
    reader = Reader(page_of(data))
    points = [values for _, values in reader.elements if values.get("class", "").startswith("point dot")]
    assert len(points) == 3
    assert all(attributes.get("id") != "until" for _, attributes in reader.elements)
    assert "newer points bolder" not in reader.text


def test_a_long_search_makes_no_huge_page_and_keeps_its_front(data: dict[str, Any]) -> None:
    best = evaluated(1, 0.99, 1e5, 1)
    worse = [
        replace(evaluated(1, 0.5, 2e6 + i, 0), candidate=evaluated(i, 0, 0, 0).candidate) for i in range(4000)
    ]
    page = page_of(data, history=RunHistory((*worse[:1234], best, *worse[1234:])))
    assert len(page) < 1_000_000
    assert 0 <= page.count('class="point dot') - MOST <= 1
    assert "validation accuracy 99.0%" in page
    assert re.search(r"25\d\d more points are not drawn", page)


def test_hypervolume_and_surrogates_by_iteration(data: dict[str, Any]) -> None:
    notes = [
        {},
        {"objective 1": "rbf tau 0.40", "objective 2": "gp tau -0.20"},
        {"objective 1": "mlp tau 0.65"},
    ]
    data["settings"]["objectives"] = ["accuracy", EVIL]
    data["iterations"] = [
        {"iteration": i, "evaluated": 10 + i, "failed": 0, "hypervolume": 0.6 + 0.05 * i, "notes": notes[i]}
        for i in range(3)
    ]
    reader = Reader(page_of(data))
    assert "iteration 2: hypervolume 0.7000, 12 candidates so far" in reader.text
    assert "iteration 2, accuracy: mlp, tau 0.65" in reader.text
    assert f"iteration 1, {EVIL}: gp, tau -0.20" in reader.text
    # The log replaces missing `iterations` of a result.
    del data["iterations"]
    steps = (Step(0, 1, 0, 0.5), Step(1, 2, 0, 0.6, {"objective 1": SurrogateNote("cart", 0.11, 0)}))
    assert "accuracy: cart, tau 0.11" in Reader(page_of(data, history=RunHistory(steps=steps))).text


def test_failures_stand_by_reason_the_most_frequent_first(data: dict[str, Any]) -> None:
    data["failures"] = [{"id": f"f{i}", "error": EVIL if i else "rare"} for i in range(20)]
    failures = next(t for t in Reader(page_of(data)).tables if t[0][1] == EVIL)
    assert [row[0] for row in failures] == ["19", "1"]
    assert failures[0][2].startswith("f1, f2,")
    assert failures[0][2].endswith("and 7 more")
    assert "None: every candidate could be evaluated" in Reader(page_of(data | {"failures": []})).text


def test_a_run_that_found_nothing_has_a_page_too() -> None:
    bare = {"front": [], "static_front": [], "settings": {}, "seed": 0}
    reader = Reader(page_of(bare))
    assert "The search found no early-exit network." in reader.text
    assert "Nothing to draw." in reader.text


def test_the_page_is_the_same_every_time(data: dict[str, Any]) -> None:
    assert page_of(data) == page_of(data)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 10), st.booleans())
def test_ticks_are_round_inside_and_even(low: float, span: float, most: int, whole: bool) -> None:
    high = low + span
    if not high > low:
        return
    values = ticks(low, high, most, whole=whole)
    assert len(values) <= most + 1
    room = 1e-6 * max(abs(low), abs(high), span)
    assert all(low - room <= each <= high + room for each in values)
    steps = [b - a for a, b in pairwise(values)]
    assert all(step == pytest.approx(steps[0], rel=1e-3, abs=room) for step in steps)
    if whole:
        assert all(each == round(each) for each in values)
    elif span > 1e-3 * max(abs(low), abs(high)):
        assert values
