"""A computer reached by ssh, through the real OpenSSH client and server on the loopback address."""

import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from ofa_tf import devices
from ofa_tf.common import InputError
from ofa_tf.devices import BenchmarkOptions, Settings
from ofa_tf.devices.connection import LostError
from ofa_tf.devices.ssh import SshComputer
from ofa_tf.predictors import LatencyTable
from ofa_tf.spaces.population import distinct_blocks
from tests.reference import ROOT

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="there is no sshd (Debian: openssh-server), or no ssh"
)

QUICK = BenchmarkOptions(runs=5, min_seconds=0.002, warmup_seconds=0.001, max_seconds=2.0)
TOOL = """\
#!{python} -B
import os, sys
sys.path.insert(0, {root!r})
from tests.phone.benchmark_helper import Run

class Tool(Run):
    def _send(self, end=b""):
        os.write(1, self._said.encode())
        self._said = ""

    def _listen(self, seconds):
        pass

names = ("hanging", "killed", "garbled", "partial", "coarse_clock")
faults = dict.fromkeys(names, False) | {{"style": "tflite", "unknown_options": (), "slow_first_seconds": 0.0}}
tool = Tool(None, os.getcwd(), sys.argv, faults)
code = tool.answer()
tool._send()
sys.exit(code)
"""


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory):
    """A running sshd that lets this user in by a key: its port, and the client's configuration."""
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        textwrap.dedent(f"""\
        Port {port}
        ListenAddress 127.0.0.1
        HostKey {folder}/host_key
        AuthorizedKeysFile {folder}/authorized_keys
        PidFile {folder}/pid
        PasswordAuthentication no
        StrictModes no
        UsePAM no
        Subsystem sftp internal-sftp
        """)
    )
    (folder / "ssh_config").write_text(
        f"Host 127.0.0.1\nIdentityFile {folder}/user_key\nIdentitiesOnly yes\nStrictHostKeyChecking no\n"
        f"UserKnownHostsFile {folder}/known_hosts\n"
    )
    if os.geteuid() == 0:
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port, folder / "ssh_config"
    server.terminate()
    server.wait()


@pytest.fixture(name="computer")
def _computer(server, tmp_path):
    """Opens the computer with a tool of this machine's Python, or another."""
    port, config = server
    tool = tmp_path / "benchmark_model"
    tool.write_text(TOOL.format(python=sys.executable, root=str(ROOT)))

    def opened(options=QUICK, binary=tool, user=None):
        settings = Settings(ssh_config=str(config), benchmark_binary=binary and str(binary))
        return devices.open(f"ssh:{user or getpass.getuser()}@127.0.0.1:{port}", options, settings)

    return opened


def test_models_are_measured_and_nothing_stays_behind(computer, model, tmp_path):
    (tmp_path / "a file.tflite").write_bytes(model)
    results = []
    with computer() as device:
        folder = pathlib.Path(device.folder)
        assert folder.is_dir()
        facts = device.describe()
        measured = device.measure([("one", model), ("two", tmp_path / "a file.tflite")], results.append)
        [bad] = device.measure([("bad", b"no model")])
    assert measured == results
    assert [it.name for it in measured] == ["one", "two"]
    assert all(it.latency.count >= 5 and it.latency.median_ms > 0 and not it.error for it in measured)
    assert bad.latency is None
    assert "exit code 1" in bad.error
    assert facts["cpu"]
    assert facts["abi"] == os.uname().machine
    assert facts["benchmark_model"].startswith("SHA-256 ")
    assert not folder.exists()


def test_a_table_is_built_gone_on_with_and_verified(computer, space, tmp_path):
    """The same builder as a phone's: this kind of device has none of its own."""
    path = tmp_path / "table.json"
    with computer() as device:
        table = device.build_table(space, "int8", path, resolutions=(24,), tolerance=1e9, progress=False)
        assert set(table.blocks) == {block.key for block in distinct_blocks(space, (24,))}
        assert (table.device, table.threads) == (device.name, 1)
        assert device.build_table(space, "int8", path, resolutions=(24,), tolerance=1e9, progress=False) == table
        found, _ = devices.verify_table(table, space, device, networks=2, path=str(path))
    assert min(found.measured_ms) > 0
    assert LatencyTable.load(path).versions["delegate"] == "xnnpack"
    with (
        pytest.raises(InputError, match="holds a table with delegate 'xnnpack'"),
        computer(BenchmarkOptions(runs=5, min_seconds=0.0, delegate="none")) as device,
    ):
        device.build_table(space, "int8", path, resolutions=(24,), progress=False)


def test_mistakes_are_one_line(computer, server, tmp_path):
    def said(opened, kind=InputError) -> str:
        with pytest.raises(kind) as caught, opened:
            pass
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "it must log in by key" in said(computer(user="nobody_of_this_name"), LostError)
    assert "no such file" in said(computer(binary=tmp_path / "absent"))
    (tmp_path / "other").write_text("#!/bin/sh\necho something else\n")
    assert "does not run on ssh:" in said(computer(binary=tmp_path / "other"))
    assert "has no benchmark_model in its PATH" in said(computer(binary=None))
    with pytest.raises(InputError, match="expected ssh:host"):
        devices.open("ssh:a b")
    with pytest.raises(InputError, match="expected ssh:host"):
        devices.open("ssh:-G")
    assert isinstance(devices.open("ssh:me@jetson:2222"), SshComputer)


def test_a_computer_that_is_gone(computer, server, model):
    """What was measured before is with its caller."""
    results = []
    with computer() as device:
        device.measure([("one", model)], results.append)
        device.patience_seconds, device.connection.port = 0.5, "1"
        with pytest.raises(LostError, match="no connection"):
            device.measure([("two", model)], results.append)
        device.connection.port = str(server[0])
    assert [it.name for it in results] == ["one"]
