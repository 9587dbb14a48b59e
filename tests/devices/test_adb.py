"""adb's program with a phone behind it: whole answers or an error, a message for each state, names taken literally."""

import contextlib
import shlex
import threading
import time

import pytest

from ofa_tf.common import InputError
from ofa_tf.devices import adb as adb_module
from ofa_tf.devices.adb import Adb, find_adb
from ofa_tf.devices.connection import CommandError, LostError, UnavailableError
from tests.phone.loopback_phone import LoopbackPhone

ODD_NAMES = (
    "a b",
    "it's",
    'say "hi"',
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned",
    "-n",
    "ä★",
    "back\\slash",
    "a\nb",
)


def test_commands_and_their_ends(device):
    """Output as it is, exit codes as errors, also where the command ends the shell."""
    assert device.shell("printf 'a b\\n\\n'") == "a b\n\n"
    with pytest.raises(CommandError, match=r"exit code 3 .*sad") as caught:
        device.shell("echo sad >&2; exit 3")
    assert caught.value.code == 3
    assert list(device.lines("echo one; echo two >&2; printf three", silent_seconds=5))[:3] == ["one", "two", "three"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_pushed_literally(device, phone, tmp_path, name):
    """No name, here or on the phone, is ever a piece of a command."""
    source = tmp_path / name
    source.write_bytes(b"content" * 1000)
    device.shell(f"mkdir -p {shlex.quote(f'/data/local/tmp/{name}')}")
    device.push(source, f"/data/local/tmp/{name}/{name}")
    assert (phone.temporary / name / name).read_bytes() == source.read_bytes()
    assert not list(phone.root.rglob("pwned"))


def test_each_state_has_its_message(adb_server, phone):
    adb = adb_server.adb
    assert adb.device().serial == phone.serial
    with pytest.raises(InputError, match=rf"phone X: adb does not see it, but {phone.serial}; connect it"):
        adb.device("X")
    with LoopbackPhone() as other:
        other.faults.unauthorized = True
        adb_server.connect(other, "unauthorized")
        with pytest.raises(InputError, match=r"2 phones: .*choose one with --device=SERIAL"):
            adb.device()
        with pytest.raises(InputError, match=r"authoriz.*: it has not accepted this computer.*; unlock it"):
            adb.device(other.serial)
        adb.run(["disconnect", other.serial])
    phone.leave()
    while adb.states().get(phone.serial) == "device":
        time.sleep(0.01)
    with pytest.raises(InputError, match="offline: it does not answer; plug it in again"):
        adb.device(phone.serial)
    adb.run(["disconnect", phone.serial])
    while adb.states():
        time.sleep(0.01)
    with pytest.raises(InputError, match="no phone: adb sees none; connect one by USB"):
        adb.device()


LISTS = {
    "tabs": (
        "R5CT1234ABC\tdevice\n0123\tno permissions (user in plugdev group; are your udev rules wrong?)\n",
        {"R5CT1234ABC": "device", "0123": "no permissions (user in plugdev group; are your udev rules wrong?)"},
    ),
    "spaces": (
        "R5CT1234ABC            device\nadb-R5CT1234ABC-Qx1yZz (2)._adb-tls-connect._tcp   offline\n"
        "0123 no permissions; see\n",
        {
            "R5CT1234ABC": "device",
            "adb-R5CT1234ABC-Qx1yZz (2)._adb-tls-connect._tcp": "offline",
            "0123": "no permissions; see",
        },
    ),
}


@pytest.mark.parametrize("separators", LISTS)
def test_lists_with_tabs_or_spaces(separators, tmp_path):
    """Some adbs print spaces; a name found in a Wi-Fi, and one state, have spaces inside."""
    text, states = LISTS[separators]
    (tmp_path / "list").write_text(f"* daemon started successfully\nList of devices attached\n{text}\n")
    program = tmp_path / "adb"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path}/list'\n")
    program.chmod(0o755)
    assert Adb(program).states() == states


@pytest.mark.parametrize("state", ["bootloader", "no permissions (user in plugdev group)", "host", "recovery"])
def test_other_states(state):
    with pytest.raises(InputError, match="phone S: "):
        adb_module.check_state("S", state)


def test_phones_without_shell_v2_are_refused(adb_server):
    with LoopbackPhone() as old:
        old.faults.without_shell_v2 = True
        with adb_server.connected(old), pytest.raises(InputError, match="no shell_v2"):
            adb_server.adb.device(old.serial)


def test_a_drop_is_an_error_and_the_phone_comes_back(device, phone, tmp_path):
    """adb itself says that a broken push was one file pushed, and ends a broken command like a whole one."""
    source = tmp_path / "model"
    source.write_bytes(bytes(range(256)) * 4000)
    phone.faults.drop_after = 500_000
    with pytest.raises(LostError, match=r"could not be pushed|connection broke|arrived damaged"):
        device.push(source, "/data/local/tmp/model")
    assert "model" not in phone.files()
    device.wait(10)
    device.push(source, "/data/local/tmp/model")
    assert (phone.temporary / "model").read_bytes() == source.read_bytes()
    phone.faults.drop_after_sent = 20_000
    with pytest.raises(LostError, match="connection broke"):
        device.shell("seq 100000")
    device.wait(10)
    phone.faults.drop_after_sent = 20_000
    taken = []
    with pytest.raises(LostError, match="connection broke"):
        taken.extend(device.lines("seq 100000", silent_seconds=5))
    assert taken == [str(number) for number in range(1, len(taken) + 1)]
    device.wait(10)
    assert device.shell("echo there") == "there\n"


