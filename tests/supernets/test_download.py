import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edanas.core.errors import WeightsError
from edanas.supernets.download import Remote, fetch, home

BODY = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(BODY).hexdigest()
GIT_OBJECT = hashlib.sha1(f"blob {len(BODY)}\0".encode() + BODY).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


class Server:
    """A mirror with a list of responses for each path, of which the last one is repeated."""

    def __init__(self):
        self.responses, self.requests = {}, []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.requests.append(self.path)
                queue = owner.responses.get(self.path, [404])
                owner.reply(self, queue.pop(0) if len(queue) > 1 else queue[0])

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @staticmethod
    def reply(handler, response):
        status, body, length = (200, *response) if isinstance(response, tuple) else (response, b"", 0)
        handler.send_response(status)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)

    def url(self, path):
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


GOOD = (BODY, len(BODY))
TRUNCATED = (BODY[:1000], len(BODY))
WRONG = (b"x" * len(BODY), len(BODY))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("EDANAS_MIRROR", raising=False)
    running = Server()
    yield running
    running.close()


def get(remote):
    """Return the results of `fetch`, and the pauses."""
    pauses = []
    path, how = fetch(remote, pause=pauses.append)
    return path, how, pauses


def leftovers():
    folder = home() / "weights"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_download_is_checked_and_kept(server):
    server.responses["/net"] = [GOOD]
    remote = Remote("net", (server.url("/net"),), sha256=SHA256)
    path, how, pauses = get(remote)
    assert path == home() / "weights" / "net"
    assert path.read_bytes() == BODY
    assert (SHA256 in how, pauses) == (True, [])
    assert leftovers() == ["net", "net.sha256"]
    again, how, _ = get(remote)
    assert again == path
    assert "from the cache" in how
    assert server.requests == ["/net"]


def test_transient_failures_are_retried_with_growing_pauses(server):
    server.responses["/net"] = [503, TRUNCATED, 429, GOOD]
    path, _, pauses = get(Remote("net", (server.url("/net"),), sha256=SHA256))
    assert path.read_bytes() == BODY
    assert pauses == [1.0, 2.0, 4.0]


def test_the_next_mirror_is_requests_where_one_fails(server):
    server.responses |= {"/a": [404], "/b": [WRONG], "/c": [TRUNCATED], "/d": [GOOD]}
    mirrors = tuple(server.url(path) for path in ("/a", "/b", "/c", "/d"))
    path, _, pauses = get(Remote("net", mirrors, sha256=SHA256))
    assert path.read_bytes() == BODY
    assert server.requests == ["/a", "/b", "/c", "/c", "/c", "/c", "/d"]
    assert len(pauses) == 3


def test_all_mirrors_failing_is_one_error_with_the_causes(server):
    server.responses |= {"/a": [404], "/b": [WRONG], "/c": [TRUNCATED], "/d": [500]}
    gone = "http://127.0.0.1:1/net"
    mirrors = (
        *(server.url(path) for path in ("/a", "/b", "/c", "/d")),
        gone,
        "ftp://there/net",
        "file:///no/such/net",
    )
    with pytest.raises(WeightsError) as caught:
        get(Remote("net", mirrors, sha256=SHA256))
    text = str(caught.value)
    for cause in [
        "HTTP status 404",
        f"expected {SHA256}",
        f"only 1000 of {len(BODY)} bytes received (4 attempts)",
        "HTTP status 500 (4 attempts)",
        gone,
        "scheme 'ftp'; allowed: http, https, file",
        "file:///no/such/net",
        str(home() / "weights" / "net"),
    ]:
        assert cause in text
    assert leftovers() == []


def test_the_object_id_of_the_authors_repository_is_a_checksum_too(server):
    server.responses |= {"/bad": [WRONG], "/net": [GOOD]}
    path, how, _ = get(Remote("net", (server.url("/bad"), server.url("/net")), git_object=GIT_OBJECT))
    assert path.read_bytes() == BODY
    assert "repository" in how
    with pytest.raises(WeightsError, match=f"git object {GIT_OBJECT}, expected 00"):
        get(Remote("other", (server.url("/net"),), git_object="00"))


def test_a_mirrors_own_checksum_is_used_where_none_is_known(server):
    server.responses |= {"/net": [GOOD], "/net.sha256": [(f"{OTHER}  net\n".encode(), 69)]}
    with pytest.raises(WeightsError, match=rf"expected {OTHER} from http.*net\.sha256"):
        get(Remote("net", (server.url("/net"),)))
    server.responses["/net.sha256"] = [(f"{SHA256}  net\n".encode(), 69)]
    _, how, _ = get(Remote("net", (server.url("/net"),)))
    assert how == f"the file has the SHA-256 that its mirror publishes, {SHA256}"


def test_without_any_checksum_it_says_so_and_records_one(server):
    server.responses["/net"] = [GOOD]
    path, how, _ = get(Remote("net", (server.url("/net"),)))
    assert how == f"no checksum is known; the SHA-256 {SHA256} was recorded"
    assert path.with_name("net.sha256").read_text() == f"{SHA256}\n"


@pytest.mark.parametrize("known", [None, SHA256])
def test_a_cached_file_that_changed_is_refused(server, known):
    server.responses["/net"] = [GOOD]
    remote = Remote("net", (server.url("/net"),), sha256=known)
    path, _, _ = get(remote)
    path.write_bytes(BODY[:-1])
    with pytest.raises(WeightsError, match="the file has changed"):
        get(remote)
    path.unlink()
    assert get(remote)[0].read_bytes() == BODY


def test_a_file_put_into_the_cache_by_hand_is_used_and_checked():
    path = home() / "weights" / "net"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    remote = Remote("net", (), git_object=GIT_OBJECT)
    assert SHA256 in get(remote)[1]
    path.write_bytes(b"x")
    with pytest.raises(WeightsError, match="has changed"):
        get(remote)
    path.with_name("net.sha256").unlink()
    with pytest.raises(WeightsError, match="git object"):
        get(remote)


def test_a_mirror_of_ones_own_comes_first(server, tmp_path, monkeypatch):
    server.responses["/net"] = [GOOD]
    monkeypatch.setenv("EDANAS_MIRROR", tmp_path.as_uri() + "/")
    (tmp_path / "net").write_bytes(BODY)
    path, _, _ = get(Remote("net", (server.url("/net"),), sha256=SHA256))
    assert path.read_bytes() == BODY
    assert server.requests == []


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("EDANAS_HOME", str(blocked))
    with pytest.raises(WeightsError, match=f"^{blocked}/weights: cannot be written"):
        get(Remote("net", (server.url("/net"),)))


def test_home_is_in_the_users_cache_unless_set(monkeypatch, tmp_path):
    monkeypatch.delenv("EDANAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache" / "edanas"
