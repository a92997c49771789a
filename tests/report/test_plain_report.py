"""The comparison of plain networks with the networks of the search, and the places that show it."""

import io
import json

import pytest
from hand_made_results import result_data as result
from hand_made_results import single
from rich.console import Console

from edanas.cli.views.compare import show_comparison
from edanas.core.result_row import ResultRow
from edanas.report.comparison import compare
from edanas.report.html import render
from edanas.report.plain import plain_content, standing, verdict
from edanas.report.result import Result
from edanas.report.tables import fronts_table, html_table


def network(name, accuracy, macs):
    return ResultRow.from_json({**single(name, accuracy, macs), "model": f"models/{name}.json"})


SEARCHED = (network("a", 0.95, 1_000_000), network("b", 0.98, 3_000_000))


@pytest.mark.parametrize(
    ("accuracy", "macs", "rival", "wins"),
    [
        (0.95, 900_000, "a", True),
        (0.95, 1_000_000, "a", False),
        (0.96, 2_999_999, "b", True),
        (0.96, 3_000_000, "b", False),
        (0.949, 10_000, "a", False),
        (0.99, 3_000_000, None, True),
        (0.99, 3_000_001, None, False),
    ],
)
def test_a_plain_network_wins_if_it_is_cheaper_at_the_accuracy_of_the_search_or_more_accurate_and_not_dearer(
    accuracy, macs, rival, wins
):
    place = standing(network("plain-1", accuracy, macs), SEARCHED)
    assert (place.rival.id if place.rival else None, place.wins) == (rival, wins)
    sentence = place.sentence()
    assert ("plain-1 wins: " in sentence) == wins
    assert ("Its file: models/plain-1.json." in sentence) == wins
    (content,) = plain_content([place.row], SEARCHED)
    assert (content["as_accurate"], content["wins"]) == (rival, wins)


def test_the_verdict_names_all_winners_or_else_the_most_accurate():
    loses, wins, also = (
        network("p1", 0.95, 2_000_000),
        network("p2", 0.97, 2_000_000),
        network("p3", 0.99, 10),
    )
    assert verdict([loses, wins, also], SEARCHED).count(" wins: ") == 2
    assert "p1 does not win: 95.0% at 2.00M; the cheapest" in verdict([loses], SEARCHED)
    assert verdict([], SEARCHED) == verdict([wins], []) == ""


def test_a_cheap_network_below_every_accuracy_of_the_search_is_called_so():
    text = verdict([network("p1", 0.4, 10_000)], SEARCHED)
    assert "p1 does not win: 40.0% at 0.010M; it is less accurate than every network of the search" in text


def with_plain(seed=0):
    data = result()
    rows = [network("plain-8-16-32", 0.97, 42_000), network("plain-24-48-96", 0.999, 90_000_000)]
    searched = [ResultRow.from_json(row) for row in data["front"] + data["static_front"]]
    return {**data, "seed": seed, "settings": {"seed": seed}, "plain": plain_content(rows, searched)}


def test_table_page_and_data_frame_have_a_line_for_each_plain_network(tmp_path):
    data = Result.write(tmp_path, with_plain())
    output = io.StringIO()
    Console(file=output, width=100).print(fronts_table(data))
    lines = [line for line in output.getvalue().splitlines() if line.startswith("plain")]
    assert [("search: " in line) for line in lines] == [True, False]
    page = render(data)
    for text in (page, html_table(data)):
        assert "The plain network plain-8-16-32 wins" in text
    assert 'href="models/plain-8-16-32.json"' in page
    assert [*data.to_dataframe()["kind"]].count("plain") == 2


def test_a_result_without_plain_networks_shows_none(tmp_path):
    data = Result.write(tmp_path, result())
    output = io.StringIO()
    Console(file=output, width=100).print(fronts_table(data))
    for text in (output.getvalue(), render(data), html_table(data)):
        assert "plain network" not in text.lower()


def test_compare_has_a_line_for_the_plain_networks(tmp_path, capsys):
    runs = [Result(tmp_path / str(seed), with_plain(seed)) for seed in (0, 1)]
    comparison = compare(runs, budgets=[1e6])
    ours, plain = comparison.summary()
    assert (plain["method"], plain["seeds"], plain["evaluations"]) == ("plain networks", [0, 1], 2)
    assert (plain["accuracy"], plain["executed_macs"], plain["within"][1e6]) == (0.999, 9e7, 0.97)
    assert plain["as_accurate_macs"] is ours["as_accurate_macs"] is None
    assert json.loads(comparison.to_json())["methods"][1]["method"] == "plain networks"
    show_comparison(comparison, [])
    assert "does not exist for every seed" in " ".join(capsys.readouterr().out.split())


def test_compare_shows_the_cheapest_network_that_is_as_accurate(tmp_path, capsys):
    data = with_plain()
    data["plain"] = data["plain"][:1]
    with_rival = Result(tmp_path / "a", data)
    without = Result(tmp_path / "b", {**result(), "seed": 0, "settings": {"seed": 0, "other": 1}})
    comparison = compare([with_rival, without], names=["one", "two"])
    one, _, plain = comparison.summary()
    assert plain["method"] == "plain networks of one"
    assert plain["as_accurate_macs"] == data["plain"][0]["as_accurate_macs"] > 0
    assert one["as_accurate_macs"] is None
    show_comparison(comparison, [])
    printed = " ".join(capsys.readouterr().out.split())
    assert f"takes {plain['as_accurate_macs'] / 1e6:.3f}M executed MACs" in printed
