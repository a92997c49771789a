"""Checks the part of the style sheet in CONTRIBUTING.md that a program can check.

Run as a program on files or folders, it prints one line for each finding.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

MOST_WORDS = 28
"""Words of a sentence at most; the style sheet asks for fewer than 25 in general."""

EMPTY_NAMES = frozenset(
    (
        *("found", "kept", "said", "told", "asked", "made", "taken"),
        *("given", "wanted", "seen", "noted", "got", "shown", "meant"),
    )
)
"""Variable names that do not say what the variable holds."""

_OPENERS = re.compile(r"(What|Who|Whom|Whose|Whether|Those|Which|How|Of|Where|When|Whoever|Whatever)\b")
_PEOPLE = re.compile(
    r"\b(who|whom|whoever|whomever|somebody|nobody|everybody|anybody|someone|everyone|one's own)\b",
    re.IGNORECASE,
)
_INVERTED = re.compile(r"\b(found|told|said|asked|kept) (is|are|was|were)\b", re.IGNORECASE)
_CODE = re.compile(r"``.*?``|`[^`]*`|\{[a-z:]+\}", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+")
_ENTRY = re.compile(r"^(\w[\w., ]*|\*+\w+): ", re.MULTILINE)


def findings(path: Path) -> Iterator[str]:
    """Lines `FILE:LINE: TEXT`, one for each breach of the style sheet in a Python file."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    for line, text in sorted({*_docstrings(tree), *_names(tree), *_comments(source)}):
        yield f"{path}:{line}: {text}"


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for statement in body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value.value
                if isinstance(text, str):
                    yield from ((statement.lineno, finding) for finding in prose(text))


def prose(text: str) -> Iterator[str]:
    """Breaches in one docstring."""
    first = text.strip().partition("\n")[0]
    if opener := _OPENERS.match(first):
        yield f"first line opens with '{opener[0]}': {first}"
    for sentence in sentences(text):
        if len(sentence.split()) > MOST_WORDS:
            yield f"{len(sentence.split())} words: {sentence[:100]}..."
    plain = _CODE.sub("X", text)
    for match in (*_PEOPLE.finditer(plain), *_INVERTED.finditer(plain)):
        around = plain[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ")
        yield f"'{match[0]}' in: ...{around}..."


def sentences(text: str) -> Iterator[str]:
    """Sentences of a docstring, each piece of code as one word; examples and list items stand alone."""
    for block in re.split(
        r"\n\s*\n|\n\s*(?=[-*] )|\n\s*(?=\w+: )|^\s*>>>.*$", _CODE.sub("X", text), flags=re.MULTILINE
    ):
        flat = " ".join(_ENTRY.sub("", block.strip()).split())
        yield from _SENTENCE_END.split(flat)


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in EMPTY_NAMES:
            yield node.lineno, f"variable '{node.id}' does not say what it holds"
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in EMPTY_NAMES:
            yield node.lineno, f"attribute '{node.attr}' does not say what it holds"
        if isinstance(node, ast.arg) and node.arg in EMPTY_NAMES:
            yield node.lineno, f"argument '{node.arg}' does not say what it holds"


def _comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (match := _PEOPLE.search(_CODE.sub("X", token.string))):
            yield token.start[0], f"'{match[0]}' in a comment: {token.string}"


def python_files(paths: list[Path]) -> Iterator[Path]:
    """The Python files that paths name, in folders and below."""
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    lines = [line for path in python_files([Path(each) for each in sys.argv[1:]]) for line in findings(path)]
    print(*lines, f"{len(lines)} findings", sep="\n")
    sys.exit(bool(lines))
