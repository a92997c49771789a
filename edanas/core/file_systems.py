"""The kind of file system that holds a path, to tell file systems of several machines from local ones."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""File of Linux with the mounted file systems; other systems lack it."""

_SHARED = re.compile(
    r"nfs\d*|cifs|smb\w*|lustre|fuse(\..*)?|beegfs|gpfs|ceph|glusterfs|9p|afs|orangefs|ocfs2|gfs2|virtiofs"
    r"|panfs|pvfs2|wekafs|vboxsf"
)
"""Kinds of file systems that several machines may use at once."""


def file_system(path: Path) -> str:
    """Return the kind of the file system that holds a path, e.g. `ext4` or `nfs4`; empty if it is unknown.

    Args:
        path: The path, which may not exist yet.

    Example:
        >>> isinstance(file_system(Path("/")), str)
        True
    """
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place, kind, depth = path.absolute().resolve(), "", -1
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        # Spaces, tabs, line ends and backslashes in a path are octal escapes.
        root = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        # A later mount at the same place hides an earlier one.
        if len(root.parts) >= depth and place.is_relative_to(root):
            kind, depth = source.split(" ")[0], len(root.parts)
    return kind


def is_shared(kind: str) -> bool:
    """Return whether several machines may use file systems of a kind at once.

    Example:
        >>> is_shared("nfs4"), is_shared("fuse.sshfs"), is_shared("ext4"), is_shared("fuseblk")
        (True, True, False, False)
    """
    return _SHARED.fullmatch(kind) is not None
