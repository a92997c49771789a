"""Download of weights from mirrors, with retries, checksums and a cache in `EDANAS_HOME/weights`."""

import hashlib
import http.client
import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edanas.core.errors import AbsentWeightsError, WeightsError
from edanas.core.machine import home
from edanas.core.runfolder import replace_file, synchronise

_CHUNK = 1 << 20
_TIMEOUT = 30.0
_TRANSIENT = {408, 425, 429}
"""HTTP statuses below 500 after which a retry may succeed."""


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded from several mirrors.

    Args:
        name: Name of the file in the cache.
        mirrors: URLs of identical copies of the file (`http:`, `https:` or `file:`), tried in this order.
        sha256: SHA-256 of the file; `None` if unknown.
        git_object: Object id of the file in the git repository of its authors; `None` if unknown.
    """

    name: str
    mirrors: tuple[str, ...]
    sha256: str | None = None
    git_object: str | None = None


_allowed: ContextVar[bool] = ContextVar("edanas_download_allowed", default=True)


@contextmanager
def without_download() -> Iterator[None]:
    """Raise an `AbsentWeightsError` inside the context instead of downloading weights.

    Example:
        >>> from edanas.core.errors import AbsentWeightsError
        >>> with without_download():
        ...     try:
        ...         require_download("net.pt")
        ...     except AbsentWeightsError as error:
        ...         print(error)
        weights 'net.pt' are not downloaded yet
    """
    before = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(before)


def require_download(name: str) -> None:
    """Check that weights may be downloaded; `name` is their name in the message.

    Raises:
        AbsentWeightsError: The call is inside `without_download`.
    """
    if not _allowed.get():
        raise AbsentWeightsError(f"weights '{name}' are not downloaded yet")


class _PermanentError(Exception):
    """A failure of a mirror that a retry cannot solve."""


class _TransientError(Exception):
    """A failure of a mirror after which a retry may succeed."""


def fetch(
    remote: Remote, *, attempts: int = 4, pause: Callable[[float], None] = time.sleep
) -> tuple[Path, str]:
    """Download a file into the cache, unless the cache has the file already.

    The URL in the environment variable `EDANAS_MIRROR` is tried first. The SHA-256 of a download is stored
    in the cache, in `NAME.sha256`. A cached file with a different SHA-256 is rejected.

    Args:
        remote: The file to download.
        attempts: Largest number of attempts at each mirror; only transient failures are retried. The first
            pause between two attempts takes 1 second, and each further pause twice as long.
        pause: Function that waits for a number of seconds.

    Returns:
        Path of the file in the cache, and the result of the check of its content, as part of a sentence.

    Raises:
        WeightsError: No mirror has an intact file, the cache cannot be written, or the cached file has
            changed.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     os.environ["EDANAS_HOME"] = folder + "/home"
        ...     source = Path(folder) / "net.pt"
        ...     _ = source.write_bytes(b"weights")
        ...     path, check = fetch(Remote("net.pt", (source.as_uri(),)))
        ...     del os.environ["EDANAS_HOME"]
        ...     path.read_bytes(), check[:21]
        (b'weights', 'no checksum is known;')
    """
    path = home() / "weights" / remote.name
    if path.exists():
        return path, _check_cached(path, remote)
    require_download(remote.name)
    first = os.environ.get("EDANAS_MIRROR")
    mirrors = ((f"{first.rstrip('/')}/{remote.name}",) if first else ()) + remote.mirrors
    causes = []
    for url in mirrors:
        try:
            return path, _from_mirror(url, path, remote, attempts, pause)
        except _PermanentError as error:
            causes.append(f"{url}: {error}")
    raise WeightsError(
        f"weights '{remote.name}' cannot be downloaded ({'; '.join(causes)}). "
        f"Put the file at {path}, set EDANAS_MIRROR to the URL of a folder that has the file, "
        "or set `weights` to the path of the file"
    )


def _check_cached(path: Path, remote: Remote) -> str:
    try:
        digest = _digest(path, hashlib.sha256())
        record = path.with_name(path.name + ".sha256")
        expected = remote.sha256 or (_hex_digest(record.read_text()) if record.exists() else None)
        if expected is None:
            _check(path, digest, remote)
            replace_file(record, f"{digest}\n".encode())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _PermanentError as error:
        raise WeightsError(f"{path}: {error}; delete the file to download it again") from error
    if expected not in (None, digest):
        raise WeightsError(
            f"{path}: SHA-256 {digest}, expected {expected}; the file has changed since it was downloaded. "
            "Delete it to download it again"
        )
    return f"the file is from the cache and has the SHA-256 {digest}"


def _from_mirror(url: str, path: Path, remote: Remote, attempts: int, pause: Callable[[float], None]) -> str:
    """Download and check a file from one mirror; return the result of the check.

    The file appears at `path` only after a successful check.
    """
    part = _temporary(path)
    try:
        for attempt in range(1, attempts + 1):
            try:
                _transfer(url, part)
                break
            except _TransientError as error:
                if attempt == attempts:
                    raise _PermanentError(f"{error} ({attempts} attempts)") from error
                pause(2.0 ** (attempt - 1))
        digest = _digest(part, hashlib.sha256())
        check = _check(part, digest, remote, beside=url + ".sha256")
        replace_file(path.with_name(path.name + ".sha256"), f"{digest}\n".encode())
        part.replace(path)
        synchronise(path.parent)
        return check
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
                raise _TransientError(f"the connection broke off after {received} bytes") from error
            if not chunk:
                break
            received += len(chunk)
            file.write(chunk)
    if length is not None and received != int(length):
        raise _TransientError(f"only {received} of {length} bytes received")


def _open(url: str) -> http.client.HTTPResponse:
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https", "file"):
        raise _PermanentError(f"found scheme '{scheme}'; allowed: http, https, file")
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
    """Check a file, and return the result; `beside` is the URL of the mirror's checksum file."""
    if remote.sha256 is not None:
        if digest != remote.sha256:
            raise _PermanentError(f"SHA-256 {digest}, expected {remote.sha256}")
        return f"the file has the expected SHA-256 {digest}"
    if remote.git_object is not None:
        blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        object_id = _digest(path, blob)
        if object_id != remote.git_object:
            raise _PermanentError(f"git object {object_id}, expected {remote.git_object}")
        return f"the file is the same as in its authors' repository; its SHA-256 is {digest}"
    published = _published(beside) if beside else None
    if published is None:
        return f"no checksum is known; the SHA-256 {digest} was recorded"
    if digest != published:
        raise _PermanentError(f"SHA-256 {digest}, expected {published} from {beside}")
    return f"the file has the SHA-256 that its mirror publishes, {digest}"


def _published(url: str) -> str | None:
    with (
        suppress(_PermanentError, _TransientError, OSError, http.client.HTTPException),
        _open(url) as response,
    ):
        return _hex_digest(response.read(1024).decode("ascii", "replace"))
    return None


def _hex_digest(text: str) -> str | None:
    """Return the SHA-256 at the beginning of the output of `sha256sum`; `None` if there is no SHA-256."""
    match = re.match(r"\s*([0-9a-fA-F]{64})\b", text)
    return match.group(1).lower() if match else None


def _digest(path: Path, hasher: "hashlib._Hash") -> str:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()
