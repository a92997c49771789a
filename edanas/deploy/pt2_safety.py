"""Check that a `.pt2` archive holds weights and operators on tensors but no code, before torch reads it.

`torch.export.load` could run code from an archive: it evaluates texts of symbolic sizes, looks operators up
by dotted name, writes names into the source that it compiles, and unpickles some members. So this module
accepts only texts that exported networks contain, and rejects an archive with any other text.
"""

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import torch

from edanas.core.errors import ExportError

_MEMBER = re.compile(
    r"\.data/\w+|\.format_version|\.storage_alignment|byteorder|version|archive_\w+|models/\w+\.json"
    r"|data/(weights|constants)/(weight|tensor)_\d+|data/(weights|constants)/\w+\.json"
    r"|data/sample_inputs/\w+\.pt|extra/\w+"
)
_NAME = re.compile(r"[\w.]*", re.ASCII)
_TRACE = re.compile(r"[\w.,;@$:-]*", re.ASCII)
_ATEN = re.compile(r"torch\.ops\.aten\.(?!__|from_file|save|load|Open)\w+\.(?!__)\w+", re.ASCII)
_OTHER = re.compile(
    r"torch\.ops\.higher_order\.cond|torch\.sym_(int|float|max|min|not)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|ge|gt|le|lt)"
)
_SPEC = re.compile(
    r"builtins\.(tuple|list|dict)|null|type|context|children_spec|\[(\"\w+\"(, \"\w+\")*)?\]", re.ASCII
)
_CALLS = re.compile(
    r"Integer|Mul|Add|Max|Min|FloorDiv|CeilDiv|CleanDiv|Mod|PythonMod|ModularIndexing|Eq|Ne|Ge|Gt|Le|Lt"
    r"|FloorToInt|CeilToInt|IntTrueDiv"
)
"""Names of the classes of sympy and torch that a text of a size may call; `Symbol` has a rule of its own."""

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
_DEEPEST, _LONGEST = 50, 10_000


def plain_archive(content: bytes) -> bytes:
    """Check the content of a `.pt2` archive, and return a new archive with exactly the checked members.

    Raises:
        ExportError: The archive is damaged. Or it holds pickled objects, code, or an operator other than
            torch's operators on tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name.partition("/")[2], archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ExportError(f"not an archive of torch.export: {error}") from error
    if len({name.lower() for name, _ in members}) != len(members):
        raise ExportError(
            "two members of the archive have the same name in lower case; allowed: distinct names"
        )
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in members:
            archive.writestr(f"archive/{name}", _checked(name, data))
    return written.getvalue()


def _checked(name: str, data: bytes) -> bytes:
    if not _MEMBER.fullmatch(name):
        raise ExportError(f"'{name}' in the archive is neither weights nor a graph")
    if name.endswith(".pt"):
        return _tensors(name, data)
    if name.endswith(".json"):
        try:
            content = json.loads(data)
            _check_texts(content, name)
        except (ValueError, RecursionError) as error:
            raise ExportError(f"'{name}' is damaged: {error}") from error
        return json.dumps(content).encode()
    return data


def _tensors(name: str, data: bytes) -> bytes:
    """Load tensors without unpickling other objects, and return them as a new file.

    `torch.export.load` would unpickle any object in the member.

    Raises:
        ExportError: The member holds something other than tensors.
    """
    try:
        tensors = torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:
        raise ExportError(f"'{name}' holds something other than tensors") from error
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def _check_texts(value: Any, name: str) -> None:
    """Check each text in a JSON value by the rule of its field; `name` is the member in errors.

    Raises:
        ExportError: A text breaks the rule of its field, or the weights are pickled.
    """
    for field, each in _fields(value, ""):
        if field == "use_pickle" and each is not False:
            raise ExportError(f"'{name}' has pickled weights")
        if field == "guards_code":
            raise ExportError(f"'{name}' has code as text")
        if isinstance(each, str) and not _allowed(field, each):
            raise ExportError(f"'{name}': {field}: found {each[:80]!r}, which no exported network has")


def _fields(value: Any, field: str) -> Iterator[tuple[str, Any]]:
    """Yield the field and value of each number, text, boolean and null in a JSON value.

    A value in a list has the field of the list. Each key of an object counts as a text of the field `name`.
    """
    if isinstance(value, dict):
        for key, each in value.items():
            yield "name", key
            yield from _fields(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _fields(each, field)
    else:
        yield field, value


def _allowed(field: str, text: str) -> bool:
    if field in ("target", "as_operator"):
        return bool(_ATEN.fullmatch(text) or _OTHER.fullmatch(text))
    if field == "expr_str":
        return _is_size(text)
    if field in ("in_spec", "out_spec"):
        return _is_structure(text)
    if field in ("nn_module_stack", "torch_fn"):
        return bool(_TRACE.fullmatch(text))
    if field == "torch_version":
        return bool(_NAME.fullmatch(text.replace("+", "")))
    return bool(_NAME.fullmatch(text))


def _is_size(text: str) -> bool:
    """Return True for arithmetic on integers and symbols that calls only `Symbol` and names in `_CALLS`."""
    if len(text) > _LONGEST or not re.fullmatch(r"[\w ,()='*+/%-]*", text, re.ASCII) or "__" in text:
        return False
    try:
        return _is_term(ast.parse(text, mode="eval").body, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_term(node: ast.expr, depth: int) -> bool:
    if depth > _DEEPEST:
        return False
    match node:
        case ast.Constant(value=bool() | int()):
            return True
        case ast.Name(id=name):
            return bool(re.fullmatch(r"[a-z]+\d+|True|False", name))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _is_term(operand, depth + 1)
        case ast.BinOp(left=left, op=operator, right=right):
            return isinstance(operator, _OPERATORS) and all(_is_term(x, depth + 1) for x in (left, right))
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))], keywords=keywords):
            return name.isidentifier() and all(_is_flag(each) for each in keywords)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            return (
                bool(_CALLS.fullmatch(name))
                and all(_is_term(each, depth + 1) for each in args)
                and all(_is_flag(each) for each in keywords)
            )
    return False


def _is_flag(keyword: ast.keyword) -> bool:
    value = keyword.value
    return keyword.arg is not None and isinstance(value, ast.Constant) and type(value.value) is bool


def _is_structure(text: str) -> bool:
    """Return True for JSON that describes tuples, lists and dictionaries of names, and nothing else."""
    return all(
        each is None or isinstance(each, int) or bool(_SPEC.fullmatch(str(each)))
        for _, each in _fields(json.loads(text), "")
    )
