"""Names of files and folders that operating systems, storage devices and programs leave among images."""

_SYSTEM = frozenset(
    {
        *("@eadir", "@recently-snapshot", "@recycle", "@sharebin", "@tmp", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "$extend", "found.000"),
        *("lost+found", "__macosx", "__pycache__", "network trash folder", "temporary items"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)
"""Names in lower case."""


def is_hidden(name: str) -> bool:
    """Return True for names of hidden files, and of files that systems and programs create on their own.

    Example:
        >>> [name for name in ("cat", "@eaDir", ".git", "__MACOSX") if is_hidden(name)]
        ['@eaDir', '.git', '__MACOSX']
    """
    return name.startswith((".", "__MACOSX")) or name.lower() in _SYSTEM