def test_a_phone_that_comes_back_without_consent(device, phone):
    """Plugging it in again would not help: what its state asks for is told while it is waited for, and at the end."""
    notes = []
    phone.leave()
    phone.faults.unauthorized = True
    phone.come_back()
    with pytest.raises(LostError, match=r"did not come back within 2 s; (un)?authoriz.*: it has not accepted .*unlock"):
        device.wait(2, notes.append)
    assert any("it has not accepted this computer" in note for note in notes)
    assert len(set(notes)) == len(notes)


def test_damaged_bytes_do_not_get_their_name(device, phone, tmp_path, monkeypatch):
    source = tmp_path / "model"
    source.write_bytes(b"right")
    monkeypatch.setattr("ofa_tf.devices.adb._file_sha1", lambda path: "0" * 40)
    with pytest.raises(LostError, match="model arrived damaged"):
        device.push(source, "/data/local/tmp/model")
    assert phone.files() == ["model.part"]


def test_android_7_checks_what_arrived(device, phone, tmp_path):
    """Its toybox has md5sum and sha1sum alone; the others came with Android 8."""
    for bits in (224, 256, 384, 512):
        phone.replace_program(f"sha{bits}sum", "exit 127")
    (tmp_path / "model").write_bytes(b"content")
    device.push(tmp_path / "model", "/data/local/tmp/model")
    assert (phone.temporary / "model").read_bytes() == b"content"


def test_a_full_disk_is_said(device, phone, tmp_path):
    source = tmp_path / "model"
    source.write_bytes(bytes(300_000))
    phone.faults.room_bytes = 100_000
    with pytest.raises(UnavailableError, match=r"no room for /data/local/tmp/model \(0.3 MB\); free some"):
        device.push(source, "/data/local/tmp/model")
    assert phone.files() == []


def test_a_frozen_phone_does_not_hang_anything(device, phone):
    """It is still listed as a device; only time-outs tell. A command that is left is ended on the phone."""
    running = device.lines("echo begun; sleep 60; echo done", silent_seconds=0.5)
    assert next(running) == "begun"
    with pytest.raises(LostError, match=r"silent for 0\.5 s"):
        next(running)
    assert phone.is_idle(5)
    phone.faults.frozen = True
    with pytest.raises(LostError, match=rf"phone {phone.serial}: no answer within 0\.5 s; unlock it, or plug it in"):
        device.shell("true", timeout_seconds=0.5)
    with pytest.raises(LostError, match="did not come back within"):
        device.wait(0.5)
    phone.faults.frozen = False


def test_whose_adb(tmp_path):
    """The given one, the one that adbutils brings, or an error that says how to get one."""
    own = tmp_path / "adb"
    own.write_text("#!/bin/sh\nexit 1\n")
    own.chmod(0o755)
    assert find_adb(own) == own
    assert find_adb().parts[-2:] == ("binaries", "adb")
    with pytest.raises(InputError, match=r"--adb=nowhere: no program there"):
        find_adb("nowhere")
    with pytest.raises(Exception, match=r"devices: failed"):
        Adb(own).states()


def test_a_server_that_hangs_is_told(tmp_path):
    """No phone is named where none was asked."""
    hanging = tmp_path / "adb"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    with pytest.raises(LostError, match=r"adb's server: no answer within 0\.2 s; end it with adb kill-server and give"):
        Adb(hanging).run(["devices"], timeout_seconds=0.2)


class TestAdbutilsClient:
    """Why `AdbDevice` does not use the client of adbutils, which brings the program: one day these may fail."""

    @pytest.fixture(name="theirs")
    def _theirs(self, adb_server, phone):
        import adbutils

        return adbutils.AdbClient(port=int(adb_server.environment["ANDROID_ADB_SERVER_PORT"])).device(phone.serial)

    def test_a_push_to_a_frozen_phone_does_not_return(self, theirs, phone):
        """It takes no time-out; ours is ended after that of the file's size."""
        phone.faults.frozen = True

        def push():
            with contextlib.suppress(Exception):
                theirs.sync.push(b"model", "/data/local/tmp/model")

        pushing = threading.Thread(target=push, daemon=True)
        pushing.start()
        pushing.join(3)
        assert pushing.is_alive()
        phone.leave()
        pushing.join(10)
        assert not pushing.is_alive()

    def test_a_push_without_room_does_not_say_so(self, theirs, phone):
        import adbutils

        phone.faults.room_bytes = 100_000
        with pytest.raises(adbutils.AdbError, match=r"^FAIL$"):
            theirs.sync.push(bytes(300_000), "/data/local/tmp/model")

    def test_a_command_that_goes_on_writing_is_not_ended(self, theirs, device):
        """`timeout` is that of a single read; ours is that of the call."""
        command = "for number in 1 2 3 4 5 6; do echo $number; sleep 0.2; done"
        assert theirs.shell2(command, timeout=0.5, v2=True).returncode == 0
        with pytest.raises(LostError, match=r"no answer within 0\.5 s"):
            device.shell(command, timeout_seconds=0.5)
