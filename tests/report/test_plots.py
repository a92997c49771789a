import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edanas.core.errors import EdanasError
from edanas.report import plots
from edanas.report.result import Result


def test_every_network_is_where_its_numbers_say(data: dict[str, Any]) -> None:
    axes = plots.draw(data).axes[0]
    drawn = {tuple(np.round(point, 6)) for line in axes.lines for point in line.get_xydata()}
    for row in data["front"] + data["static_front"]:
        assert (round(row["executed_macs"] / 1e6, 6), round(100 * row["test_accuracy"], 6)) in drawn
    for macs, accuracy in data["candidates"]:
        assert (macs / 1e6, round(100 * accuracy, 6)) in drawn
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4"]


def test_plain_networks_are_drawn_unless_they_press_the_others_together(data: dict[str, Any]) -> None:
    largest = max(row["executed_macs"] for row in data["front"] + data["static_front"])
    near, far = ({**data["static_front"][0], "executed_macs": share * largest} for share in (1.4, 1.6))
    axes = plots.draw(data | {"plain": [near, far]}).axes[0]
    drawn = [line.get_xydata()[:, 0].tolist() for line in axes.lines if line.get_color() == plots.PLAIN]
    assert [near["executed_macs"] / 1e6] in drawn
    assert all(far["executed_macs"] / 1e6 not in places for places in drawn)


def test_the_line_joins_only_networks_that_none_dominates(data: dict[str, Any]) -> None:
    axes = plots.draw(data).axes[0]
    lines = [
        line.get_xydata().tolist()
        for line in axes.lines
        if line.get_linestyle() == "-" and line.get_color() == plots.EARLY and line.get_linewidth() > 1
    ]
    joined = [points for points in lines if len(points) == 1 or (points and points[0] != points[-1])]
    assert joined == [[[1.0, 99.0]]]


def test_axes_name_their_units(data: dict[str, Any]) -> None:
    axes, below = plots.draw(data).axes
    assert "executed MACs" in axes.get_xlabel()
    assert "million multiply-adds" in axes.get_xlabel()
    assert "%" in axes.get_ylabel()
    assert "hypervolume" in below.get_ylabel()
    assert below.lines[0].get_ydata().tolist() == data["hypervolume"]


def test_one_bad_candidate_does_not_squeeze_the_fronts(data: dict[str, Any]) -> None:
    axes = plots.draw(data).axes[0]
    assert axes.get_ylim()[0] > 80
    assert axes.get_ylim()[1] >= 100
    assert any("1 more lie below" in text.get_text() for text in axes.get_legend().get_texts())


def test_one_dear_candidate_does_not_squeeze_the_fronts(data: dict[str, Any]) -> None:
    largest = max(row["executed_macs"] for row in data["front"] + data["static_front"])
    dear = [10 * largest, 0.99]
    axes = plots.draw(data | {"candidates": [*data["candidates"], dear]}).axes[0]
    assert axes.get_xlim()[1] < 10 * largest / 1e6
    assert any("1 dearer left out" in text.get_text() for text in axes.get_legend().get_texts())


def test_a_result_of_the_fixed_keys_alone_is_drawn(data: dict[str, Any]) -> None:
    bare = {key: data[key] for key in ("front", "static_front", "settings", "seed")}
    assert len(plots.draw(bare).axes) == 1
    nothing = plots.draw(bare | {"front": [], "static_front": []})
    assert nothing.axes[0].get_legend() is None


@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf"])
def test_equal_results_make_equal_files(tmp_path: Path, data: dict[str, Any], ending: str) -> None:
    result = Result(tmp_path, data)
    for name in ("a", "b"):
        result.plot(tmp_path / f"{name}{ending}")
    content = (tmp_path / f"a{ending}").read_bytes()
    assert content == (tmp_path / f"b{ending}").read_bytes()
    assert len(content) > 5000


def test_the_png_is_a_picture_on_white(tmp_path: Path, data: dict[str, Any]) -> None:
    Result(tmp_path, data).plot(tmp_path / "plot.png")
    picture = Image.open(tmp_path / "plot.png").convert("RGB")
    assert min(picture.size) > 600
    assert picture.getpixel((1, 1)) == (255, 255, 255)


def test_a_strange_ending_is_named(tmp_path: Path, data: dict[str, Any]) -> None:
    with pytest.raises(EdanasError, match=r"found the ending '.gif'; allowed: .svg, .png, .pdf"):
        Result(tmp_path, data).plot(tmp_path / "plot.gif")
    with pytest.raises(EdanasError, match=r"plot.png: cannot be written: No such file"):
        Result(tmp_path, data).plot(tmp_path / "nowhere" / "plot.png")


def test_pyplot_is_not_touched(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    Result(tmp_path, data).plot(tmp_path / "plot.png")
