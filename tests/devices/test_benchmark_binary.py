"""Where `benchmark_model` comes from: given, kept, or fetched for the phone's ABI; its hash; what to do without."""

import hashlib
import http.server
import threading

import pytest

from ofa_tf.common import InputError, OfaError
from ofa_tf.devices.benchmark_model import binary_url, find_binary

CONTENT = b"#!/bin/sh\necho a program\n"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(name="mirror")
def _mirror(tmp_path, monkeypatch):
    """A server that publishes one version for one ABI."""
    folder = tmp_path / "published" / "9.9.9" / "android_arm64"
    folder.mkdir(parents=True)
    (folder / "benchmark_model").write_bytes(CONTENT)

    def handler(*args):
        return _Handler(*args, directory=tmp_path / "published")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OFA_TF_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def test_fetched_once_and_hashed(mirror):
    binary = find_binary("arm64-v8a", version="9.9.9")
    assert binary.path.read_bytes() == CONTENT
    assert binary.sha256 == hashlib.sha256(CONTENT).hexdigest()
    mirror.shutdown()
    assert find_binary("arm64-v8a", version="9.9.9") == binary


def test_without_it_the_message_says_what_to_do(mirror):
    with pytest.raises(OfaError, match=r"404.*by hand.*save it as .*/benchmark_model \(or give one with --benchmark_b"):
        find_binary("arm64-v8a", version="1")
    mirror.shutdown()
    mirror.server_close()
    with pytest.raises(OfaError, match=r"cannot be fetched .*--benchmark_binary=PATH") as caught:
        find_binary("arm64-v8a", version="1")
    assert "\n" not in str(caught.value)


def test_where_it_is_published(monkeypatch):
    monkeypatch.delenv("OFA_TF_MIRROR", raising=False)
    place = "https://storage.googleapis.com/litert/binaries/2.1.5/android_arm64/benchmark_model"
    assert binary_url("arm64-v8a", "2.1.5") == place
    with pytest.raises(InputError, match=r"none is published for the ABI 'mips'.*--benchmark_binary"):
        binary_url("mips")


def test_the_users_own(tmp_path):
    """Read as it is; one for another processor is found here, not on the phone."""
    own = tmp_path / "my tool"
    own.write_bytes(CONTENT)
    assert find_binary("arm64-v8a", own).path == own
    own.write_bytes(b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little") + bytes(44))
    assert find_binary("x86_64", own).path == own
    with pytest.raises(InputError, match="a program for x86_64, the phone is arm64-v8a; give one"):
        find_binary("arm64-v8a", own)
    with pytest.raises(InputError, match="cannot be read"):
        find_binary("arm64-v8a", tmp_path / "missing")
