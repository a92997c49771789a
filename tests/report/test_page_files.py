from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_the_pages_style_and_script() -> None:
    held = {each.distribution_path for each in WheelBuilder(str(ROOT)).recurse_included_files()}
    parts = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "edanas" / "report" / "html").glob("page.*")
    }
    assert {"edanas/report/html/page.css", "edanas/report/html/page.js"} <= parts <= held
