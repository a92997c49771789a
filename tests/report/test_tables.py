from typing import Any

import pytest
from rich.console import Console

from edanas.report.html.sections import networks_table
from edanas.report.result import Result
from edanas.report.tables import fronts_table


def lines_of(data: dict[str, Any], width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(fronts_table(Result("run", data)))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_with_a_line_for_each_network(data: dict[str, Any], width: int) -> None:
    lines = lines_of(data, width)
    assert max(map(len, lines)) <= width
    words = [" ".join(line.split()) for line in lines]
    assert "1 99.0 0.950 1.00 50 33 98.5 .50 – – – 50 – – – 50" in words
    assert "4* 98.1 2.38 2.50 50 – 98.5 .50 .50 .50 .50 12 12 12 12 50" in words
    assert "0 95.0 1.20 1.20 100 – 95.0 – – – – – – – – 100" in words
    assert not any("…" in line for line in lines)


def test_widest_numbers_still_fit(data: dict[str, Any]) -> None:
    row = data["front"][3]
    row |= {"test_accuracy": 1.0, "backbone_test_accuracy": 1.0, "thresholds": [1.0] * 4}
    row |= {"ada_macs": 595e6, "executed_macs": 595e6, "backbone_macs": 590e6, "utilization": [0.2] * 5}
    assert "4* 100.0 595 595 101 no gain 100.0 1.00 1.00 1.00 1.00 20 20 20 20 20" in [
        " ".join(line.split()) for line in lines_of(data, 100)
    ]


def test_networks_stand_by_number_of_exits_then_by_cost(data: dict[str, Any]) -> None:
    data["front"].reverse()
    data["static_front"].reverse()
    words = [line.split()[0] for line in lines_of(data, 100) if line.split()]
    first = [word for word in words if word.rstrip("*").isdecimal()]
    assert first[:6] == ["1", "2", "3", "4*", "0", "0"]


def test_the_convention_is_named(data: dict[str, Any]) -> None:
    text = " ".join(lines_of(data, 100))
    assert "multiply-adds" in text
    assert "Eq. 5" in text


def test_it_says_on_how_many_images_the_networks_were_tested(data: dict[str, Any]) -> None:
    assert "Tested once" not in " ".join(lines_of(data, 100))
    assert "Tested once, on 359 samples." in " ".join(lines_of(data | {"samples": {"test": 359}}, 100))


def test_an_empty_result_makes_an_empty_table(data: dict[str, Any]) -> None:
    assert lines_of(data | {"front": [], "static_front": []}, 100)


def test_calibration_and_test_values_of_thresholds_are_printed(data: dict[str, Any]) -> None:
    assert "calibration" not in " ".join(lines_of(data, 100))
    data["front"][0] |= {"calibration_accuracy": 0.98, "calibration_executed_macs": 0.8e6}
    assert "line by line: 98.0 to 96.0% at 0.800 to 1.00M." in " ".join(lines_of(data, 100))


def test_a_cut_network_has_no_entries_behind_its_end(data: dict[str, Any]) -> None:
    data["front"][0]["backbone"] = {"stages": 2, "resolution": 16}
    data["static_front"][0]["backbone"] = {"stages": 1, "resolution": 16}
    words = [" ".join(line.split()) for line in lines_of(data, 100)]
    assert "1 99.0 0.950 1.00 50 33 98.5 .50 50 50" in words
    assert "0 95.0 1.20 1.20 100 – 95.0 100" in words


def test_lines_say_where_early_exits_bring_nothing(data: dict[str, Any]) -> None:
    assert "bring nothing" not in " ".join(lines_of(data, 100))
    data["static_front"][0] |= {"validation_accuracy": 0.96, "executed_macs": 0.9e6}
    text = " ".join(" ".join(lines_of(data, 100)).split())
    assert "1 99.0 0.950 1.00 50 no gain 98.5" in text
    assert "e1: Early exits bring nothing here: the network executes 111% of the multiply-adds of the" in text
    nothing = " ".join(lines_of(data | {"front": []}, 100))
    assert "No finished network has early exits" in nothing


def test_networks_that_another_dominates_on_the_validation_part_are_marked(data: dict[str, Any]) -> None:
    for row in data["front"]:
        row |= {
            "validation_accuracy": 0.9 + row["exits"] / 100,
            "validation_executed_macs": 1e6 * row["exits"],
        }
    assert "*" not in " ".join(lines_of(data, 100))
    data["front"][1] |= {"validation_accuracy": 0.91, "test_accuracy": 1.0}
    lines = lines_of(data, 100)
    assert [line.split()[0] for line in lines if line.split()[:1] in (["1"], ["2*"], ["3"], ["4"])] == [
        *("1", "2*", "3", "4")
    ]
    assert "e2 by e1 (91.0% at 1.00M)" in " ".join(" ".join(lines).split())
    page = networks_table("Early-exit networks", Result("run", data).early_exit)
    assert "2*<" in page
    assert "e2 by e1 (91.0% at 1.00M)" in page
