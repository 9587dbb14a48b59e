"""Published files: downloaded once, resumed after a cut, checked, and a clear way out without a network."""

import contextlib
import hashlib
import http.server
import threading

import pytest

from ofa_tf import interop
from ofa_tf.common import InputError, OfaError
from ofa_tf.interop import published_files

NAME = "ofa_mbv3_d234_e346_k357_w1.2"
PATH = f"/ofa/ofa_nets/{NAME}"
CONTENT = bytes(range(256)) * 2000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at one path, and breaks as it is told."""

    daemon_threads = True
    cut_after: int | None = None
    ranges = True
    refuses_ranges = False
    requests: list


class Handler(http.server.BaseHTTPRequestHandler):
    """What the server answers."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append((self.path, asked))
        if self.path != PATH:
            self.send_error(404)
            return
        if asked and server.refuses_ranges:
            self.send_error(416)
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        body = CONTENT[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body if server.cut_after is None else body[: server.cut_after])

    def log_message(self, *_):
        pass


@pytest.fixture(name="server")
def _server(monkeypatch, tmp_path):
    server = Server(("127.0.0.1", 0), Handler)
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OFA_TF_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def test_fetched_once(server):
    """The second call reads the cache."""
    path = interop.published_file(NAME)
    assert path.read_bytes() == CONTENT
    assert interop.published_file(NAME) == path
    assert server.requests == [(PATH, None)]


def test_a_cut_download_is_resumed(server):
    """What was fetched is kept under another name, and only the rest is asked for."""
    server.cut_after = 100_000
    with pytest.raises(OfaError, match=r"connection broke after 100000 of 512000 bytes|IncompleteRead"):
        interop.published_file(NAME)
    assert not (interop.cache_folder() / NAME).exists()
    server.cut_after = None
    assert interop.published_file(NAME).read_bytes() == CONTENT
    assert server.requests[-1] == (PATH, "bytes=100000-")


@pytest.mark.parametrize("way", ["ignores", "refuses"])
def test_a_server_that_cannot_resume(server, way):
    """The file is fetched from its beginning, and is whole."""
    server.cut_after = 1000
    with pytest.raises(OfaError):
        interop.published_file(NAME)
    server.cut_after = None
    server.ranges, server.refuses_ranges = way == "refuses", way == "refuses"
    assert interop.published_file(NAME).read_bytes() == CONTENT


def test_the_hash_is_checked(server, monkeypatch):
    """The given one, else the known one; a wrong file stays out of use."""
    right = hashlib.sha256(CONTENT).hexdigest()
    assert interop.published_file(NAME, sha256=right.upper()).read_bytes() == CONTENT
    with pytest.raises(InputError, match=rf"SHA-256 is {right}, expected 00.*delete the file"):
        interop.published_file(NAME, sha256="00")
    assert (interop.cache_folder() / NAME).exists()  # it was there before it was asked for with a wrong hash
    (interop.cache_folder() / NAME).unlink()
    monkeypatch.setitem(published_files._SHA256, NAME, "11")
    with pytest.raises(InputError, match="expected 11; what was fetched is removed"):
        interop.published_file(NAME)
    assert list(interop.cache_folder().iterdir()) == []


def test_without_the_file_or_the_network(server):
    """One line: the address, where to put the file by hand, and what else can be given."""
    other = "ofa_mbv3_d234_e346_k357_w1.0"
    with pytest.raises(
        OfaError, match=rf"404 .*by hand.*save it as .*cache/{other}.*path in place of the name"
    ) as caught:
        interop.published_file(other)
    assert "\n" not in str(caught.value)
    server.shutdown()
    server.server_close()
    with pytest.raises(OfaError, match=r"cannot be fetched .*by hand"):
        interop.published_file(NAME)


def test_where_they_are_published(monkeypatch):
    """The addresses that the authors' code uses."""
    monkeypatch.delenv("OFA_TF_MIRROR", raising=False)
    files = "https://raw.githubusercontent.com/han-cai/files/master/ofa"
    assert interop.published_url(NAME) == f"{files}/ofa_nets/{NAME}"
    assert interop.published_url("acc_predictor.pth") == f"{files}/acc_predictor.pth"
    net = "note10_lat-22ms_top1-76.6_finetune-25"
    assert interop.published_url(net) == f"{files}/ofa_specialized/{net}/init"
    resnet = "https://huggingface.co/han-cai/ofa/resolve/main/ofa_supernet_resnet50"
    assert interop.published_url("ofa_resnet50") == resnet
