"""The style sheet of CONTRIBUTING.md, as far as a program can check it."""

import re
from pathlib import Path

import pytest
from prose import findings, prose, python_files, sentences

ROOT = Path(__file__).parents[1]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

RIDDLE = re.compile(r"^#+ +(What|Who|Whose|Whether|How|Which|Those)\b.*", re.MULTILINE)
"""A heading that begins with a question or a pronoun, not with a noun or a verb."""

FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("folder", ["edanas", "tests", "benchmarks", "examples"])
def test_a_folder_follows_the_style_sheet(folder: str) -> None:
    assert [line for path in python_files([ROOT / folder]) for line in findings(path)] == []


def riddles(text: str) -> list[str]:
    return [match[0] for match in RIDDLE.finditer(FENCE.sub("", text))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_headings_of_pages_begin_with_a_noun_or_a_verb(path: Path) -> None:
    assert riddles(path.read_text(encoding="utf-8")) == []


def test_a_heading_that_opens_with_a_question_is_reported() -> None:
    assert riddles("# Title\n\n## What it does\n\n### Howto\n") == ["## What it does"]
    assert riddles("```\n# What a comment says\n```\n") == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("What the function returns.", "first line opens with 'What'"),
        ("Samples who exit early.", "'who' in"),
        ("Return rows.\n\nFound are three of them.", "'Found are' in"),
        (f"Return rows.\n\n{'word ' * 29}end.", "30 words"),
    ],
)
def test_a_breach_of_the_style_sheet_is_reported(text: str, finding: str) -> None:
    (line,) = prose(text)
    assert finding in line


@pytest.mark.parametrize(
    "text",
    [
        "Return rows.",
        "Return rows.\n\nArgs:\n    rows: The rows `found is` named in, one for each candidate.\n",
        f"Return rows.\n\n>>> {'word ' * 40}\n",
        f"Return rows: {'word ' * 20}; {'word ' * 20}.",
    ],
)
def test_a_docstring_that_follows_the_style_sheet_passes(text: str) -> None:
    assert list(prose(text)) == []


def test_code_counts_as_one_word_of_a_sentence() -> None:
    assert list(sentences("Return `a b c d`, sorted. Sort them.")) == ["Return X, sorted.", "Sort them."]


def test_names_and_comments_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("found = 1  # nobody reads it\n\n\ndef use(kept):\n    rows.told = kept\n")
    lines = [line.removeprefix(f"{path}:") for line in findings(path)]
    assert lines == [
        "1: 'nobody' in a comment: # nobody reads it",
        "1: variable 'found' does not say what it holds",
        "4: argument 'kept' does not say what it holds",
        "5: attribute 'told' does not say what it holds",
    ]


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("one.py", "below/two.py", "three.txt"):
        (tmp_path / name).touch()
    assert {path.name for path in python_files([tmp_path])} == {"one.py", "two.py"}
