"""The page in a real browser: no error, no request, and all of it in reach of the keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import BROWSER, Chromium
from pages import page_of
from PIL import Image
from recorded_runs import evaluated

from edanas.core.contracts import SurrogateNote
from edanas.report.history import RunHistory, Step

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")

EVIL = "<img src=x onerror=alert(1)>\"'قطة"

COLOURS = """(() => {
  const style = getComputedStyle(document.body);
  return [style.color, style.backgroundColor];
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def page(browser: Chromium, data: dict[str, Any], tmp_path: Path) -> Iterator[Chromium]:
    """The page of a run with all parts, on a wide light screen; the browser must report no problem."""
    (tmp_path / "examples").mkdir()
    Image.new("RGB", (8, 8), (90, 20, 20)).save(tmp_path / "examples" / "a.png")
    data["classes"] = [EVIL, "dog"]
    example = {
        "kind": "wrong",
        "file": "examples/a.png",
        "label": 0,
        "predicted": 1,
        "exit": 0,
        "confidence": 1,
    }
    data["front"][0]["examples"] = [example]
    data["front"][1]["backbone"] = {f"stage{i}.layer{j}.kernel": 7 for i in range(5) for j in range(4)}
    data["failures"] = [{"id": "f", "error": EVIL * 10}]
    steps = tuple(Step(i, i, 0, 0.5, {"objective 1": SurrogateNote("rbf", i / 10, 0)}) for i in range(1, 4))
    evaluations = tuple(evaluated(i, 0.90 + 0.01 * i, 1e6 * (1 + i), i, {EVIL: i}) for i in range(4))
    text = page_of(data, tmp_path, RunHistory(evaluations, steps))
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    browser.problems.clear()
    browser.requests.clear()
    browser.screen(1200, 900)
    browser.open(tmp_path / "report.html")
    yield browser
    assert browser.problems == []
    requests = [address for address in browser.requests if not address.startswith("data:")]
    assert requests == [(tmp_path / "report.html").as_uri()]


def description(page: Chromium) -> str:
    return str(page.evaluate("document.getElementById('fronts-description').textContent"))


def test_arrow_keys_go_from_network_to_network_and_enter_to_its_part(page: Chromium) -> None:
    page.evaluate("document.getElementById('fronts').focus()")
    names = set()
    page.press("Home", 36)
    for _ in range(20):
        names.add(description(page).partition("\n")[0])
        page.press("ArrowRight", 39)
    # Four candidates, four early-exit and two single-exit networks.
    assert len(names) == 10
    assert sum(text.startswith("Candidate") for text in names) == 4
    while not description(page).startswith("Early-exit network e2"):
        page.press("ArrowLeft", 37)
    assert "97.2% (95%: 95.2 to 98.2) at 1.50M" in description(page)
    page.press("Enter", 13)
    assert page.evaluate("document.activeElement.id") == "net-e2"


def test_the_pointer_shows_the_candidate_under_it(page: Chromium) -> None:
    where = """(() => {
      const disc = document.querySelector('.point.dot circle');
      disc.scrollIntoView({block: "center", behavior: "instant"});
      const box = disc.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2];
    })()"""
    page.point(*page.evaluate(where))
    assert description(page).startswith("Candidate ")
    assert f"{EVIL} " in description(page)
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")


def test_the_slider_goes_back_in_time_by_keys(page: Chromium) -> None:
    page.evaluate("document.getElementById('until').focus()")
    count = (
        "[...document.querySelectorAll('.point.dot')].filter((p) => p.getBoundingClientRect().width).length"
    )
    assert page.evaluate(count) == 4
    page.press("ArrowLeft", 37)
    page.press("ArrowLeft", 37)
    assert page.evaluate(count) == 2
    assert page.evaluate("document.querySelector('output').textContent") == "1 of 3"
    assert page.evaluate("document.getElementById('searched').getAttribute('d').split('L').length") == 2


def test_tab_reaches_every_control_in_order_and_shows_where_it_is(page: Chromium) -> None:
    reached = []
    for _ in range(60):
        page.press("Tab", 9)
        active = page.evaluate(
            "(() => { const a = document.activeElement, o = getComputedStyle(a);"
            "return [a.id || a.getAttribute('href') || a.className || a.tagName, o.outlineStyle]; })()"
        )
        if active[0] == "BODY":
            break
        assert active[1] != "none", active
        reached.append(active[0])
    expected = [
        "#content",
        "theme",
        "#result",
        "fronts",
        "until",
        "hypervolume",
        "surrogates",
        "copy",
        "settings",
    ]
    assert [each for each in reached if each in expected] == expected
    # Tables and drawings scroll by keyboard, too.
    assert reached.count("wide") >= 8


def test_the_button_changes_light_and_dark_from_what_the_system_prefers(page: Chromium) -> None:
    light = page.evaluate(COLOURS)
    page.evaluate("document.getElementById('theme').click()")
    dark = page.evaluate(COLOURS)
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    page.evaluate("document.getElementById('theme').click()")
    assert page.evaluate(COLOURS) == light
    page.evaluate("localStorage.clear(); delete document.documentElement.dataset.theme")
    page.screen(1200, 900, dark=True)
    assert page.evaluate(COLOURS) == dark
    page.until("document.getElementById('theme').textContent === 'Light page'")


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_only_downwards(page: Chromium, width: int) -> None:
    page.screen(width, 800, mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("innerWidth") == width
    # As large as it is on the screen: charts shrink with their text, which may be turned.
    smallest = """Math.min(...[...document.querySelectorAll('.chart text')].map((each) => {
      const {a, b} = each.getScreenCTM();
      return parseFloat(getComputedStyle(each).fontSize) * Math.hypot(a, b);
    }))"""
    assert page.evaluate(smallest) > (8 if width > 350 else 7)
    wide = "[...document.querySelectorAll('.wide')].some((each) => each.scrollWidth > each.clientWidth)"
    assert page.evaluate(wide)


def test_names_are_text(page: Chromium) -> None:
    images = page.evaluate("[...document.images].map((each) => [each.naturalWidth, each.alt])")
    assert images == [[8, f"\u2068{EVIL}\u2069, classified as \u2068dog\u2069; exits at exit 1"]]
    assert EVIL in page.evaluate("document.querySelector('.facts').textContent")


def test_the_settings_are_copied(page: Chromium) -> None:
    page.evaluate("document.getElementById('copy').click()")
    page.until("document.getElementById('copied').textContent !== ''")
    message = page.evaluate("document.getElementById('copied').textContent")
    # Without access to the clipboard, the text is selected instead.
    assert message in ("Copied.", "Selected; copy with Ctrl+C.")
    if message != "Copied.":
        assert page.evaluate("getSelection().toString().includes('mbv3-sm')")
