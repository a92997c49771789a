"""Weights from the net: mirrors, retries, checksums, and a cache under `EDANAS_HOME`."""

import hashlib
import http.client
import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edanas.core.errors import WeightsError
from edanas.core.machine import home

_CHUNK = 1 << 20
_TIMEOUT = 30.0
_TRANSIENT = {408, 425, 429}
"""HTTP statuses below 500 that may go away by themselves."""


@dataclass(frozen=True)
class Remote:
    """A file to be had from any of several places.

    Args:
        name: Its name in the cache.
        mirrors: URLs (`http:`, `https:` or `file:`) of the same bytes, tried in this order.
        sha256: Its SHA-256, where known.
        git_object: Its object id in the git repository that publishes it, where known.
    """

    name: str
    mirrors: tuple[str, ...]
    sha256: str | None = None
    git_object: str | None = None


class _PermanentError(Exception):
    """This mirror will not do, however often it is asked."""


class _TransientError(Exception):
    """This mirror may do if asked again."""


def fetch(
    remote: Remote, *, attempts: int = 4, pause: Callable[[float], None] = time.sleep
) -> tuple[Path, str]:
    """The file in the cache, downloaded if it is not there yet, and a sentence on how it was checked.

    A mirror at the URL in `EDANAS_MIRROR` is asked first. The SHA-256 of what was downloaded is kept beside
    it, in `NAME.sha256`, and a cached file that no longer has it is refused.

    Args:
        remote: What to get.
        attempts: How often a mirror is asked that fails in passing; the pause doubles from one second.
        pause: Waits so many seconds.

    Raises:
        WeightsError: No mirror gives the file, the cache cannot be written, or the cached file has changed.
    """
    path = home() / "weights" / remote.name
    if path.exists():
        return path, _check_cached(path, remote)
    own = os.environ.get("EDANAS_MIRROR")
    mirrors = ((f"{own.rstrip('/')}/{remote.name}",) if own else ()) + remote.mirrors
    causes = []
    for url in mirrors:
        try:
            return path, _from_mirror(url, path, remote, attempts, pause)
        except _PermanentError as error:
            causes.append(f"{url}: {error}")
    raise WeightsError(
        f"weights '{remote.name}' cannot be downloaded ({'; '.join(causes)}). "
        f"Put the file at {path}, set EDANAS_MIRROR to a URL that has it, or give its path for its name"
    )


def _check_cached(path: Path, remote: Remote) -> str:
    try:
        digest = _digest(path, hashlib.sha256())
        record = path.with_name(path.name + ".sha256")
        expected = remote.sha256 or (_hex_digest(record.read_text()) if record.exists() else None)
        if expected is None:
            _check(path, digest, remote)
            record.write_text(digest + "\n")
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _PermanentError as error:
        raise WeightsError(f"{path}: {error}; delete the file to download it again") from error
    if expected not in (None, digest):
        raise WeightsError(
            f"{path}: SHA-256 {digest}, expected {expected}; the file has changed since it was downloaded. "
            "Delete it to download it again"
        )
    return f"from the cache, SHA-256 {digest}"


def _from_mirror(url: str, path: Path, remote: Remote, attempts: int, pause: Callable[[float], None]) -> str:
    """Put `url` at `path`, whole and checked or not at all."""
    part = _temporary(path)
    try:
        for attempt in range(1, attempts + 1):
            try:
                _transfer(url, part)
                break
            except _TransientError as error:
                if attempt == attempts:
                    raise _PermanentError(f"{error}, {attempts} times") from error
                pause(2.0 ** (attempt - 1))
        digest = _digest(part, hashlib.sha256())
        how = _check(part, digest, remote, beside=url + ".sha256")
        path.with_name(path.name + ".sha256").write_text(digest + "\n")
        part.replace(path)
        return how
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=".part", dir=path.parent)
    except OSError as error:
        raise WeightsError(f"{path.parent}: cannot be written: {error.strerror or error}") from error
    os.close(handle)
    return Path(name)


def _transfer(url: str, target: Path) -> None:
    response = _open(url)
    with response, target.open("wb") as file:
        length = response.headers.get("Content-Length")
        received = 0
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (http.client.HTTPException, OSError) as error:
                raise _TransientError(f"broken off after {received} bytes") from error
            if not chunk:
                break
            received += len(chunk)
            file.write(chunk)
    if length is not None and received != int(length):
        raise _TransientError(f"{received} of {length} bytes received")


def _open(url: str) -> http.client.HTTPResponse:
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https", "file"):
        raise _PermanentError(f"scheme '{scheme}'; allowed: http, https, file")
    request = urllib.request.Request(url, headers={"User-Agent": "edanas"})  # noqa: S310 - scheme checked above
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
        return response
    except urllib.error.HTTPError as error:
        error.close()
        kind = _TransientError if error.code >= 500 or error.code in _TRANSIENT else _PermanentError
        raise kind(f"HTTP status {error.code}") from error
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise (_PermanentError if scheme == "file" else _TransientError)(str(reason)) from error


def _check(path: Path, digest: str, remote: Remote, beside: str | None = None) -> str:
    """How the file was found to be the right one; `beside` is the URL of a mirror's own checksum."""
    if remote.sha256 is not None:
        if digest != remote.sha256:
            raise _PermanentError(f"SHA-256 {digest}, expected {remote.sha256}")
        return f"SHA-256 {digest} as expected"
    if remote.git_object is not None:
        blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        found = _digest(path, blob)
        if found != remote.git_object:
            raise _PermanentError(f"git object {found}, expected {remote.git_object}")
        return f"the file its authors' repository holds; SHA-256 {digest}"
    published = _published(beside) if beside else None
    if published is None:
        return f"no checksum is known; SHA-256 {digest} recorded"
    if digest != published:
        raise _PermanentError(f"SHA-256 {digest}, expected {published} by {beside}")
    return f"SHA-256 {digest} as its mirror states"


def _published(url: str) -> str | None:
    with (
        suppress(_PermanentError, _TransientError, OSError, http.client.HTTPException),
        _open(url) as response,
    ):
        return _hex_digest(response.read(1024).decode("ascii", "replace"))
    return None


def _hex_digest(text: str) -> str | None:
    """The SHA-256 at the beginning of a line as `sha256sum` writes it."""
    match = re.match(r"\s*([0-9a-fA-F]{64})\b", text)
    return match.group(1).lower() if match else None


def _digest(path: Path, hasher: "hashlib._Hash") -> str:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()
