"""Files and names from outside in a report: shown unchanged, without any other effect."""

import base64
from pathlib import Path
from typing import Any

from pages import EVIL, Reader, page_of
from PIL import Image
from recorded_runs import evaluated, failed

from edanas.report.history import RunHistory


def with_examples(data: dict[str, Any], folder: Path, *files: str) -> dict[str, Any]:
    kinds = ("early", "late", "wrong")
    data["front"][0]["examples"] = [
        {
            "kind": kind,
            "file": file,
            "label": 0,
            "predicted": int(kind == "wrong"),
            "exit": 0,
            "confidence": 0.5,
        }
        for kind, file in zip(kinds, files, strict=False)
    ]
    (folder / "examples").mkdir()
    return data


def test_example_images_are_in_the_page_with_words(data: dict[str, Any], tmp_path: Path) -> None:
    data["classes"] = [EVIL, "dog"]
    files = [f"examples/{name}.png" for name in "abc"]
    with_examples(data, tmp_path, *files)
    for file in files:
        Image.new("L", (8, 8), 90).save(tmp_path / file)
    reader = Reader(page_of(data, tmp_path))
    images = [attributes for tag, attributes in reader.elements if tag == "img"]
    assert len(images) == 3
    for attributes, file in zip(images, files, strict=True):
        assert base64.b64decode(attributes["src"].partition(",")[2]) == (tmp_path / file).read_bytes()
    assert images[0]["alt"] == f"\u2068{EVIL}\u2069; exits at exit 1"
    assert images[2]["alt"] == f"\u2068{EVIL}\u2069, classified as \u2068dog\u2069; exits at exit 1"


def test_no_file_but_images_of_the_folder_gets_into_the_page(data: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "secret.png").write_text("secret")
    (run / "settings.html").write_text("secret")
    with_examples(data, run, "../secret.png", "settings.html", "examples/gone.png")
    page = page_of(data, run)
    assert "<img" not in page
    assert base64.b64encode(b"secret").decode() not in page


def test_images_take_no_more_room_than_a_page_has(data: dict[str, Any], tmp_path: Path) -> None:
    with_examples(data, tmp_path, "examples/a.jpg", "examples/b.jpg", "examples/c.jpg")
    for name, size in (("a", 400_000), ("b", 300_000), ("c", 100_000)):
        (tmp_path / f"examples/{name}.jpg").write_bytes(bytes(size))
    page = page_of(data, tmp_path)
    assert page.count("<img") == 2
    assert len(page) < 1_000_000


def test_names_from_outside_cannot_become_markup(data: dict[str, Any]) -> None:
    data["classes"] = [EVIL, "dog"]
    data["remarks"] = [EVIL]
    data["stopped"] = EVIL
    data["seconds"] = {EVIL: 1.0}
    data["settings"] = {"plugin": EVIL, "data": {"name": "folder", "path": EVIL}, EVIL: EVIL}
    data["front"][0]["model"] = f'models/{EVIL}" onclick="x'
    data["front"][1]["model"] = "javascript:alert(1)"
    data["front"][0]["id"] = EVIL
    data["front"][0]["backbone"] = {EVIL: EVIL, f"a.b.{EVIL}": EVIL}
    data["failures"] = [{"id": EVIL, "error": EVIL}]
    history = RunHistory((failed(0, EVIL), evaluated(1, 0.9, 1e6, 0, {EVIL: 3})))
    reader = Reader(page_of(data, history=history))
    assert [tag for tag, _ in reader.elements].count("script") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert not [value for name, value in reader.attributes if name == "href" and ":" in value]
    assert reader.text.count("<script>alert(1)</script>") >= 10


def test_a_name_keeps_its_direction_to_itself(data: dict[str, Any]) -> None:
    data["classes"] = ["قطة", "dog"]
    assert "<bdi>قطة</bdi>" in page_of(data)
