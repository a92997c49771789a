"""Layout of a folder of images: classes, parts, and the files and folders that are ignored."""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edanas.core.errors import DataError
from edanas.data.decoding import SUFFIXES
from edanas.data.part_names import WORDS, part_of, resembles_part, unnamed_parts
from edanas.data.system_files import is_hidden


@dataclass
class ImageListing:
    """The image files of a folder, in an order that is the same on every machine.

    Args:
        files: Paths of the images.
        classes: Name of the class of each file in `files`.
        parts: Name of the part of each file in `files`; the empty text means that the split chooses the part.
        ignored: Paths of files and folders that are no images.
        hidden: Paths of files and folders that are hidden, or that a system created on its own.
        loops: Paths of linked folders that were read already, or that contain themselves.
        suffixes: Endings of the files that are listed, those of images by default.
    """

    files: list[Path] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)
    suffixes: frozenset[str] = SUFFIXES

    def remarks(self, root: Path) -> tuple[str, ...]:
        """Return one sentence for each kind of files and folders that are not read."""
        content = "image" if self.suffixes == SUFFIXES else "recording"
        back = "not followed, since they lead to folders that are read"
        kinds = (
            (self.ignored, "files or folders were", f"ignored (no {content})", True),
            (self.hidden, "hidden files or files of the system were", "ignored", False),
            (self.loops, "linked folders were", back, True),
        )
        sentences = []
        for paths, subject, verb, is_path in kinds:
            if paths:
                named = [path.relative_to(root).as_posix() if is_path else path.name for path in paths]
                distinct = list(dict.fromkeys(named))
                more = ", ..." if len(distinct) > 3 else ""
                if len(paths) == 1:
                    subject = re.sub(r"\bfiles\b", "file", subject.replace("folders", "folder"))
                    subject, verb = subject.replace("were", "was"), verb.replace("they lead", "it leads")
                sentences.append(f"{len(paths)} {subject} {verb}: {', '.join(distinct[:3])}{more}.")
        return tuple(sentences)


def find_images(root: Path, suffixes: frozenset[str] = SUFFIXES) -> ImageListing:
    """List the image files of a folder with their classes and parts.

    Args:
        root: The folder with class folders; `edanas.data.folder.Folder` describes its layout.
        suffixes: Endings of the files, in lower case; those of images by default.

    Raises:
        DataError: The folder has fewer than two class folders, or a class folder has no image. The parts have
            different classes, a folder looks like a part and is not understood, or a folder cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("cat/1.png", "dog/1.png", "dog/2.png"):
        ...         path = Path(folder) / name
        ...         path.parent.mkdir(exist_ok=True)
        ...         _ = path.write_bytes(b"")
        ...     find_images(Path(folder)).classes
        ['cat', 'dog', 'dog']
    """
    try:
        return _find(root, suffixes)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be read: {error.strerror}") from error


def quoted(name: str, others: Sequence[str]) -> str:
    r"""Return a name in quotes; a name that differs from another name in Unicode form alone is spelled out.

    Example:
        >>> print(quoted("caf\u00e9", ["cafe\u0301"]))
        'caf\xe9' (Unicode form NFC)
    """
    same = [other for other in others if other != name and _composed(other) == _composed(name)]
    if not same:
        return f"'{name}'"
    forms = [form for form in ("NFC", "NFD") if unicodedata.normalize(form, name) == name]
    return f"{name!a} (Unicode form {forms[0] if forms else 'mixed'})"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _find(root: Path, suffixes: frozenset[str]) -> ImageListing:
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if not root.is_dir():
        raise DataError(
            f"{root}: is a file; expected a folder of class folders, or a file .npz, .csv or .parquet"
        )
    listing = ImageListing(suffixes=suffixes)
    top = _folders(root, listing)
    parts = _part_folders(root, top)
    if parts is None:
        _check_class_folders(root, top)
        _find_classes(root, top, "", listing)
        return listing
    listing.ignored += _without_images(
        root, [folder for folder in top if folder not in parts.values()], suffixes
    )
    class_folders = {}
    for part, folder in parts.items():
        class_folders[part] = _folders(folder, listing)
        _find_classes(folder, class_folders[part], part, listing)
    _check_agreement(
        parts, {part: {each.name for each in folders} for part, folders in class_folders.items()}
    )
    return listing


def _part_folders(root: Path, top: Sequence[Path]) -> dict[str, Path] | None:
    """Return part -> folder, or `None` if `root` holds class folders.

    CIFAR-100 has a class "train", so `train/` is a part only if it contains folders.
    """
    named_like_parts = [folder for folder in top if part_of(folder.name)]
    nested = [folder for folder in named_like_parts if any(each.is_dir() for each in _visible(folder))]
    if not nested and (not named_like_parts or len(named_like_parts) < len(top)):
        return None
    if "train" not in {part_of(folder.name) for folder in nested}:
        names = ", ".join(f"{folder.name}/" for folder in named_like_parts)
        raise DataError(f"{root}: found {names} but no class folders in train/; expected train/CLASS/IMAGE")
    parts: dict[str, Path] = {}
    for folder in named_like_parts:
        part = str(part_of(folder.name))
        if part in parts:
            raise DataError(
                f"{root}: found both {parts[part].name}/ and {folder.name}/; one {part} part is allowed"
            )
        parts[part] = folder
    return parts


