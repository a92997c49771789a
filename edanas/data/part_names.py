"""Names of folders that stand for parts of the data, such as `train/` and `Testing/`."""

import re
from collections.abc import Sequence

WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "vali", "valset"), "validation"),
    **dict.fromkeys(("dev", "development", "devset", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing", "tests", "tst", "testset"), "test"),
}
"""Word in lower case -> the part of the data that a folder of this name holds."""

_EMPTY = frozenset(
    {"set", "sets", "data", "dataset", "images", "imgs", "img", "part", "split", "samples", "files"}
)
"""Words that may stand beside a word for a part without changing the part."""

_UNNAMED = re.compile(
    r"(fold|split|part|partition|subset|batch)s?[ _.-]*\d*|"
    r"(hold[ _-]?out|unlabell?ed|unsupervised|extra|public|private|seen|unseen|calib|calibration)"
    r"[ _-]*(set|data|images)?",
    re.IGNORECASE,
)

_FOLD = re.compile(r"(fold|split)[ _.-]*\d+", re.IGNORECASE)


def part_of(name: str) -> str | None:
    """Return the part of the data that a folder's name stands for; `None` if it stands for no part.

    Case, digits and punctuation do not matter, nor do words such as `images` and `set`.

    Example:
        >>> [part_of(name) for name in ("Train", "valid", "test_images", "train2017", "train station")]
        ['train', 'validation', 'test', 'train', None]
    """
    words = [word for word in _words(name) if word not in _EMPTY]
    return WORDS.get(words[0]) if len(words) == 1 else None


def resembles_part(name: str) -> bool:
    """Return True if a folder's name contains a word for a part, or is that of an unknown part.

    Example:
        >>> [resembles_part(name) for name in ("old_train", "fold1", "holdout", "cat")]
        [True, True, True, False]
    """
    return any(word in WORDS for word in _words(name)) or _UNNAMED.fullmatch(name) is not None


def unnamed_parts(names: Sequence[str]) -> list[str]:
    """Return the names that differ in the part of the data alone, or that are numbers of folds.

    Example:
        >>> unnamed_parts(["seg_train", "seg_test", "seg_pred"])
        ['seg_train', 'seg_test']
        >>> unnamed_parts(["bullet train", "test tube"]), unnamed_parts(["fold1", "fold2"])
        ([], ['fold1', 'fold2'])
    """
    folds = [name for name in names if _FOLD.fullmatch(name)]
    if len(folds) == len(names):
        return folds
    parts: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        words = _words(name)
        for word in words:
            if word in WORDS:
                rest = tuple(other for other in words if other != word)
                parts.setdefault(rest, {}).setdefault(WORDS[word], name)
    return next((list(group.values()) for group in parts.values() if len(group) > 1), [])


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W\d_]+", name.lower()) if word]
