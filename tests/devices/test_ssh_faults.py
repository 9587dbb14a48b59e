"""What goes wrong on the way to a computer by ssh, through programs that stand in for OpenSSH's client: no server."""

import pathlib

import pytest

from ofa_tf import devices
from ofa_tf.common import InputError
from ofa_tf.devices import Settings
from ofa_tf.devices import ssh as module
from ofa_tf.devices.connection import LostError, UnavailableError
from ofa_tf.devices.ssh import SshConnection

# Commands run here, behind what the start-up files of the computer's shell print.
SSH = """\
#!/bin/sh
for last; do :; done
echo "ssh $*" | head -n 1 >> "{folder}/calls"
cat "{folder}/greeting"
exec sh -c "$last"
"""
SCP = """\
#!/bin/sh
echo "scp $*" >> "{folder}/calls"
for last; do :; done
echo half > "${{last#*:}}"
{end}
"""
# Behind the line of titles; the fourth figure is the room that is left, in KiB.
DF = """\
#!/bin/sh
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
echo '/dev/sda1 100 91 {room} 91% /'
"""


@pytest.fixture(name="client")
def _client(tmp_path, monkeypatch):
    """Writes programs into the PATH, ssh and an scp that ends so; gives their folder, where `calls` has the calls."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "greeting").touch()

    def write(end="exit 0", *, room=None):
        texts = {"ssh": SSH.format(folder=tmp_path), "scp": SCP.format(folder=tmp_path, end=end)}
        if room is not None:
            texts["df"] = DF.format(room=room)
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        return tmp_path

    return write


@pytest.fixture(name="source")
def _source(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(20_000))
    return path


FAILURE = "echo 'scp: write remote: Failure' >&2; exit 1"


def test_a_full_disk_is_told_however_scp_calls_it(client, source, tmp_path):
    """Since OpenSSH 9 it speaks SFTP, whose servers say "Failure"; a connection that broke is another thing."""
    target = str(tmp_path / "copied")
    client(FAILURE, room=19)
    with pytest.raises(
        UnavailableError, match=r"ssh:board: no room for .*copied \(0\.0 MB\); free some of its storage"
    ):
        SshConnection("ssh:board", None).push(source, target)
    # What came of it would take the room of what comes next.
    assert not pathlib.Path(target).exists()
    client(FAILURE, room=20)
    with pytest.raises(LostError, match=r"model\.tflite could not be copied \(scp: write remote: Failure\)"):
        SshConnection("ssh:board", None).push(source, target)
    client("echo 'scp: copied: No space left on device' >&2; exit 1", room=1000)
    with pytest.raises(UnavailableError, match="no room for"):
        SshConnection("ssh:board", None).push(source, target)


def test_a_large_file_may_take_longer(client, source, monkeypatch):
    """Protects a batch of models on its way through a slow network."""
    client()
    limits = []
    called = module.call
    monkeypatch.setattr(
        module,
        "call",
        lambda *given, **options: (limits.append(options["timeout_seconds"]), called(*given, **options))[1],
    )
    for size in (1, 30_000_000):
        source.write_bytes(bytes(size))
        SshConnection("ssh:board", None).push(source, str(source.with_name("copied")))
    assert limits == pytest.approx([60, 90], abs=0.1)


def test_addresses_with_colons(client, source):
    """ssh refuses the brackets that scp needs."""
    folder = client()
    connection = SshConnection("ssh:me@[fe80::1]:2222", None)
    connection.shell("true")
    connection.push(source, str(source.with_name("copied")))
    ssh, scp = (folder / "calls").read_text().splitlines()
    assert ssh.endswith(" -p 2222 me@fe80::1 true")
    assert " -P 2222 " in scp
    assert scp.endswith(f" me@[fe80::1]:{source.with_name('copied')}")


TOOL = """\
#!/bin/sh
for option in graph num_runs min_secs warmup_runs num_threads use_cpu; do echo "  --$option="; done
"""


def test_start_up_files_that_print(client, tmp_path):
    """A ~/.bashrc that greets: what it prints is not taken for the folder, for the program, or for its hash."""
    folder = client()
    (folder / "greeting").write_text("Welcome!\nlast login: /tmp/ofa_tf.yesterday\n")
    with (
        pytest.raises(InputError, match="ssh:board: has no benchmark_model in its PATH"),
        devices.open("ssh:board", None, Settings()),
    ):
        pass
    (folder / "benchmark_model").write_text(TOOL)
    (folder / "benchmark_model").chmod(0o755)
    with devices.open("ssh:board", None, Settings()) as device:
        made = pathlib.Path(device.folder)
        assert made.is_dir()
        assert made.name.startswith("ofa_tf.")
        assert device.tool == str(folder / "benchmark_model")
        assert len(device.describe()["benchmark_model"]) == len("SHA-256 ") + 64
    assert not made.exists()


def test_a_folder_that_is_none_is_refused(client, tmp_path):
    """It goes into a command that removes it."""
    folder = client()
    (folder / "mktemp").write_text("#!/bin/sh\necho /; echo 'bye now'\n")
    (folder / "mktemp").chmod(0o755)
    with (
        pytest.raises(
            InputError, match=r"ssh:board: mktemp said '/ bye now', expected a folder .*~/\.bashrc, print not"
        ),
        devices.open("ssh:board", None, Settings()),
    ):
        pass