def _without_images(root: Path, folders: Sequence[Path], suffixes: frozenset[str]) -> list[Path]:
    """Return folders beside the parts, which must not hold images.

    Raises:
        DataError: A folder holds an image.
    """
    for folder in folders:
        listing = ImageListing(suffixes=suffixes)
        if next(_images(folder, listing, {_identity(folder)}), None) is not None:
            raise DataError(
                f"{root}: found {folder.name}/ with images beside folders of parts; allowed: one folder for "
                f"each part, named {_part_names()}. Rename or move {folder.name}/, or the folders of parts "
                "if they are classes"
            )
    return list(folders)


def _check_class_folders(root: Path, top: Sequence[Path]) -> None:
    """Check that class folders are not parts under unknown names, and do not hold parts.

    Raises:
        DataError: They are, or they do.
    """
    if len(top) == 1 and sum(part_of(each.name) is not None for each in _visible(top[0])) > 1:
        raise DataError(f"{root}: found only {top[0].name}/, which holds folders of parts; use {top[0]}")
    for folder in top:
        below = [each.name for each in _visible(folder) if each.is_dir()]
        if len({part_of(name) for name in below} - {None}) > 1:
            names = ", ".join(f"{name}/" for name in below if part_of(name))
            raise DataError(
                f"{folder}: found {names} in a class folder; parts stand above classes: train/CLASS/IMAGE"
            )
        if below and len(top) > 1 and all(resembles_part(each.name) for each in top):
            raise _unnamed(root, [each.name for each in top])
    if len(top) > 1 and (parts := unnamed_parts([each.name for each in top])):
        raise _unnamed(root, parts)
    for folder in top:
        name = quoted(folder.name, [each.name for each in top])
        if name.endswith(")") and not folder.name.endswith(")"):
            raise DataError(
                f"{root}: found class folders whose names differ in Unicode form alone: {name}; merge them"
            )


def _unnamed(root: Path, folders: Sequence[str]) -> DataError:
    names = ", ".join(f"{name}/" for name in folders)
    return DataError(
        f"{root}: found {names}, which look like parts of the data, not like classes; allowed: one folder "
        f"for each part, named {_part_names()}"
    )


def _part_names() -> str:
    names = ", ".join(list(WORDS)[:-1])
    return f"{names} or {list(WORDS)[-1]} (in any case)"


def _find_classes(root: Path, folders: Sequence[Path], part: str, listing: ImageListing) -> None:
    if len(folders) < 2:
        names = ", ".join(f"'{folder.name}'" for folder in folders) or "none"
        raise DataError(f"{root}: at least 2 class folders are needed; found {names}")
    for folder in sorted(folders, key=lambda each: natural_key(each.name)):
        files = list(_images(folder, listing, {_identity(root), _identity(folder)}))
        if not files:
            kind = "an image; images" if listing.suffixes == SUFFIXES else "a recording; recordings"
            raise DataError(
                f"{folder}: class folder without {kind} end in {', '.join(sorted(listing.suffixes))}"
            )
        listing.files += files
        listing.classes += [folder.name] * len(files)
        listing.parts += [part] * len(files)


def _check_agreement(parts: Mapping[str, Path], classes: Mapping[str, set[str]]) -> None:
    for part, folder in parts.items():
        for other, beside in ((part, "train"), ("train", part)):
            missing = sorted(classes[beside] - classes[other], key=natural_key)
            if missing:
                names = ", ".join(quoted(name, sorted(classes[other])) for name in missing)
                raise DataError(
                    f"{parts[other]}: no class folder for {names}, which {parts[beside].name}/ has; "
                    f"{folder.name}/ and {parts['train'].name}/ must hold the same classes"
                )


def _identity(folder: Path) -> tuple[int, int]:
    """Return numbers that identify a folder, whatever links lead to it."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _images(folder: Path, listing: ImageListing, visited: set[tuple[int, int]]) -> Iterator[Path]:
    """Yield the image files in `folder` and its subfolders, in an order that is the same on every machine.

    Args:
        folder: The folder.
        listing: Gets the paths that are not read.
        visited: Identities of the folders that are not read again; folders that are read are added.
    """
    for path in _visible(folder, listing):
        if path.is_dir():
            if _identity(path) in visited:
                listing.loops.append(path)
                continue
            visited.add(_identity(path))
            yield from _images(path, listing, visited)
        elif path.suffix.lower() in listing.suffixes:
            yield path
        else:
            listing.ignored.append(path)


def _folders(root: Path, listing: ImageListing) -> list[Path]:
    entries = _visible(root, listing)
    listing.ignored += [path for path in entries if not path.is_dir()]
    return [path for path in entries if path.is_dir()]


def _visible(folder: Path, listing: ImageListing | None = None) -> list[Path]:
    """Return the sorted entries of `folder` that are neither hidden nor files of the system."""
    with os.scandir(folder) as entries:
        paths = sorted((Path(entry.path) for entry in entries), key=lambda path: natural_key(path.name))
    hidden = [path for path in paths if is_hidden(path.name)]
    if listing is not None:
        listing.hidden += hidden
    return [path for path in paths if path not in hidden]


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sorting key that compares digits as numbers, so that "class2" precedes "class10".

    Example:
        >>> sorted(["class10", "class2"], key=natural_key)
        ['class2', 'class10']
    """
    pieces = re.split(r"([0-9]+)", name)
    # Of numbers without leading zeros, the longer is larger; `int` refuses thousands of digits.
    numbers = [piece.lstrip("0") for piece in pieces[1::2]]
    keys = [(1, 0, piece) for piece in pieces]
    keys[1::2] = [(0, len(digits), digits) for digits in numbers]
    return [key for key, piece in zip(keys, pieces, strict=True) if piece], name
