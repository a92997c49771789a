from hypothesis import given
from hypothesis import strategies as st

from edanas.report.textplot import ASCII, Glyphs, scatter, sparkline

points = st.lists(st.tuples(st.floats(1e3, 1e9), st.floats(0, 1)), min_size=1, max_size=30)


@given(st.lists(st.floats(-1, 1), max_size=30), st.integers(1, 20))
def test_a_sparkline_rises_and_falls_with_its_values(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    latest = values[-width:]
    assert len(line) == len(latest)
    heights = [Glyphs.bars.index(each) for each in line]
    for (a, b), (x, y) in zip(
        ((a, b) for a in heights for b in heights), ((x, y) for x in latest for y in latest), strict=True
    ):
        assert a <= b or x > y
    if latest and max(latest) > min(latest):
        assert (min(heights), max(heights)) == (0, 7)


@given(points, st.integers(30, 100), st.integers(6, 20))
def test_a_plot_has_its_size_and_shows_its_front(
    networks: list[tuple[float, float]], width: int, height: int
) -> None:
    macs, accuracy = zip(*networks, strict=True)
    lines = scatter(macs, accuracy, width, height, ASCII)
    assert len(lines) == height
    assert all(len(line) <= max(width, 40) for line in lines)
    assert any(ASCII.best in line.partition("|")[2] for line in lines)


def test_the_best_stand_where_they_belong() -> None:
    lines = scatter([1e6, 2e6, 2e6], [0.8, 0.9, 0.8], 28, 7, Glyphs(dot="x", best="o"))
    # Twenty columns and five rows: cheap and worse below on the left, better and dearer above on the right.
    assert lines[0] == "  90.0 │" + " " * 19 + "o"
    assert lines[4] == "  80.0 │o" + " " * 18 + "x"
    assert lines[6].split() == ["1.00", "2.00", "M", "executed", "MACs"]
